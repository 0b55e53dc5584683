//! Log-in attempts: 10 that fail for a user name or 50 from an address in 15 minutes close it until they are past.
//!
//! An attempt counts before the password is looked at and is taken back when it proves good: of many at once, no more
//! than the limit are tried. Kept in the database, so that hosts which share it count together.

use provesi_sdk::sql::{Connection, Database};
use provesi_sdk::{Error, Result, Timestamp, clock, params, passwords, row, sql};

const WINDOW_SECONDS: i64 = 15 * 60;
const MAX_BY_NAME: i64 = 10;
const MAX_BY_ADDRESS: i64 = 50;

row! {
    struct Counted {
        attempts: i64,
        since: Timestamp,
    }
}

/// Who tries to log in, from where.
pub(crate) struct Attempt<'a> {
    pub(crate) username: &'a str,
    pub(crate) address: &'a str,
}

impl Attempt<'_> {
    /// Counts the attempt as a failure until it proves otherwise, and lets it through.
    ///
    /// # Errors
    /// 429 while the name or the address is closed; the attempt is not counted then.
    pub(crate) fn admit(&self) -> Result<()> {
        const EXPIRE: &str = "DELETE FROM login_attempts WHERE since <= $1";
        const COUNT: &str = "INSERT INTO login_attempts (kind, value, attempts, since) VALUES ($1, $2, 1, $3) \
            ON CONFLICT (kind, value) DO UPDATE SET attempts = login_attempts.attempts + 1 \
            RETURNING attempts, since";
        sql::transaction(|tx| {
            let now = clock::now();
            tx.execute(EXPIRE, params![now.plus_seconds(-WINDOW_SECONDS)])?;
            for (kind, value, max) in self.limits() {
                let counted = tx.first::<Counted>(COUNT, params![kind, value, now])?;
                let Counted { attempts, since } = counted.expect("RETURNING answers the row");
                if attempts > max {
                    return Err(closed(since, now));
                }
            }
            Ok(())
        })
    }

    /// Says whether a password belongs to a hash; while the host is too busy to say, nobody has failed.
    pub(crate) fn matches(&self, password: &str, hash: &str) -> Result<bool> {
        let checked = passwords::matches(password, hash);
        if checked.is_err() {
            for (kind, value, _) in self.limits() {
                take_back(&Database, kind, value)?;
            }
        }
        checked
    }

    /// Forgets the failures of the name, which has proved itself, and takes back the attempt from the address.
    pub(crate) fn succeeded(&self, tx: &impl Connection) -> Result<()> {
        const FORGET: &str = "DELETE FROM login_attempts WHERE kind = 'username' AND value = $1";
        tx.execute(FORGET, params![self.username])?;
        take_back(tx, "address", self.address)
    }

    fn limits(&self) -> [(&'static str, &str, i64); 2] {
        [("username", self.username, MAX_BY_NAME), ("address", self.address, MAX_BY_ADDRESS)]
    }
}

fn take_back(tx: &impl Connection, kind: &str, value: &str) -> Result<()> {
    const TAKE_BACK: &str =
        "UPDATE login_attempts SET attempts = attempts - 1 WHERE kind = $1 AND value = $2 AND attempts > 0";
    tx.execute(TAKE_BACK, params![kind, value])?;
    Ok(())
}

fn closed(since: Timestamp, now: Timestamp) -> Error {
    let wait = (since.plus_seconds(WINDOW_SECONDS).0 - now.0) / 1_000_000;
    Error::Rejected {
        status: 429,
        detail: "Demasiados intentos fallidos. Intente más tarde.".to_owned(),
        retry_after: Some(u64::try_from(wait.max(1)).unwrap_or(1)),
    }
}
