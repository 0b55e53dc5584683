//! A connection to the server while one statement or one transaction uses it.
//!
//! What is left in the middle of a statement is closed: the server notices within a tenth of a second (see
//! `provision`), ends the statement and rolls back, and the next owner never waits for what the last one began. An open
//! transaction that is dropped between two statements is rolled back by the connection itself.

use std::time::Instant;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgTransactionManager;
use sqlx::{PgConnection, PgPool, Postgres, SqlSafeStr as _};
use sqlx_core::transaction::TransactionManager as _;

use super::{execute, fetch, run};
use crate::db::lease::{Stop, Usage, by};
use crate::db::{PackedRows, SqlError, TransactionOptions, Value};

/// A connection that nobody else uses.
pub(in crate::db) struct Lease {
    connection: PoolConnection<Postgres>,
    usage: Usage,
}

impl Lease {
    /// Waits for a free connection, in turn.
    pub(in crate::db) async fn acquire(pool: &PgPool, until: Instant) -> Result<Self, SqlError> {
        let acquired = tokio::time::timeout_at(until.into(), pool.acquire()).await;
        let connection = acquired.map_err(|_| SqlError::Timeout)??;
        Ok(Self { connection, usage: Usage::default() })
    }

    pub(in crate::db) async fn query(
        &mut self,
        until: Instant,
        statement: &str,
        params: &[Value],
        limit: usize,
    ) -> Result<PackedRows, SqlError> {
        self.usage.start()?;
        let outcome = by(until, fetch(&mut self.connection, statement, params, limit)).await;
        self.end(outcome)
    }

    pub(in crate::db) async fn execute(
        &mut self,
        until: Instant,
        statement: &str,
        params: &[Value],
    ) -> Result<u64, SqlError> {
        self.usage.start()?;
        let outcome = by(until, execute(&mut self.connection, statement, params)).await;
        self.end(outcome)
    }

    pub(in crate::db) async fn script(&mut self, until: Instant, script: &str) -> Result<(), SqlError> {
        self.usage.start()?;
        let outcome = by(until, run(&mut self.connection, script)).await;
        self.end(outcome)
    }

    pub(in crate::db) async fn begin(&mut self, until: Instant, options: TransactionOptions) -> Result<(), SqlError> {
        self.usage.start()?;
        self.usage.is_in_transaction = true;
        let outcome = by(until, begin(&mut self.connection, options)).await;
        self.end(outcome)
    }

    pub(in crate::db) async fn commit(&mut self, until: Instant) -> Result<(), SqlError> {
        self.usage.start()?;
        let outcome = by(until, commit(&mut self.connection)).await;
        self.end(outcome)?;
        self.usage.is_in_transaction = false;
        Ok(())
    }

    fn end<T>(&mut self, outcome: Result<T, Stop>) -> Result<T, SqlError> {
        // Any error aborts a transaction here; its COMMIT would roll back and call that a success.
        let is_rolled_back = matches!(outcome, Err(Stop::Ended(_)));
        self.usage.end(outcome, is_rolled_back)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.usage.is_unfinished {
            self.connection.close_on_drop();
        } else if self.usage.is_in_transaction {
            // Sent as the connection goes back to its pool, which waits for the answer before it is free.
            PgTransactionManager::start_rollback(&mut self.connection);
        }
    }
}

async fn begin(connection: &mut PgConnection, options: TransactionOptions) -> Result<(), Stop> {
    let statement = match (options.serializable, options.writes) {
        (true, true) => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        (true, false) => "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY",
        (false, true) => "BEGIN",
        (false, false) => "BEGIN READ ONLY",
    };
    PgTransactionManager::begin(connection, Some(statement.into_sql_str())).await.map_err(Stop::Ended)
}

async fn commit(connection: &mut PgConnection) -> Result<(), Stop> {
    PgTransactionManager::commit(connection).await.map_err(Stop::Ended)
}
