//! SQLite: one file per owner, one writer, readers that do not block each other.
//!
//! WAL and `synchronous=FULL`: an answered commit survives a power cut.
//!
//! Not here: how connections are shared and stopped (see `pool`), what SQL may do on one (see `connection`).

mod connection;
mod pool;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{Arguments as _, AssertSqlSafe, Decode, Row as _, Sqlite, SqliteConnection, TypeInfo as _, ValueRef as _};

pub(super) use self::pool::Lease;
use self::pool::Pool;
use super::lease::Stop;
use super::{Bounds, PackedRows, SqlError, StatementKind, Value};

/// Prepared statements kept per connection; a service has a few dozen.
const STATEMENT_CACHE: usize = 128;

/// Rows that a connection reads ahead of who takes them: a page, and not so many that large rows fill the memory.
const ROWS_AHEAD: usize = 32;

/// The connections to one file.
pub(super) struct Pools {
    writer: Arc<Pool>,
    readers: Arc<Pool>,
}

/// Opens the file, made when it is missing.
pub(super) async fn open(file: &Path, bounds: Bounds, acquire_timeout: Duration) -> sqlx::Result<Pools> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .statement_cache_capacity(STATEMENT_CACHE)
        .row_buffer_size(ROWS_AHEAD)
        // Only another process can be in the way: the pool has one writer. Nothing interrupts this wait.
        .busy_timeout(acquire_timeout.min(bounds.statement_timeout));
    // The writer first: readers need the file and its WAL.
    let writer = Pool::open(options.clone(), bounds, 1, acquire_timeout).await?;
    let readers = Pool::open(options.read_only(true), bounds, bounds.connections.max(2) - 1, acquire_timeout).await?;
    Ok(Pools { writer, readers })
}

impl Pools {
    pub(super) async fn acquire(&self, kind: StatementKind, until: Instant) -> Result<Lease, SqlError> {
        match kind {
            StatementKind::Read => self.readers.acquire(until).await,
            StatementKind::Write => self.writer.acquire(until).await,
        }
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Runs one statement and packs its rows.
async fn fetch(
    connection: &mut SqliteConnection,
    statement: &str,
    arguments: SqliteArguments,
    limit: usize,
) -> Result<PackedRows, Stop> {
    let mut stream = sqlx::query_with(AssertSqlSafe(statement), arguments).fetch(connection);
    let mut rows = PackedRows::new();
    while let Some(row) = stream.try_next().await? {
        pack(&row, &mut rows).map_err(Stop::GivenUp)?;
        rows.end_row(row.len(), limit).map_err(Stop::GivenUp)?;
    }
    Ok(rows)
}

/// Runs one statement and counts the rows it changed.
async fn execute(connection: &mut SqliteConnection, statement: &str, arguments: SqliteArguments) -> Result<u64, Stop> {
    Ok(sqlx::query_with(AssertSqlSafe(statement), arguments).execute(connection).await?.rows_affected())
}

/// Runs all statements of a script.
async fn run(connection: &mut SqliteConnection, script: &str) -> Result<(), Stop> {
    Ok(sqlx::raw_sql(AssertSqlSafe(script)).execute(connection).await.map(drop)?)
}

fn bind(params: &[Value]) -> Result<SqliteArguments, SqlError> {
    let mut arguments = SqliteArguments::default();
    for param in params {
        match param {
            Value::Null => arguments.add(None::<i64>),
            Value::Boolean(value) => arguments.add(*value),
            Value::Integer(value) | Value::Timestamp(value) => arguments.add(*value),
            Value::Real(value) => arguments.add(*value),
            Value::Text(value) => arguments.add(value.as_str()),
            Value::Blob(value) => arguments.add(value.as_slice()),
        }
        .map_err(|error| SqlError::Invalid(error.to_string()))?;
    }
    Ok(arguments)
}

fn pack(row: &SqliteRow, rows: &mut PackedRows) -> Result<(), SqlError> {
    for index in 0..row.len() {
        let cell = row.try_get_raw(index)?;
        if cell.is_null() {
            rows.null();
            continue;
        }
        let invalid = |error: sqlx::error::BoxDynError| SqlError::Invalid(error.to_string());
        let type_info = cell.type_info().into_owned();
        match type_info.name() {
            "INTEGER" => rows.integer(<i64 as Decode<Sqlite>>::decode(cell).map_err(invalid)?),
            "REAL" => rows.real(<f64 as Decode<Sqlite>>::decode(cell).map_err(invalid)?),
            "TEXT" => rows.text(<&str as Decode<Sqlite>>::decode(cell).map_err(invalid)?),
            "BLOB" => rows.blob(<&[u8] as Decode<Sqlite>>::decode(cell).map_err(invalid)?),
            "BOOLEAN" => rows.boolean(<bool as Decode<Sqlite>>::decode(cell).map_err(invalid)?),
            other => return Err(SqlError::Invalid(format!("column {} has type {other}: cast it", index + 1))),
        }
    }
    Ok(())
}
