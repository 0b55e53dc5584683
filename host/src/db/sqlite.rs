//! SQLite: one file per owner, one writer, readers that do not block each other.
//!
//! WAL and `synchronous=FULL`: an answered commit survives a power cut. An authorizer on every connection keeps
//! statements inside the one file.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::time::Duration;

use libsqlite3_sys as ffi;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{
    Arguments as _, AssertSqlSafe, Decode, Row as _, Sqlite, SqliteConnection, SqlitePool, TypeInfo as _, ValueRef as _,
};

use super::{Bounds, PackedRows, SqlError, StatementKind, TransactionOptions, Value};
use futures::TryStreamExt as _;

/// Prepared statements kept per connection; a service has a few dozen.
const STATEMENT_CACHE: usize = 128;

/// The connections to one file.
pub(super) struct Pools {
    writer: SqlitePool,
    readers: SqlitePool,
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
        // Only another process can be in the way: the pool has one writer.
        .busy_timeout(acquire_timeout);
    let pool = |connections| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(acquire_timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(confine(connection)))
    };
    // The writer first: readers need the file and its WAL.
    let writer = pool(1).connect_with(options.clone()).await?;
    let readers = pool(bounds.connections.max(2) - 1).connect_with(options.read_only(true)).await?;
    Ok(Pools { writer, readers })
}

impl Pools {
    pub(super) async fn acquire(&self, kind: StatementKind) -> sqlx::Result<PoolConnection<Sqlite>> {
        match kind {
            StatementKind::Read => self.readers.acquire().await,
            StatementKind::Write => self.writer.acquire().await,
        }
    }

    pub(super) async fn begin(&self, options: TransactionOptions) -> sqlx::Result<sqlx::Transaction<'static, Sqlite>> {
        if options.writes {
            // IMMEDIATE: a transaction that starts as a reader could not become a writer behind another's back.
            self.writer.begin_with("BEGIN IMMEDIATE").await
        } else {
            self.readers.begin().await
        }
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Runs one statement and packs its rows.
pub(super) async fn query(
    connection: &mut SqliteConnection,
    statement: &str,
    params: &[Value],
    limit: usize,
) -> Result<PackedRows, SqlError> {
    let arguments = bind(params)?;
    let mut stream = sqlx::query_with(AssertSqlSafe(statement), arguments).fetch(connection);
    let mut rows = PackedRows::default();
    while let Some(row) = stream.try_next().await? {
        pack(&row, &mut rows)?;
        rows.end_row(row.len(), limit)?;
    }
    Ok(rows)
}

/// Runs one statement and counts the rows it changed.
pub(super) async fn execute(
    connection: &mut SqliteConnection,
    statement: &str,
    params: &[Value],
) -> Result<u64, SqlError> {
    let arguments = bind(params)?;
    Ok(sqlx::query_with(AssertSqlSafe(statement), arguments).execute(connection).await?.rows_affected())
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

/// Installs the authorizer, after the options above have run as PRAGMAs.
#[expect(unsafe_code, reason = "sqlx offers no authorizer; SQLite has no other way to forbid ATTACH")]
async fn confine(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let mut handle = connection.lock_handle().await?;
    // SAFETY: the handle is open and locked; `authorize` is a plain function that keeps no state and outlives it.
    let code =
        unsafe { ffi::sqlite3_set_authorizer(handle.as_raw_handle().as_ptr(), Some(authorize), std::ptr::null_mut()) };
    if code == ffi::SQLITE_OK {
        Ok(())
    } else {
        Err(sqlx::Error::Protocol(format!("sqlite3_set_authorizer answered {code}")))
    }
}

/// Denies what reaches another file or changes the connection.
#[expect(unsafe_code, reason = "called by SQLite")]
unsafe extern "C" fn authorize(
    _data: *mut c_void,
    action: c_int,
    _first: *const c_char,
    second: *const c_char,
    _database: *const c_char,
    _trigger: *const c_char,
) -> c_int {
    let denied = match action {
        ffi::SQLITE_ATTACH | ffi::SQLITE_DETACH | ffi::SQLITE_PRAGMA => true,
        ffi::SQLITE_FUNCTION if !second.is_null() => {
            // SAFETY: for this action SQLite passes the function's name as a NUL-terminated text.
            unsafe { CStr::from_ptr(second) }.to_bytes().eq_ignore_ascii_case(b"load_extension")
        }
        _ => false,
    };
    if denied { ffi::SQLITE_DENY } else { ffi::SQLITE_OK }
}
