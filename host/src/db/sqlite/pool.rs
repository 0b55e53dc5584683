//! Connections to one file, each leased to one statement or transaction at a time.
//!
//! A connection goes back at once when nothing runs on it: a rollback that is still due is queued on its thread before
//! anything of the next owner. A statement that is cut short is stopped, the rollback queued behind it, and only when
//! both have ended does the connection count as free.
//!
//! Why sqlx's own pool does not do: `docs/adr/0013-sqlite-statements-end-with-their-invocation.md`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteTransactionManager};
use sqlx::{Connection as _, SqlSafeStr as _, SqliteConnection};
use sqlx_core::transaction::TransactionManager as _;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, TryAcquireError};
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::{bind, execute, fetch, run};
use crate::db::lease::{Stop, Usage, by};
use crate::db::{Bounds, PackedRows, SqlError, TransactionOptions, Value};

/// A bounded number of connections.
pub(super) struct Pool {
    options: SqliteConnectOptions,
    bounds: Bounds,
    size: u32,
    acquire_timeout: Duration,
    /// One permit for each connection that may be leased, opened or not.
    free: Semaphore,
    idle: Mutex<Vec<Connection>>,
    /// What waits for stopped statements to end.
    settling: TaskTracker,
}

/// A connection that nobody else uses.
pub(in crate::db) struct Lease {
    pool: Arc<Pool>,
    /// None only while the lease is dropped.
    connection: Option<Connection>,
    usage: Usage,
}

// === impl Pool ===

impl Pool {
    /// Opens the first connection; the others are opened when they are needed.
    pub(super) async fn open(
        options: SqliteConnectOptions,
        bounds: Bounds,
        size: u32,
        acquire_timeout: Duration,
    ) -> sqlx::Result<Arc<Self>> {
        let first = Connection::open(&options, &bounds).await?;
        Ok(Arc::new(Self {
            options,
            bounds,
            size,
            acquire_timeout,
            free: Semaphore::new(usize::try_from(size).unwrap_or(Semaphore::MAX_PERMITS)),
            idle: Mutex::new(vec![first]),
            settling: TaskTracker::new(),
        }))
    }

    /// Waits for a free connection, in turn.
    pub(super) async fn acquire(self: &Arc<Self>, until: Instant) -> Result<Lease, SqlError> {
        let until = until.min(Instant::now() + self.acquire_timeout);
        let permit = match self.free.try_acquire() {
            Ok(permit) => permit,
            Err(TryAcquireError::NoPermits) => {
                let turn = tokio::time::timeout_at(until.into(), self.free.acquire()).await;
                turn.map_err(|_| SqlError::Timeout)?.map_err(|_| closed())?
            }
            Err(TryAcquireError::Closed) => return Err(closed()),
        };
        // The one that was used last has the warmest caches.
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let opened = tokio::time::timeout_at(until.into(), Connection::open(&self.options, &self.bounds)).await;
                opened.map_err(|_| SqlError::Timeout)??
            }
        };
        permit.forget();
        Ok(Lease { pool: Arc::clone(self), connection: Some(connection), usage: Usage::default() })
    }

    /// Closes all connections once nothing runs on them, or nothing should any more.
    pub(super) async fn close(&self) {
        let all = tokio::time::timeout(self.bounds.statement_timeout, self.free.acquire_many(self.size)).await;
        if all.is_err() {
            tracing::warn!("a database is closed while it is used");
        }
        self.free.close();
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in idle {
            // Nobody is left to be told, and the file is whole in any case.
            let _ = connection.raw.close().await;
        }
    }

    fn put_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.free.add_permits(1);
    }

    /// Puts a connection back when all that is queued on it has ended, if it is clean then.
    fn settle(self: &Arc<Self>, mut connection: Connection) {
        let pool = Arc::clone(self);
        let settled = async move {
            // Answered behind the statement and the rollback. The wait is as long as a few steps of SQLite's machine,
            // which the largest value bounds; meanwhile the service has one connection less, and nobody else has.
            let answers = connection.raw.ping().await.is_ok();
            // sqlx goes on counting a transaction that SQLite has rolled back by itself, and would begin no other.
            if answers && SqliteTransactionManager::get_transaction_depth(&connection.raw) == 0 {
                connection.resume();
                pool.put_back(connection);
            } else {
                drop(connection);
                pool.free.add_permits(1);
            }
        };
        match Handle::try_current() {
            Ok(runtime) => drop(self.settling.spawn_on(settled, &runtime)),
            // Nothing can wait without a runtime: the connection's thread closes the file when it is done.
            Err(_) => self.free.add_permits(1),
        }
    }
}

