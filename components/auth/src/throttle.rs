//! Log-in failures: 10 for a user name or 50 from an address in 15 minutes close it until they are past.
//!
//! Kept in the database, so that hosts which share it count together.

use provesi_sdk::sql::{Connection, Database};
use provesi_sdk::{Error, Result, Timestamp, clock, params, row, sql};

const WINDOW_SECONDS: i64 = 15 * 60;
const MAX_BY_NAME: i64 = 10;
const MAX_BY_ADDRESS: i64 = 50;

row! {
    struct Counted {
        failures: i64,
        oldest: Option<Timestamp>,
    }
}

/// Who tries to log in, from where.
pub(crate) struct Attempt<'a> {
    pub(crate) username: &'a str,
    pub(crate) address: &'a str,
}

impl Attempt<'_> {
    /// Lets the attempt through.
    ///
    /// # Errors
    /// 429 while the name or the address is closed.
    pub(crate) fn admit(&self) -> Result<()> {
        let since = clock::now().plus_seconds(-WINDOW_SECONDS);
        for (kind, value, max) in self.limits() {
            const COUNT: &str = "SELECT COUNT(*), MIN(at) FROM (SELECT at FROM login_failures \
                WHERE kind = $1 AND value = $2 AND at > $3 ORDER BY at DESC LIMIT 50) AS recent";
            let counted = Database.first::<Counted>(COUNT, params![kind, value, since])?;
            if let Some(Counted { failures, oldest: Some(oldest) }) = counted
                && failures >= max
            {
                let wait = (oldest.plus_seconds(WINDOW_SECONDS).0 - clock::now().0) / 1_000_000;
                return Err(Error::Rejected {
                    status: 429,
                    detail: "Demasiados intentos fallidos. Intente más tarde.".to_owned(),
                    retry_after: Some(u64::try_from(wait.max(1)).unwrap_or(1)),
                });
            }
        }
        Ok(())
    }

    /// Counts a failure.
    pub(crate) fn failed(&self) -> Result<()> {
        let now = clock::now();
        sql::transaction(|tx| {
            tx.execute("DELETE FROM login_failures WHERE at <= $1", params![now.plus_seconds(-WINDOW_SECONDS)])?;
            for (kind, value, _) in self.limits() {
                let insert = "INSERT INTO login_failures (kind, value, at) VALUES ($1, $2, $3)";
                tx.execute(insert, params![kind, value, now])?;
            }
            Ok(())
        })
    }

    /// Forgets the failures of a name that has logged in.
    pub(crate) fn succeeded(&self) -> Result<()> {
        const CLEAR: &str = "DELETE FROM login_failures WHERE kind = 'username' AND value = $1";
        const ANY: &str = "SELECT id FROM login_failures WHERE kind = 'username' AND value = $1 LIMIT 1";
        if Database.first::<(i64,)>(ANY, params![self.username])?.is_some() {
            Database.execute(CLEAR, params![self.username])?;
        }
        Ok(())
    }

    fn limits(&self) -> [(&'static str, &str, i64); 2] {
        [("username", self.username, MAX_BY_NAME), ("address", self.address, MAX_BY_ADDRESS)]
    }
}
