//! Databases: one per service, reached by nobody else, and one of the host's own.
//!
//! [`Storage`] opens them where `storage.url` says; a [`Database`] runs statements and transactions on one of
//! them, the same way on SQLite and PostgreSQL. What a statement or a [`Transaction`] began ends with it: who stops
//! waiting stops the statement, and a dropped transaction is rolled back before anybody gets its connection.
//!
//! Not here: who may use which database (see `app`), the WIT interface (see `capabilities::sql`).

mod changes;
mod depth;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod lease;
pub mod ledger;
pub mod outbox;
mod postgres;
mod provision;
mod readings;
mod sqlite;
mod statement;
mod transaction;
mod value;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

pub use self::changes::Changes;
pub use self::depth::Depth;
use self::lease::Lease;
use self::readings::Readings;
pub use self::statement::Kind as StatementKind;
pub use self::transaction::{Transaction, TransactionOptions};
pub use self::value::{Cell, Constraint, ConstraintKind, PackedRows, SqlError, Value};

/// Wait of deploys and the like for a connection: a busy machine is no reason to refuse one.
const PATIENCE: Duration = Duration::from_secs(10);

/// The place of all databases.
pub struct Storage {
    backend: Backend,
    acquire_timeout: Duration,
}

enum Backend {
    Sqlite { folder: PathBuf },
    Postgres(Box<provision::Server>),
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database or its server refuses.
    #[error("cannot open the database of {owner}")]
    Database {
        /// The service, or `host`.
        owner: String,
        /// What the driver says.
        #[source]
        source: sqlx::Error,
    },
    /// The folder of the files cannot be made.
    #[error("cannot make the folder of the databases")]
    Folder(#[source] std::io::Error),
}

/// How many bytes and connections, and how much time, a database may use for its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections, and so transactions, at once.
    pub connections: u32,
    /// Largest packed answer of one statement.
    pub result_bytes: usize,
    /// Longest statement.
    pub statement_bytes: usize,
    /// All parameters of one statement together.
    pub params_bytes: usize,
    /// Longest run of one statement, waits for locks included; a guest's ends at its deadline if that is sooner.
    pub statement_timeout: Duration,
}

/// On whose behalf a statement runs.
#[derive(Clone, Copy, Debug)]
pub enum Caller {
    /// The host's: on its own tables, those in a service's database included.
    Host,
    /// A guest's: not on the host's tables and the databases' own, and nothing after its deadline.
    Guest {
        /// When its invocation ends.
        until: Instant,
    },
}

/// One database.
pub struct Database {
    pools: Pools,
    bounds: Bounds,
    readings: Readings,
    /// Told of each commit that left something in the outbox.
    published: Arc<Notify>,
}

enum Pools {
    Sqlite(sqlite::Pools),
    Postgres(sqlx::PgPool),
}

// === impl Storage ===

impl Storage {
    /// Uses files in a folder, made when missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn sqlite(folder: PathBuf, acquire_timeout: Duration) -> Result<Self, OpenError> {
        std::fs::create_dir_all(&folder).map_err(OpenError::Folder)?;
        Ok(Self { backend: Backend::Sqlite { folder }, acquire_timeout })
    }

    /// Uses a PostgreSQL server.
    ///
    /// # Errors
    /// When the URL is wrong or the server does not answer.
    pub async fn postgres(url: &str, acquire_timeout: Duration) -> Result<Self, OpenError> {
        let server = provision::Server::connect(url, acquire_timeout)
            .await
            .map_err(|source| OpenError::Database { owner: "host".to_owned(), source })?;
        Ok(Self { backend: Backend::Postgres(Box::new(server)), acquire_timeout })
    }

    /// Opens the database of an owner, made when it is missing. The name must be a valid identifier.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn open(&self, owner: &str, bounds: Bounds) -> Result<Database, OpenError> {
        self.open_waiting(owner, bounds, self.acquire_timeout).await
    }

    /// Opens one for work that is better late than refused: it waits longer for a connection.
    ///
    /// # Errors
    /// As for [`Storage::open`].
    pub async fn open_patient(&self, owner: &str, bounds: Bounds) -> Result<Database, OpenError> {
        self.open_waiting(owner, bounds, self.acquire_timeout.max(PATIENCE)).await
    }

    async fn open_waiting(&self, owner: &str, bounds: Bounds, acquire: Duration) -> Result<Database, OpenError> {
        let failed = |source| OpenError::Database { owner: owner.to_owned(), source };
        let pools = match &self.backend {
            Backend::Sqlite { folder } => {
                let file = folder.join(format!("{owner}.sqlite3"));
                Pools::Sqlite(sqlite::open(&file, bounds, acquire).await.map_err(failed)?)
            }
            Backend::Postgres(server) => {
                let options = server.provision(owner).await.map_err(failed)?;
                Pools::Postgres(postgres::open(options, bounds, acquire).await.map_err(failed)?)
            }
        };
        Ok(Database { pools, bounds, readings: Readings::default(), published: Arc::default() })
    }

    /// Says which database this is, for people.
    pub fn kind(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite { .. } => "sqlite",
            Backend::Postgres(_) => "postgres",
        }
    }
}

