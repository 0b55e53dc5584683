//! Grants the service's own database and no other; see `wit/platform/sql.wit`.
//!
//! A guest names no database: the context holds the one it has, for so long and so many statements as the invocation
//! has. A transaction is a resource of the instance's table, so that dropping the store rolls it back, whatever happened
//! to the guest; dropping a call stops its statement.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use super::Denied;
use crate::bindings::provesi::platform::sql as wit;
use crate::db::{self, Caller, Database, SqlError, Transaction, TransactionOptions};

/// How long and how much one invocation may use its database.
#[derive(Clone, Copy, Debug)]
pub struct SqlAllowance {
    /// When it ends; no statement runs longer.
    pub until: Instant,
    /// Statements, each begin counted as one.
    pub statements: u32,
    /// Transactions that may be open at once.
    pub transactions: u32,
}

/// The database of one instance's service.
pub struct SqlCtx {
    /// None while a component is described, and for services without the grant.
    database: Option<Arc<Database>>,
    /// What may be published; none without the grant `events`.
    topics: Option<Arc<BTreeSet<String>>>,
    /// What is left of it.
    allowance: SqlAllowance,
}

/// A guest's transaction; rolled back when dropped.
pub struct GuestTransaction(Transaction);

/// The context and the table of one instance, borrowed for one call.
pub struct SqlView<'a> {
    ctx: &'a mut SqlCtx,
    table: &'a mut ResourceTable,
}

/// Adds the interface to a linker.
///
/// # Errors
/// When it is there already.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> SqlView<'_>,
) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasSql>(linker, view)
}

struct HasSql;

impl HasData for HasSql {
    type Data<'a> = SqlView<'a>;
}

// === impl SqlCtx ===

impl SqlCtx {
    /// Grants a database, and topics that its transactions may publish events of, for one invocation.
    pub fn new(
        database: Option<Arc<Database>>,
        topics: Option<Arc<BTreeSet<String>>>,
        allowance: SqlAllowance,
    ) -> Self {
        Self { database, topics, allowance }
    }

    /// Counts a statement, or refuses it.
    fn count(&mut self) -> Result<(), wit::Error> {
        self.allowance.statements = self.allowance.statements.checked_sub(1).ok_or(wit::Error::TooLarge)?;
        Ok(())
    }

    fn check_topic(&self, topic: &str) -> Result<(), wit::Error> {
        let shown = || topic.chars().take(100).collect::<String>();
        match &self.topics {
            None => Err(wit::Error::Invalid("to publish events, the service needs the grant \"events\"".to_owned())),
            Some(topics) if topics.contains(topic) => Ok(()),
            Some(_) => Err(wit::Error::Invalid(format!("the description names no topic {:?}", shown()))),
        }
    }

    fn caller(&self) -> Caller {
        Caller::Guest { until: self.allowance.until }
    }
}

// === impl SqlView ===

impl<'a> SqlView<'a> {
    /// Borrows what one call needs.
    pub fn new(ctx: &'a mut SqlCtx, table: &'a mut ResourceTable) -> Self {
        Self { ctx, table }
    }

    /// Counts a statement outside of any transaction and says where it runs.
    fn database(&mut self) -> wasmtime::Result<Result<Arc<Database>, wit::Error>> {
        let database = self.ctx.database.clone().ok_or(Denied("sql"))?;
        Ok(self.ctx.count().map(|()| database))
    }

    /// Counts a statement of a transaction and says where it runs.
    fn transaction(
        &mut self,
        this: &Resource<GuestTransaction>,
    ) -> wasmtime::Result<Result<&mut Transaction, wit::Error>> {
        let transaction = &mut self.table.get_mut(this)?.0;
        Ok(self.ctx.count().map(|()| transaction))
    }

    /// Takes a transaction out of the table.
    fn take(&mut self, this: Resource<GuestTransaction>) -> wasmtime::Result<Transaction> {
        let GuestTransaction(transaction) = self.table.delete(this)?;
        self.ctx.allowance.transactions += 1;
        Ok(transaction)
    }
}

