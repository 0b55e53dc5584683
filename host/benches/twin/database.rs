//! A service's database, on SQLite or PostgreSQL, with the host's settings and pool sizes.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use provesi::config::{Limits, StorageConfig};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, SqlitePool};

/// Prepared statements kept per connection.
const STATEMENT_CACHE: usize = 128;

/// The connections to one database: those that read, and those that write.
pub(super) struct Database {
    pub(super) reads: Pools,
    pub(super) writes: Pools,
    /// What starts a transaction that writes.
    pub(super) begin: &'static str,
}

/// Connections to either kind of database; [`on!`] runs a statement on whichever it is.
pub(super) enum Pools {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Evaluates an expression with the pool, whichever kind it is: one text, typed twice.
macro_rules! on {
    ($pools:expr, $pool:ident => $body:expr) => {
        match &$pools {
            $crate::twin::database::Pools::Sqlite($pool) => $body,
            $crate::twin::database::Pools::Postgres($pool) => $body,
        }
    };
}
pub(super) use on;

/// Declares a struct that is read from a row of either database, a column a field.
macro_rules! row {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($field:ident: $ty:ty),* $(,)? }) => {
        $(#[$meta])*
        $vis struct $name {
            $(pub(super) $field: $ty),*
        }

        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $name
        where
            usize: sqlx::ColumnIndex<R>,
            $($ty: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                let mut columns = 0_usize..;
                $(let $field: $ty = row.try_get(columns.next().expect("counting has no end"))?;)*
                Ok(Self { $($field),* })
            }
        }
    };
}
pub(super) use row;

impl Database {
    /// Opens the database that a host has made for a service.
    pub(super) async fn open(data: &Path, url: &str, service: &str) -> anyhow::Result<Self> {
        let (connections, timeout) = (Limits::default().sql_connections, StorageConfig::default().acquire_timeout);
        let opened = if url == "sqlite:" {
            sqlite(&data.join("db").join(format!("{service}.sqlite3")), connections, timeout).await
        } else {
            postgres(url, service, connections, timeout).await
        };
        opened.with_context(|| format!("cannot open the database of {service}"))
    }
}

/// One writer, and readers that it does not block.
async fn sqlite(file: &Path, connections: u32, timeout: Duration) -> sqlx::Result<Database> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .statement_cache_capacity(STATEMENT_CACHE)
        .busy_timeout(timeout);
    let pool = |connections| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
    };
    let writes = pool(1).connect_with(options.clone()).await?;
    let reads = pool(connections.max(2) - 1).connect_with(options.read_only(true)).await?;
    Ok(Database { reads: Pools::Sqlite(reads), writes: Pools::Sqlite(writes), begin: "BEGIN IMMEDIATE" })
}

/// Connects as the administrator: only the host knows the passwords of the services' roles.
async fn postgres(url: &str, service: &str, connections: u32, timeout: Duration) -> sqlx::Result<Database> {
    let options: PgConnectOptions = url.parse()?;
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(timeout)
        // A connection that broke fails one request; testing it costs every request a round trip.
        .test_before_acquire(false)
        .connect_with(options.database(&format!("{service}_db")))
        .await?;
    Ok(Database { reads: Pools::Postgres(pool.clone()), writes: Pools::Postgres(pool), begin: "BEGIN" })
}
