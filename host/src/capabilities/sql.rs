//! Grants the service's own database and no other; see `wit/platform/sql.wit`.
//!
//! A guest names no database: the context holds the one it has. A transaction is a resource of the instance's
//! table, so that dropping the store rolls it back, whatever happened to the guest.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use crate::bindings::provesi::platform::sql as wit;
use crate::db::{self, Database, SqlError, Transaction, TransactionOptions};

/// Transactions that one instance may have open; more than a few is a leak.
const MAX_OPEN_TRANSACTIONS: usize = 4;

/// The database of one instance's service.
#[derive(Default)]
pub struct SqlCtx {
    /// None while a component is described, and for services without the grant.
    database: Option<Arc<Database>>,
    open: usize,
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
    /// Grants a database.
    pub fn new(database: Option<Arc<Database>>) -> Self {
        Self { database, open: 0 }
    }
}

// === impl SqlView ===

impl<'a> SqlView<'a> {
    /// Borrows what one call needs.
    pub fn new(ctx: &'a mut SqlCtx, table: &'a mut ResourceTable) -> Self {
        Self { ctx, table }
    }

    fn database(&self) -> Result<Arc<Database>, wit::Error> {
        self.ctx.database.clone().ok_or(wit::Error::Unavailable)
    }

    fn transaction(&mut self, this: &Resource<GuestTransaction>) -> wasmtime::Result<&mut Transaction> {
        Ok(&mut self.table.get_mut(this)?.0)
    }
}

impl wit::Host for SqlView<'_> {
    async fn query(
        &mut self,
        statement: String,
        params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<wit::Rows, wit::Error>> {
        let database = match self.database() {
            Ok(database) => database,
            Err(error) => return Ok(Err(error)),
        };
        Ok(rows(database.query(&statement, &values(params)).await))
    }

    async fn execute(
        &mut self,
        statement: String,
        params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<u64, wit::Error>> {
        let database = match self.database() {
            Ok(database) => database,
            Err(error) => return Ok(Err(error)),
        };
        Ok(database.execute(&statement, &values(params)).await.map_err(error))
    }

    async fn begin(
        &mut self,
        options: wit::TransactionOptions,
    ) -> wasmtime::Result<Result<Resource<GuestTransaction>, wit::Error>> {
        let database = match self.database() {
            Ok(database) => database,
            Err(error) => return Ok(Err(error)),
        };
        if self.ctx.open >= MAX_OPEN_TRANSACTIONS {
            return Ok(Err(wit::Error::TooLarge));
        }
        let options = TransactionOptions {
            writes: options.access == wit::AccessMode::ReadWrite,
            serializable: options.isolation == wit::Isolation::Serializable,
        };
        match database.begin(options).await {
            Ok(transaction) => {
                self.ctx.open += 1;
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
        Ok(rows(self.transaction(&this)?.query(&statement, &values(params)).await))
    }

    async fn execute(
        &mut self,
        this: Resource<GuestTransaction>,
        statement: String,
        params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<u64, wit::Error>> {
        Ok(self.transaction(&this)?.execute(&statement, &values(params)).await.map_err(error))
    }

    async fn commit(&mut self, this: Resource<GuestTransaction>) -> wasmtime::Result<Result<(), wit::Error>> {
        self.ctx.open -= 1;
        Ok(self.table.delete(this)?.0.commit().await.map_err(error))
    }

    async fn drop(&mut self, this: Resource<GuestTransaction>) -> wasmtime::Result<()> {
        self.ctx.open -= 1;
        self.table.delete(this)?;
        Ok(())
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