// === impl Database ===

impl Database {
    /// Runs one statement of the host's that answers rows.
    ///
    /// # Errors
    /// See [`SqlError`]; nothing has changed then.
    pub async fn query(&self, statement: &str, params: &[Value]) -> Result<PackedRows, SqlError> {
        self.query_for(Caller::Host, statement, params).await
    }

    /// Runs one statement that answers rows.
    ///
    /// # Errors
    /// See [`SqlError`]; nothing has changed then.
    ///
    /// # Cancel safety
    /// Dropping the future stops the statement.
    pub async fn query_for(&self, caller: Caller, statement: &str, params: &[Value]) -> Result<PackedRows, SqlError> {
        let kind = self.bounds.check(caller, &self.readings, statement, params)?;
        let until = caller.until(&self.bounds);
        let mut lease = self.lease(kind, until).await?;
        lease.query(until, statement, params, self.bounds.result_bytes).await
    }

    /// Runs one statement of the host's and answers how many rows it changed.
    ///
    /// # Errors
    /// See [`SqlError`]; nothing has changed then.
    pub async fn execute(&self, statement: &str, params: &[Value]) -> Result<u64, SqlError> {
        self.execute_for(Caller::Host, statement, params).await
    }

    /// Runs one statement and answers how many rows it changed.
    ///
    /// # Errors
    /// See [`SqlError`]; nothing has changed then.
    ///
    /// # Cancel safety
    /// Dropping the future stops the statement; it may have ended just before.
    pub async fn execute_for(&self, caller: Caller, statement: &str, params: &[Value]) -> Result<u64, SqlError> {
        let kind = self.bounds.check(caller, &self.readings, statement, params)?;
        let until = caller.until(&self.bounds);
        let mut lease = self.lease(kind, until).await?;
        lease.execute(until, statement, params).await
    }

    /// Starts a transaction of the host's.
    ///
    /// # Errors
    /// When no connection is free in time or the database cannot be reached.
    pub async fn begin(&self, options: TransactionOptions) -> Result<Transaction, SqlError> {
        self.begin_for(Caller::Host, options).await
    }

    /// Starts a transaction.
    ///
    /// # Errors
    /// When no connection is free in time or the database cannot be reached.
    ///
    /// # Cancel safety
    /// Dropping the future rolls back what may have begun.
    pub async fn begin_for(&self, caller: Caller, options: TransactionOptions) -> Result<Transaction, SqlError> {
        let until = caller.until(&self.bounds);
        let mut lease = self.lease(options.kind(), until).await?;
        lease.begin(until, options).await?;
        Ok(Transaction::new(lease, self.bounds, caller, self.readings.clone(), Arc::clone(&self.published)))
    }

    /// Says whether other hosts can be on the same database.
    pub fn is_shared(&self) -> bool {
        matches!(self.pools, Pools::Postgres(_))
    }

    /// Returns the SQL expression of the database's own clock, in microseconds since 1970-01-01, UTC.
    ///
    /// Hosts compare times only by this one. On PostgreSQL it stands still during a statement, on SQLite only during
    /// one row: a statement that compares several rows with it gets it as a parameter.
    pub fn clock(&self) -> &'static str {
        match self.pools {
            Pools::Sqlite(_) => "CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)",
            Pools::Postgres(_) => "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS BIGINT)",
        }
    }

    /// Closes all connections, after what runs on them.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite(pools) => pools.close().await,
            Pools::Postgres(pool) => pool.close().await,
        }
    }

    async fn lease(&self, kind: StatementKind, until: Instant) -> Result<Lease, SqlError> {
        Ok(match &self.pools {
            Pools::Sqlite(pools) => Lease::Sqlite(pools.acquire(kind, until).await?),
            Pools::Postgres(pool) => Lease::Postgres(postgres::Lease::acquire(pool, until).await?),
        })
    }
}

// === impl Caller ===

impl Caller {
    /// Returns the moment at which a statement that starts now must have ended.
    fn until(self, bounds: &Bounds) -> Instant {
        let longest = Instant::now() + bounds.statement_timeout;
        match self {
            Self::Host => longest,
            Self::Guest { until } => until.min(longest),
        }
    }
}

// === impl Bounds ===

impl Bounds {
    fn check(
        &self,
        caller: Caller,
        readings: &Readings,
        statement: &str,
        params: &[Value],
    ) -> Result<StatementKind, SqlError> {
        if statement.len() > self.statement_bytes {
            return Err(SqlError::TooLarge);
        }
        if params.iter().map(Value::size).sum::<usize>() > self.params_bytes {
            return Err(SqlError::TooLarge);
        }
        let reading = match caller {
            Caller::Host => statement::classify(statement),
            Caller::Guest { .. } => readings.classify_for_guest(statement),
        };
        let reading = reading.map_err(SqlError::Invalid)?;
        if reading.parameters != params.len() {
            let (wanted, given) = (reading.parameters, params.len());
            return Err(SqlError::Invalid(format!("the statement has {wanted} parameters and got {given}")));
        }
        Ok(reading.kind)
    }
}

#[cfg(test)]
mod tests;
