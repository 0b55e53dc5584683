//! An open transaction: statements that take effect together at its commit, or not at all.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::lease::Lease;
use super::readings::Readings;
use super::{Bounds, Caller, PackedRows, SqlError, StatementKind, Value};

/// What a transaction may do and how far it is kept from others.
#[derive(Clone, Copy, Debug)]
pub struct TransactionOptions {
    /// Whether it writes.
    pub writes: bool,
    /// Whether it is serializable rather than read committed; SQLite always is.
    pub serializable: bool,
}

/// An open transaction; rolled back when dropped, before anybody else gets its connection.
///
/// It is over, too, when a statement was given up in the middle (`Timeout`, `TooLarge`), and on PostgreSQL after any
/// failed statement: what follows is refused, its commit included.
pub struct Transaction {
    lease: Lease,
    bounds: Bounds,
    caller: Caller,
    readings: Readings,
    /// To be told when it has left something in the outbox.
    published: Arc<Notify>,
    has_published: bool,
}

impl TransactionOptions {
    /// Returns what its statements do.
    pub(super) fn kind(self) -> StatementKind {
        if self.writes { StatementKind::Write } else { StatementKind::Read }
    }
}

impl Transaction {
    /// Takes a connection on which a transaction has begun.
    pub(super) fn new(
        lease: Lease,
        bounds: Bounds,
        caller: Caller,
        readings: Readings,
        published: Arc<Notify>,
    ) -> Self {
        Self { lease, bounds, caller, readings, published, has_published: false }
    }

    /// Runs one statement that answers rows.
    ///
    /// # Errors
    /// See [`SqlError`].
    ///
    /// # Cancel safety
    /// Dropping the future stops the statement and ends the transaction.
    pub async fn query(&mut self, statement: &str, params: &[Value]) -> Result<PackedRows, SqlError> {
        self.bounds.check(self.caller, &self.readings, statement, params)?;
        let until = self.caller.until(&self.bounds);
        self.lease.query(until, statement, params, self.bounds.result_bytes).await
    }

    /// Runs one statement and answers how many rows it changed.
    ///
    /// # Errors
    /// See [`SqlError`].
    ///
    /// # Cancel safety
    /// As for [`Transaction::query`].
    pub async fn execute(&mut self, statement: &str, params: &[Value]) -> Result<u64, SqlError> {
        self.bounds.check(self.caller, &self.readings, statement, params)?;
        let until = self.caller.until(&self.bounds);
        self.lease.execute(until, statement, params).await
    }

    /// Makes all of it durable.
    ///
    /// # Errors
    /// When the database refuses or the transaction is over; nothing has changed then, unless the connection broke or
    /// the time ran out during the commit.
    ///
    /// # Cancel safety
    /// Once the future was polled and dropped, the transaction is committed or rolled back, whichever was first.
    pub async fn commit(mut self) -> Result<(), SqlError> {
        let until = self.caller.until(&self.bounds);
        let outcome = self.lease.commit(until).await;
        // Also after an error: it may have been committed.
        if self.has_published {
            self.published.notify_one();
        }
        outcome
    }

    /// Runs a statement of the host's that puts an event into the outbox; the bounds of the service are not its own.
    pub(super) async fn fill_outbox(&mut self, statement: &str, params: &[Value]) -> Result<(), SqlError> {
        let until = self.caller.until(&self.bounds);
        self.lease.execute(until, statement, params).await?;
        self.has_published = true;
        Ok(())
    }

    /// Runs all statements of a script that the host has written or checked.
    pub(super) async fn script(&mut self, script: &str) -> Result<(), SqlError> {
        let until = self.caller.until(&self.bounds);
        self.lease.script(until, script).await
    }

    /// Gives the statements of this transaction more time than others have.
    pub(super) async fn lengthen(&mut self, statement_timeout: Duration) -> Result<(), SqlError> {
        self.bounds.statement_timeout = statement_timeout;
        if matches!(self.lease, Lease::Sqlite(_)) {
            // The host's own clock is the only one.
            return Ok(());
        }
        let millis = statement_timeout.as_millis();
        let script = format!(
            "SET LOCAL statement_timeout = {millis}; SET LOCAL lock_timeout = '10s'; \
             SET LOCAL idle_in_transaction_session_timeout = '10s'"
        );
        self.script(&script).await
    }
}
