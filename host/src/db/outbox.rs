//! The tables by which events leave a service's database and are known when they come.
//!
//! `provesi_outbox` takes what a transaction publishes and commits with it; the host's relay reads it in order and
//! deletes what is safe elsewhere. `provesi_inbox` names the events that a subscriber has handled; a row commits with
//! what the handler did, so that an event that comes twice has one effect.
//!
//! These statements are the host's: the bounds of the service are not theirs.

use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use super::ledger::{self, MigrationError};
use super::{Cell, Database, PackedRows, SqlError, StatementKind, Transaction, Value};

/// Longest key, in bytes.
pub const MAX_KEY: usize = 255;

/// Largest payload, in bytes.
pub const MAX_PAYLOAD: usize = 256 << 10;

/// Rows that are read at once.
const BATCH: i64 = 256;

/// Payload bytes that are read at once; one row more is always read.
const BATCH_BYTES: i64 = 4 << 20;

/// Largest packed batch: the bytes above, one row more, and what is around them.
const BATCH_LIMIT: usize = 8 << 20;

/// Longest run of one statement, the wait for a connection included. On PostgreSQL the session of the service ends it
/// sooner where the service's deadline is shorter.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a handled event is remembered: far longer than any broker delivers again by itself.
const REMEMBERED: Duration = Duration::from_secs(60 * 60 * 24 * 30);

/// Handled events that are forgotten in one statement.
const FORGOTTEN_AT_ONCE: u64 = 1000;

/// An event on its way out of the database that it was published in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its place: later ones are higher.
    pub seq: i64,
    /// Unique, a UUID of version 7.
    pub id: String,
    /// What kind of thing happened.
    pub topic: String,
    /// What it happened to.
    pub key: String,
    /// When, microseconds since 1970, UTC, by the publishing host's clock.
    pub time_us: i64,
    /// What happened, JSON.
    pub payload: Vec<u8>,
}

/// Makes the outbox of a service that publishes, where it is missing.
///
/// # Errors
/// When the database refuses.
pub async fn create_outbox(database: &Database) -> Result<(), MigrationError> {
    // AUTOINCREMENT: a place is never used again, also when the outbox has run empty.
    const SQLITE: &str = "CREATE TABLE IF NOT EXISTS provesi_outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, \
        id TEXT NOT NULL UNIQUE, topic TEXT NOT NULL, key TEXT NOT NULL, time_us INTEGER NOT NULL, \
        payload BLOB NOT NULL) STRICT";
    const POSTGRES: &str = "CREATE TABLE IF NOT EXISTS provesi_outbox \
        (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id TEXT NOT NULL UNIQUE, topic TEXT NOT NULL, \
        key TEXT NOT NULL, time_us BIGINT NOT NULL, payload BYTEA NOT NULL)";
    ledger::create(database, SQLITE, POSTGRES).await.map_err(MigrationError::Ledger)
}

/// Makes the inbox of a service that subscribes, where it is missing.
///
/// # Errors
/// When the database refuses.
pub async fn create_inbox(database: &Database) -> Result<(), MigrationError> {
    const SQLITE: &str = "CREATE TABLE IF NOT EXISTS provesi_inbox (event_id TEXT PRIMARY KEY, \
        handled_us INTEGER NOT NULL) STRICT; \
        CREATE INDEX IF NOT EXISTS provesi_inbox_handled ON provesi_inbox (handled_us)";
    const POSTGRES: &str = "CREATE TABLE IF NOT EXISTS provesi_inbox (event_id TEXT PRIMARY KEY, \
        handled_us BIGINT NOT NULL); \
        CREATE INDEX IF NOT EXISTS provesi_inbox_handled ON provesi_inbox (handled_us)";
    ledger::create(database, SQLITE, POSTGRES).await.map_err(MigrationError::Ledger)
}

impl Transaction {
    /// Publishes an event, if and only if the transaction commits; returns its id.
    ///
    /// # Errors
    /// When the key or the payload is larger than it may be, the payload is no JSON, or the database refuses.
    pub async fn publish(&mut self, topic: &str, key: &str, payload: Vec<u8>) -> Result<String, SqlError> {
        const INSERT: &str =
            "INSERT INTO provesi_outbox (id, topic, key, time_us, payload) VALUES ($1, $2, $3, $4, $5)";
        if payload.len() > MAX_PAYLOAD {
            return Err(SqlError::TooLarge);
        }
        if key.len() > MAX_KEY || key.contains('\0') {
            return Err(SqlError::Invalid(format!("an event's key has at most {MAX_KEY} bytes and no NUL")));
        }
        check_json(&payload).map_err(|why| SqlError::Invalid(format!("an event's payload is no JSON: {why}")))?;
        let id = uuid::Uuid::now_v7().to_string();
        let params = [
            Value::Text(id.clone()),
            Value::Text(topic.to_owned()),
            Value::Text(key.to_owned()),
            Value::Integer(now_us()),
            Value::Blob(payload),
        ];
        self.fill_outbox(INSERT, &params).await?;
        Ok(id)
    }
}

