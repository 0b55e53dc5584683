//! Databases: one per service, reached by nobody else, and one of the host's own.
//!
//! [`Storage`] opens them where `storage.url` says; a [`Database`] runs statements and transactions on one of
//! them, the same way on SQLite and PostgreSQL. A dropped [`Transaction`] is rolled back.
//!
//! Not here: who may use which database (see `app`), the WIT interface (see `capabilities::sql`).

mod changes;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
pub mod ledger;
mod postgres;
mod provision;
mod sqlite;
mod statement;
mod value;

use std::path::PathBuf;
use std::time::Duration;

pub use self::changes::Changes;
pub use self::statement::Kind as StatementKind;
pub use self::value::{Cell, Constraint, ConstraintKind, PackedRows, SqlError, Value};

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

/// How many bytes and connections a database may use for its owner.
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
}

/// One database.
pub struct Database {
    pools: Pools,
    bounds: Bounds,
}

enum Pools {
    Sqlite(sqlite::Pools),
    Postgres(sqlx::PgPool),
}

/// An open transaction; rolled back when dropped.
pub struct Transaction {
    connection: OpenTransaction,
    bounds: Bounds,
}

enum OpenTransaction {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// What a transaction may do and how far it is kept from others.
#[derive(Clone, Copy, Debug)]
pub struct TransactionOptions {
    /// Whether it writes.
    pub writes: bool,
    /// Whether it is serializable rather than read committed; SQLite always is.
    pub serializable: bool,
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
        let failed = |source| OpenError::Database { owner: owner.to_owned(), source };
        let pools = match &self.backend {
            Backend::Sqlite { folder } => {
                let file = folder.join(format!("{owner}.sqlite3"));
                Pools::Sqlite(sqlite::open(&file, bounds, self.acquire_timeout).await.map_err(failed)?)
            }
            Backend::Postgres(server) => {
                let options = server.provision(owner).await.map_err(failed)?;
                Pools::Postgres(postgres::open(options, bounds, self.acquire_timeout).await.map_err(failed)?)
            }
        };
        Ok(Database { pools, bounds })
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
    /// Runs one statement that answers rows.
    ///
    /// # Errors
    /// See [`SqlError`]; nothing has changed then.
    pub async fn query(&self, statement: &str, params: &[Value]) -> Result<PackedRows, SqlError> {
        let kind = self.bounds.check(statement, params)?;
        match &self.pools {
            Pools::Sqlite(pools) => {
                let mut connection = pools.acquire(kind).await?;
                sqlite::query(&mut connection, statement, params, self.bounds.result_bytes).await
            }
            Pools::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                postgres::query(&mut connection, statement, params, self.bounds.result_bytes).await
            }
        }
    }

    /// Runs one statement and answers how many rows it changed.
    ///
    /// # Errors
    /// See [`SqlError`]; nothing has changed then.
    pub async fn execute(&self, statement: &str, params: &[Value]) -> Result<u64, SqlError> {
        let kind = self.bounds.check(statement, params)?;
        match &self.pools {
            Pools::Sqlite(pools) => sqlite::execute(&mut *pools.acquire(kind).await?, statement, params).await,
            Pools::Postgres(pool) => postgres::execute(&mut *pool.acquire().await?, statement, params).await,
        }
    }

    /// Starts a transaction.
    ///
    /// # Errors
    /// When no connection is free in time or the database cannot be reached.
    pub async fn begin(&self, options: TransactionOptions) -> Result<Transaction, SqlError> {
        let connection = match &self.pools {
            Pools::Sqlite(pools) => OpenTransaction::Sqlite(pools.begin(options).await?),
            Pools::Postgres(pool) => OpenTransaction::Postgres(postgres::begin(pool, options).await?),
        };
        Ok(Transaction { connection, bounds: self.bounds })
    }

    /// Closes all connections, after what runs on them.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite(pools) => pools.close().await,
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}

// === impl Transaction ===

impl Transaction {
    /// Runs one statement that answers rows.
    ///
    /// # Errors
    /// See [`SqlError`].
    pub async fn query(&mut self, statement: &str, params: &[Value]) -> Result<PackedRows, SqlError> {
        self.bounds.check(statement, params)?;
        let limit = self.bounds.result_bytes;
        match &mut self.connection {
            OpenTransaction::Sqlite(tx) => sqlite::query(tx, statement, params, limit).await,
            OpenTransaction::Postgres(tx) => postgres::query(tx, statement, params, limit).await,
        }
    }

    /// Runs one statement and answers how many rows it changed.
    ///
    /// # Errors
    /// See [`SqlError`].
    pub async fn execute(&mut self, statement: &str, params: &[Value]) -> Result<u64, SqlError> {
        self.bounds.check(statement, params)?;
        match &mut self.connection {
            OpenTransaction::Sqlite(tx) => sqlite::execute(tx, statement, params).await,
            OpenTransaction::Postgres(tx) => postgres::execute(tx, statement, params).await,
        }
    }

    /// Makes all of it durable.
    ///
    /// # Errors
    /// When the database refuses; nothing has changed then, unless the connection broke during the commit.
    pub async fn commit(self) -> Result<(), SqlError> {
        match self.connection {
            OpenTransaction::Sqlite(tx) => tx.commit().await?,
            OpenTransaction::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

// === impl Bounds ===

impl Bounds {
    fn check(&self, statement: &str, params: &[Value]) -> Result<StatementKind, SqlError> {
        if statement.len() > self.statement_bytes {
            return Err(SqlError::TooLarge);
        }
        if params.iter().map(Value::size).sum::<usize>() > self.params_bytes {
            return Err(SqlError::TooLarge);
        }
        statement::classify(statement).map_err(SqlError::Invalid)
    }
}

#[cfg(test)]
mod tests;
