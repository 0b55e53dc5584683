//! The service's database: statements, transactions, rows to structs.
//!
//! A [`Transaction`] that is not committed is rolled back. Rows are read in the order of the SELECT list; texts
//! borrow from the answer.

mod rows;
mod write;

use std::fmt::Display;

use serde::Serialize;

use crate::bindings::provesi::platform::sql as wit;
use crate::{Timestamp, json};

pub use self::rows::{Cell, Cells, FromCell, FromRow, Rows};
pub use self::write::{Column, Unique, insert, update};
pub use wit::{Constraint, ConstraintKind, Error, Value};

/// What can run statements: the database itself, or a transaction on it.
pub trait Connection {
    /// Runs one statement that answers rows.
    ///
    /// # Errors
    /// See [`Error`].
    fn query(&self, statement: &str, params: &[Value]) -> Result<Rows, Error>;

    /// Runs one statement and answers how many rows it changed.
    ///
    /// # Errors
    /// See [`Error`].
    fn execute(&self, statement: &str, params: &[Value]) -> Result<u64, Error>;

    /// Runs a statement and reads all rows.
    ///
    /// # Errors
    /// See [`Error`].
    fn all<T: for<'r> FromRow<'r>>(&self, statement: &str, params: &[Value]) -> Result<Vec<T>, Error> {
        Ok(self.query(statement, params)?.read().collect())
    }

    /// Runs a statement and reads the first row.
    ///
    /// # Errors
    /// See [`Error`].
    fn first<T: for<'r> FromRow<'r>>(&self, statement: &str, params: &[Value]) -> Result<Option<T>, Error> {
        Ok(self.query(statement, params)?.read().next())
    }
}

/// The database outside of any transaction: each statement is its own.
#[derive(Clone, Copy, Debug)]
pub struct Database;

/// An open transaction.
pub struct Transaction(wit::Transaction);

/// How often [`transaction`] tries when others are in the way.
const MAX_TRIES: u32 = 5;

/// Runs a closure in a transaction and commits what it did when it succeeds; tries again when another transaction
/// was in the way, so the closure must do nothing else that cannot be done twice.
///
/// # Errors
/// What the closure returns, or the database.
pub fn transaction<T>(mut work: impl FnMut(&Transaction) -> crate::Result<T>) -> crate::Result<T> {
    let mut tries = 0;
    loop {
        tries += 1;
        let outcome = begin().map_err(crate::Error::Sql).and_then(|tx| {
            let value = work(&tx)?;
            tx.commit()?;
            Ok(value)
        });
        match outcome {
            Err(crate::Error::Sql(Error::Conflict)) if tries < MAX_TRIES => {}
            other => return other,
        }
    }
}

/// Starts a transaction that reads and writes; most often [`transaction`] is what you want.
///
/// # Errors
/// See [`Error`].
pub fn begin() -> Result<Transaction, Error> {
    let options =
        wit::TransactionOptions { access: wit::AccessMode::ReadWrite, isolation: wit::Isolation::ReadCommitted };
    wit::begin(options).map(Transaction)
}

/// Says whether an error is the breach of a named constraint.
pub fn broke(error: &Error, name: &str) -> bool {
    matches!(error, Error::Constraint(broken) if broken.name == name)
}

/// Says whether an error is a reference to a row that is not there; SQLite does not say which one.
pub fn broke_reference(error: &Error) -> bool {
    matches!(error, Error::Constraint(broken) if broken.kind == ConstraintKind::ForeignKey)
}

impl Transaction {
    /// Tells of something that happened, if and only if the transaction commits.
    ///
    /// `topic` is one of the service's [`TOPICS`](crate::Service::TOPICS); `key` names what it happened to, in at most
    /// 255 bytes: events with one key stay in order. The payload is at most 256 KiB of JSON.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Invalid`] also without the grant `events`.
    pub fn publish(&self, topic: &str, key: impl Display, payload: &impl Serialize) -> Result<(), Error> {
        let payload = json::to_vec(payload)
            .map_err(|error| Error::Invalid(format!("the payload of {topic:?} is no JSON: {error}")))?;
        self.0.publish(&wit::Event { topic: topic.to_owned(), key: key.to_string(), payload })
    }

    /// Makes all of it durable.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn commit(self) -> Result<(), Error> {
        wit::Transaction::commit(self.0)
    }
}

impl Connection for Database {
    fn query(&self, statement: &str, params: &[Value]) -> Result<Rows, Error> {
        wit::query(statement, params).map(Rows::new)
    }

    fn execute(&self, statement: &str, params: &[Value]) -> Result<u64, Error> {
        wit::execute(statement, params)
    }
}

impl Connection for Transaction {
    fn query(&self, statement: &str, params: &[Value]) -> Result<Rows, Error> {
        self.0.query(statement, params).map(Rows::new)
    }

    fn execute(&self, statement: &str, params: &[Value]) -> Result<u64, Error> {
        self.0.execute(statement, params)
    }
}

/// Makes the parameters of a statement from Rust values.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::sql::Value::from($value)),*] };
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Timestamp(value.0)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