impl Database {
    /// Returns what is told of each commit of this process that left something in the outbox.
    pub fn published(&self) -> &std::sync::Arc<tokio::sync::Notify> {
        &self.published
    }

    /// Reads the oldest events of the outbox, in their order; empty when there are none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn outgoing(&self) -> Result<Vec<Outgoing>, SqlError> {
        // The sum bounds the memory of a batch; it is taken over the oldest rows only, not over all that wait.
        const READ: &str = "SELECT seq, id, topic, key, time_us, payload FROM (SELECT q.*, \
            SUM(LENGTH(payload)) OVER (ORDER BY seq) - LENGTH(payload) AS ahead FROM (SELECT seq, id, topic, key, \
            time_us, payload FROM provesi_outbox ORDER BY seq LIMIT $1) q) w WHERE ahead < $2 ORDER BY seq";
        let rows = self.host_query(READ, &[Value::Integer(BATCH), Value::Integer(BATCH_BYTES)]).await?;
        Ok(rows.rows().filter_map(|row| outgoing(&row)).collect())
    }

    /// Deletes events that are safe elsewhere; `events` is what [`Database::outgoing`] has read.
    ///
    /// # Errors
    /// When the database cannot be written; they are read again then.
    pub async fn forget_outgoing(&self, events: &[Outgoing]) -> Result<(), SqlError> {
        // A range would take with it what a slower transaction commits between two others: each by its own place.
        for events in events.chunks(DELETED_AT_ONCE) {
            let last = events.last().map(|event| event.seq).unwrap_or_default();
            // Always as many parameters, so that there is one statement to prepare.
            let places = (0..DELETED_AT_ONCE).map(|at| Value::Integer(events.get(at).map_or(last, |event| event.seq)));
            let params: Vec<Value> = places.collect();
            self.host_execute(&delete_places(), &params).await?;
        }
        Ok(())
    }

    /// Forgets events that were handled long ago, until told to stop; returns how many.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_handled(&self, stop: &CancellationToken) -> Result<u64, SqlError> {
        // A part at a time: a month's tail at once would hold the writer of SQLite for too long, or never end.
        let statement = format!(
            "DELETE FROM provesi_inbox WHERE event_id IN (SELECT event_id FROM provesi_inbox WHERE handled_us < {} - $1 \
             LIMIT {FORGOTTEN_AT_ONCE})",
            self.clock()
        );
        let age = i64::try_from(REMEMBERED.as_micros()).unwrap_or(i64::MAX);
        let mut all = 0;
        while !stop.is_cancelled() {
            let forgotten = self.host_execute(&statement, &[Value::Integer(age)]).await?;
            all += forgotten;
            if forgotten < FORGOTTEN_AT_ONCE {
                break;
            }
        }
        Ok(all)
    }

    async fn host_query(&self, statement: &str, params: &[Value]) -> Result<PackedRows, SqlError> {
        let until = Instant::now() + PATIENCE;
        self.lease(StatementKind::Read, until).await?.query(until, statement, params, BATCH_LIMIT).await
    }

    async fn host_execute(&self, statement: &str, params: &[Value]) -> Result<u64, SqlError> {
        let until = Instant::now() + PATIENCE;
        self.lease(StatementKind::Write, until).await?.execute(until, statement, params).await
    }
}

/// Rows of the outbox that one statement deletes.
const DELETED_AT_ONCE: usize = 64;

fn delete_places() -> String {
    let places: Vec<String> = (1..=DELETED_AT_ONCE).map(|place| format!("${place}")).collect();
    format!("DELETE FROM provesi_outbox WHERE seq IN ({})", places.join(", "))
}

fn outgoing(row: &[Cell<'_>]) -> Option<Outgoing> {
    let [
        Cell::Integer(seq),
        Cell::Text(id),
        Cell::Text(topic),
        Cell::Text(key),
        Cell::Integer(time_us),
        Cell::Blob(payload),
    ] = *row
    else {
        return None;
    };
    Some(Outgoing {
        seq,
        id: id.to_owned(),
        topic: topic.to_owned(),
        key: key.to_owned(),
        time_us,
        payload: payload.to_vec(),
    })
}

/// Reads a whole JSON text and keeps nothing of it.
fn check_json(payload: &[u8]) -> Result<(), String> {
    // Of texts that it skips, serde_json does not check the encoding.
    let text = std::str::from_utf8(payload).map_err(|error| error.to_string())?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(drop).map_err(|error| error.to_string())
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