impl wit::Host for SqlView<'_> {
    async fn query(
        &mut self,
        statement: String,
        params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<wit::Rows, wit::Error>> {
        let database = match self.database()? {
            Ok(database) => database,
            Err(error) => return Ok(Err(error)),
        };
        Ok(rows(database.query_for(self.ctx.caller(), &statement, &values(params)).await))
    }

    async fn execute(
        &mut self,
        statement: String,
        params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<u64, wit::Error>> {
        let database = match self.database()? {
            Ok(database) => database,
            Err(error) => return Ok(Err(error)),
        };
        Ok(database.execute_for(self.ctx.caller(), &statement, &values(params)).await.map_err(error))
    }

    async fn begin(
        &mut self,
        options: wit::TransactionOptions,
    ) -> wasmtime::Result<Result<Resource<GuestTransaction>, wit::Error>> {
        let database = match self.database()? {
            Ok(database) => database,
            Err(error) => return Ok(Err(error)),
        };
        let Some(left) = self.ctx.allowance.transactions.checked_sub(1) else { return Ok(Err(wit::Error::TooLarge)) };
        let options = TransactionOptions {
            writes: options.access == wit::AccessMode::ReadWrite,
            serializable: options.isolation == wit::Isolation::Serializable,
        };
        match database.begin_for(self.ctx.caller(), options).await {
            Ok(transaction) => {
                self.ctx.allowance.transactions = left;
                Ok(Ok(self.table.push(GuestTransaction(transaction))?))
            }
            Err(reason) => Ok(Err(error(reason))),
        }
    }
}

impl wit::HostTransaction for SqlView<'_> {
    async fn query(
        &mut self,
        this: Resource<GuestTransaction>,
        statement: String,
        params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<wit::Rows, wit::Error>> {
        let transaction = match self.transaction(&this)? {
            Ok(transaction) => transaction,
            Err(error) => return Ok(Err(error)),
        };
        Ok(rows(transaction.query(&statement, &values(params)).await))
    }

    async fn execute(
        &mut self,
        this: Resource<GuestTransaction>,
        statement: String,
        params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<u64, wit::Error>> {
        let transaction = match self.transaction(&this)? {
            Ok(transaction) => transaction,
            Err(error) => return Ok(Err(error)),
        };
        Ok(transaction.execute(&statement, &values(params)).await.map_err(error))
    }

    async fn publish(
        &mut self,
        this: Resource<GuestTransaction>,
        event: wit::Event,
    ) -> wasmtime::Result<Result<(), wit::Error>> {
        if let Err(error) = self.ctx.check_topic(&event.topic) {
            return Ok(Err(error));
        }
        let transaction = match self.transaction(&this)? {
            Ok(transaction) => transaction,
            Err(error) => return Ok(Err(error)),
        };
        let published = transaction.publish(&event.topic, &event.key, event.payload).await;
        Ok(published.map(drop).map_err(error))
    }

    async fn commit(&mut self, this: Resource<GuestTransaction>) -> wasmtime::Result<Result<(), wit::Error>> {
        Ok(self.take(this)?.commit().await.map_err(error))
    }

    async fn drop(&mut self, this: Resource<GuestTransaction>) -> wasmtime::Result<()> {
        self.take(this).map(drop)
    }
}

fn values(params: Vec<wit::Value>) -> Vec<db::Value> {
    let value = |param| match param {
        wit::Value::Null => db::Value::Null,
        wit::Value::Boolean(value) => db::Value::Boolean(value),
        wit::Value::Integer(value) => db::Value::Integer(value),
        wit::Value::Real(value) => db::Value::Real(value),
        wit::Value::Text(value) => db::Value::Text(value),
        wit::Value::Blob(value) => db::Value::Blob(value),
        wit::Value::Timestamp(value) => db::Value::Timestamp(value),
    };
    params.into_iter().map(value).collect()
}

fn rows(outcome: Result<db::PackedRows, SqlError>) -> Result<wit::Rows, wit::Error> {
    outcome.map(|rows| wit::Rows { width: rows.width, count: rows.count, cells: rows.cells }).map_err(error)
}

fn error(reason: SqlError) -> wit::Error {
    match reason {
        SqlError::Constraint(broken) => wit::Error::Constraint(wit::Constraint {
            kind: match broken.kind {
                db::ConstraintKind::Unique => wit::ConstraintKind::Unique,
                db::ConstraintKind::ForeignKey => wit::ConstraintKind::ForeignKey,
                db::ConstraintKind::Check => wit::ConstraintKind::Check,
                db::ConstraintKind::NotNull => wit::ConstraintKind::NotNull,
            },
            name: broken.name,
        }),
        SqlError::Conflict => wit::Error::Conflict,
        SqlError::Timeout => wit::Error::Timeout,
        SqlError::TooLarge => wit::Error::TooLarge,
        SqlError::Invalid(what) => wit::Error::Invalid(what),
        SqlError::Unavailable(source) => {
            // The guest learns nothing of the host's addresses, so the reason is told here.
            tracing::error!(error = %source, "a database cannot be reached");
            wit::Error::Unavailable
        }
    }
}

#[cfg(test)]
mod tests;