fn closed() -> SqlError {
    SqlError::Unavailable(sqlx::Error::PoolClosed)
}

// === impl Lease ===

impl Lease {
    pub(in crate::db) async fn query(
        &mut self,
        until: Instant,
        statement: &str,
        params: &[Value],
        limit: usize,
    ) -> Result<PackedRows, SqlError> {
        let arguments = bind(params)?;
        self.usage.start()?;
        let outcome = by(until, fetch(self.raw(), statement, arguments, limit)).await;
        self.end(outcome)
    }

    pub(in crate::db) async fn execute(
        &mut self,
        until: Instant,
        statement: &str,
        params: &[Value],
    ) -> Result<u64, SqlError> {
        let arguments = bind(params)?;
        self.usage.start()?;
        let outcome = by(until, execute(self.raw(), statement, arguments)).await;
        self.end(outcome)
    }

    pub(in crate::db) async fn script(&mut self, until: Instant, script: &str) -> Result<(), SqlError> {
        self.usage.start()?;
        let outcome = by(until, run(self.raw(), script)).await;
        self.end(outcome)
    }

    pub(in crate::db) async fn begin(&mut self, until: Instant, options: TransactionOptions) -> Result<(), SqlError> {
        self.usage.start()?;
        self.usage.is_in_transaction = true;
        let outcome = by(until, begin(self.raw(), options)).await;
        // Only now: what the last owner began is rolled back by the connection's thread before it begins this.
        self.connection().begin();
        self.end(outcome)
    }

    pub(in crate::db) async fn commit(&mut self, until: Instant) -> Result<(), SqlError> {
        self.usage.start()?;
        let outcome = by(until, commit(self.raw())).await;
        self.end(outcome)?;
        self.usage.is_in_transaction = false;
        Ok(())
    }

    fn end<T>(&mut self, outcome: Result<T, Stop>) -> Result<T, SqlError> {
        // A full disk or `OR ROLLBACK` ends a transaction, and each statement that follows would be one by itself.
        let is_rolled_back = self.connection().was_rolled_back();
        self.usage.end(outcome, is_rolled_back)
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("only a dropped lease has no connection")
    }

    fn raw(&mut self) -> &mut SqliteConnection {
        &mut self.connection.as_mut().expect("only a dropped lease has no connection").raw
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let Usage { is_unfinished, is_in_transaction, .. } = self.usage;
        let is_doubtful = is_unfinished || (is_in_transaction && connection.was_rolled_back());
        if is_unfinished {
            connection.stop();
        }
        if is_in_transaction {
            // A commit that went through meanwhile, or a begin that did not, is known to the connection's thread.
            SqliteTransactionManager::start_rollback(&mut connection.raw);
        }
        if is_doubtful {
            self.pool.settle(connection);
        } else {
            self.pool.put_back(connection);
        }
    }
}

async fn begin(connection: &mut SqliteConnection, options: TransactionOptions) -> Result<(), Stop> {
    // IMMEDIATE: a transaction that starts as a reader could not become a writer behind another's back.
    let statement = if options.writes { "BEGIN IMMEDIATE" } else { "BEGIN" };
    SqliteTransactionManager::begin(connection, Some(statement.into_sql_str())).await.map_err(Stop::Ended)
}

async fn commit(connection: &mut SqliteConnection) -> Result<(), Stop> {
    SqliteTransactionManager::commit(connection).await.map_err(Stop::Ended)
}
