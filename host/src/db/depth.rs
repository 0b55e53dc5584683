//! How many events wait in one place, for operators.
//!
//! They are counted up to a bound, so that looking costs the same however many wait.

use std::time::{Duration, Instant};

use super::{Cell, Database, PackedRows, SqlError, StatementKind, Value};

/// Events that are counted; beyond it is only said that there are more.
const COUNTED: u64 = 10_000;

/// Largest packed answer, in bytes: it is two numbers.
const ANSWER: usize = 1 << 10;

/// How many events wait in one place, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Events, at most 10 000.
    pub count: u64,
    /// Whether there are more than are counted.
    pub is_more: bool,
    /// How long ago the oldest was published; none when nothing waits, or it is not known.
    pub oldest: Option<Duration>,
}

impl Depth {
    /// Makes one of a number that may be over what is counted.
    pub fn of(count: u64, oldest: Option<Duration>) -> Self {
        Self { count: count.min(COUNTED), is_more: count > COUNTED, oldest }
    }

    fn read(rows: &PackedRows) -> Option<Self> {
        let row = rows.rows().next()?;
        let [Cell::Integer(count), age_us] = row[..] else { return None };
        // A publisher's clock may be ahead of the database's.
        let oldest = match age_us {
            Cell::Integer(age_us) => Some(Duration::from_micros(u64::try_from(age_us).unwrap_or_default())),
            _ => None,
        };
        Some(Self::of(u64::try_from(count).ok()?, oldest))
    }
}

impl Database {
    /// Returns how much waits in the outbox.
    ///
    /// # Errors
    /// When the database does not answer by then.
    pub async fn outbox_depth(&self, until: Instant) -> Result<Depth, SqlError> {
        const OLDEST: &str = "SELECT time_us FROM provesi_outbox ORDER BY seq LIMIT 1";
        self.depth("provesi_outbox", OLDEST, &[], until).await
    }

    /// Counts rows, and says how old the oldest is: `rows` is what follows FROM, `oldest` selects when that one was
    /// published, in microseconds since 1970.
    ///
    /// # Errors
    /// When the database does not answer by then.
    pub async fn depth(&self, rows: &str, oldest: &str, params: &[Value], until: Instant) -> Result<Depth, SqlError> {
        let (limit, clock) = (COUNTED + 1, self.clock());
        let statement =
            format!("SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM {rows} LIMIT {limit}) counted), {clock} - ({oldest})");
        // Not by `query`: the bounds of a service are not for what the host asks of its database.
        let mut lease = self.lease(StatementKind::Read, until).await?;
        let answer = lease.query(until, &statement, params, ANSWER).await?;
        Depth::read(&answer).ok_or_else(|| SqlError::Invalid("the database counts nothing".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Bounds, Storage, TransactionOptions, outbox};

    async fn database(folder: &std::path::Path) -> Database {
        let storage = Storage::sqlite(folder.to_owned(), Duration::from_secs(30)).expect("a folder");
        let bounds = Bounds {
            connections: 2,
            result_bytes: 1 << 10,
            // Less than what the host asks.
            statement_bytes: 16,
            params_bytes: 16,
            statement_timeout: Duration::from_secs(30),
        };
        let database = storage.open("a", bounds).await.expect("opens");
        outbox::create_outbox(&database).await.expect("makes it");
        database
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// Stores events of 1970.
    async fn store(database: &Database, count: u64) {
        let statement = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) INSERT INTO \
             provesi_outbox (id, topic, key, time_us, payload) SELECT 'id-' || i, 'a.said', 'k', i, x'31' FROM n"
        );
        let mut lease = database.lease(StatementKind::Write, soon()).await.expect("a connection");
        assert_eq!(lease.execute(soon(), &statement, &[]).await.expect("stores"), count);
    }

    #[tokio::test]
    async fn what_waits_is_counted_up_to_a_bound() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await;
        let empty = database.outbox_depth(soon()).await.expect("counts");
        assert_eq!(empty, Depth { count: 0, is_more: false, oldest: None });
        store(&database, COUNTED).await;
        let depth = database.outbox_depth(soon()).await.expect("counts");
        assert_eq!((depth.count, depth.is_more), (COUNTED, false));
        let years = Duration::from_secs(60 * 60 * 24 * 365);
        assert!(depth.oldest.is_some_and(|oldest| oldest > 50 * years), "{depth:?}");
        let one_more = "INSERT INTO provesi_outbox (id, topic, key, time_us, payload) VALUES ('x', 't', 'k', 1, x'31')";
        let mut lease = database.lease(StatementKind::Write, soon()).await.expect("a connection");
        lease.execute(soon(), one_more, &[]).await.expect("stores");
        drop(lease);
        let depth = database.outbox_depth(soon()).await.expect("counts");
        assert_eq!((depth.count, depth.is_more), (COUNTED, true));
    }

    #[tokio::test]
    async fn a_publisher_with_a_clock_that_is_ahead_has_no_age_below_zero() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await;
        let ahead = format!(
            "INSERT INTO provesi_outbox (id, topic, key, time_us, payload) VALUES ('x', 't', 'k', {}, x'31')",
            i64::MAX / 2
        );
        let mut lease = database.lease(StatementKind::Write, soon()).await.expect("a connection");
        lease.execute(soon(), &ahead, &[]).await.expect("stores");
        drop(lease);
        let depth = database.outbox_depth(soon()).await.expect("counts");
        assert_eq!(depth, Depth { count: 1, is_more: false, oldest: Some(Duration::ZERO) });
    }

    #[tokio::test]
    async fn a_database_without_a_free_connection_is_waited_for_a_bounded_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await;
        let reads = TransactionOptions { writes: false, serializable: false };
        let held = database.begin(reads).await.expect("the only connection that reads");
        let late = database.outbox_depth(Instant::now() + Duration::from_millis(20)).await;
        assert!(matches!(late, Err(SqlError::Timeout)), "{late:?}");
        drop(held);
        database.outbox_depth(soon()).await.expect("counts");
    }
}
