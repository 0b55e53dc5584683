//! What was revoked, in memory for every request and in the host's database for every start.
//!
//! In effect on this host before `revoke` returns. Hosts that share a database are told as it is stored; word that
//! is lost with a connection is made up for by looking every [`POLL`].
//!
//! Entries are dropped when the tokens that they could concern have expired by themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::tokens::now_micros;
use crate::db::{Cell, Database, SqlError, Value, ledger};

/// Where hosts tell each other.
const CHANNEL: &str = "revocations";

/// Longest time until another host's revocation is in effect here, should its word be lost.
const POLL: Duration = Duration::from_secs(1);

/// How far the clocks of two hosts may lie apart.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Longest life of a token; entries older than this cannot concern any.
const MAX_TOKEN_LIFE: Duration = Duration::from_secs(60 * 60 * 24 * 30);

/// Everything revoked.
pub struct Revocations {
    database: Arc<Database>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Time of revocation by token id.
    tokens: HashMap<String, i64>,
    /// By user: tokens issued up to this time are dead.
    users: HashMap<i64, i64>,
    /// Time of the latest revocation.
    newest: i64,
}

/// Why the store of revocations cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// Its table cannot be made.
    #[error(transparent)]
    Migration(#[from] ledger::MigrationError),
    /// It cannot be read or written.
    #[error("cannot use the table of revocations")]
    Sql(#[from] SqlError),
}

impl Revocations {
    /// Reads everything revoked from the host's database.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn load(database: Arc<Database>) -> Result<Self, RevocationError> {
        let migration = ledger::Migration {
            name: "0001_revocations".to_owned(),
            contracts: false,
            sqlite: "CREATE TABLE revocations (kind TEXT NOT NULL, subject TEXT NOT NULL, at_us INTEGER NOT NULL, \
                     PRIMARY KEY (kind, subject)) STRICT"
                .to_owned(),
            postgres: "CREATE TABLE revocations (kind TEXT NOT NULL, subject TEXT NOT NULL, at_us BIGINT NOT NULL, \
                       PRIMARY KEY (kind, subject))"
                .to_owned(),
        };
        ledger::apply(&database, &[migration]).await?;
        let this = Self { database, known: Mutex::default() };
        this.forget_expired().await?;
        this.refresh().await?;
        Ok(this)
    }

    /// Says whether a token that was issued at a time is revoked, by itself or with its user.
    pub fn covers(&self, token_id: &str, user_id: i64, issued_at_us: i64) -> bool {
        let known = self.lock();
        known.tokens.contains_key(token_id) || known.users.get(&user_id).is_some_and(|at| issued_at_us <= *at)
    }

    /// Ends one token, durably, before this returns.
    ///
    /// # Errors
    /// When it cannot be stored; the token is still good then.
    pub async fn revoke_token(&self, token_id: &str) -> Result<(), SqlError> {
        let at = now_micros();
        self.store("token", token_id.to_owned(), at).await?;
        self.lock().add("token", token_id, at);
        Ok(())
    }

    /// Ends all tokens that a user has had up to now, durably, before this returns.
    ///
    /// # Errors
    /// When it cannot be stored; the tokens are still good then.
    pub async fn revoke_user(&self, user_id: i64) -> Result<(), SqlError> {
        let at = now_micros();
        self.store("user", user_id.to_string(), at).await?;
        self.lock().add("user", &user_id.to_string(), at);
        Ok(())
    }

    /// Follows what other hosts revoke, until told to stop.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut changes = self.database.changes(CHANNEL, POLL);
        let follow = async {
            loop {
                changes.listen().await;
                if let Err(error) = self.refresh().await {
                    tracing::warn!(%error, "cannot read what other hosts have revoked");
                }
                changes.wait().await;
            }
        };
        let _: Option<()> = stop.run_until_cancelled(follow).await;
    }

    async fn store(&self, kind: &str, subject: String, at: i64) -> Result<(), SqlError> {
        const STATEMENT: &str = "INSERT INTO revocations (kind, subject, at_us) VALUES ($1, $2, $3) \
            ON CONFLICT (kind, subject) DO UPDATE SET at_us = excluded.at_us";
        let params = [Value::Text(kind.to_owned()), Value::Text(subject), Value::Integer(at)];
        self.database.execute(STATEMENT, &params).await?;
        self.database.notify(CHANNEL).await;
        Ok(())
    }

    /// Reads what was revoked since the last time; hosts' clocks may differ by [`CLOCK_SKEW`].
    async fn refresh(&self) -> Result<(), SqlError> {
        const STATEMENT: &str = "SELECT kind, subject, at_us FROM revocations WHERE at_us > $1";
        let skew = i64::try_from(CLOCK_SKEW.as_micros()).unwrap_or(i64::MAX);
        let since = self.lock().newest.saturating_sub(skew);
        let rows = self.database.query(STATEMENT, &[Value::Integer(since)]).await?;
        let mut known = self.lock();
        for row in rows.rows() {
            if let [Cell::Text(kind), Cell::Text(subject), Cell::Integer(at)] = row[..] {
                known.add(kind, subject, at);
            }
        }
        Ok(())
    }

    async fn forget_expired(&self) -> Result<(), SqlError> {
        let life = i64::try_from(MAX_TOKEN_LIFE.as_micros()).unwrap_or(i64::MAX);
        let before = Value::Integer(now_micros() - life);
        self.database.execute("DELETE FROM revocations WHERE at_us < $1", &[before]).await.map(drop)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        // Every change is one insert, so a panic elsewhere leaves nothing half done.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Takes the later time where both a write and a refresh bring one.
    fn add(&mut self, kind: &str, subject: &str, at: i64) {
        self.newest = self.newest.max(at);
        if kind == "token" {
            self.tokens.insert(subject.to_owned(), at);
        } else if let Ok(user) = subject.parse() {
            let latest = self.users.entry(user).or_insert(at);
            *latest = at.max(*latest);
        }
    }
}
