//! A connection while one statement or one transaction uses it, and how sure the host is of its state.
//!
//! Whoever stops waiting drops the lease. Both databases then see to it that the connection is clean before it is
//! used again, or is closed: [`Usage`] says what there is to be done.

use std::time::Instant;

use super::{PackedRows, SqlError, TransactionOptions, Value, postgres, sqlite};

/// What a transaction answers once it is over.
const OVER: &str = "the transaction is over: an earlier statement in it failed or was given up";

/// A connection in use.
pub(super) enum Lease {
    /// To a file.
    Sqlite(sqlite::Lease),
    /// To a server.
    Postgres(postgres::Lease),
}

/// Why a statement has no answer.
pub(super) enum Stop {
    /// The database says so, and has ended it.
    Ended(sqlx::Error),
    /// It was not started, for the host refuses it.
    Refused(SqlError),
    /// The host wants no more of it; it may still run.
    GivenUp(SqlError),
}

/// What is known of a connection in use.
#[derive(Default)]
pub(super) struct Usage {
    /// Something was started on it and did not come to its end.
    pub(super) is_unfinished: bool,
    /// A transaction may be open.
    pub(super) is_in_transaction: bool,
    /// The transaction cannot be committed any more.
    is_over: bool,
}

/// Waits for a statement at most until a moment.
pub(super) async fn by<T>(until: Instant, work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    let timed = tokio::time::timeout_at(until.into(), work).await;
    timed.unwrap_or(Err(Stop::GivenUp(SqlError::Timeout)))
}

// === impl Lease ===

impl Lease {
    pub(super) async fn query(
        &mut self,
        until: Instant,
        statement: &str,
        params: &[Value],
        limit: usize,
    ) -> Result<PackedRows, SqlError> {
        match self {
            Self::Sqlite(lease) => lease.query(until, statement, params, limit).await,
            Self::Postgres(lease) => lease.query(until, statement, params, limit).await,
        }
    }

    pub(super) async fn execute(&mut self, until: Instant, statement: &str, params: &[Value]) -> Result<u64, SqlError> {
        match self {
            Self::Sqlite(lease) => lease.execute(until, statement, params).await,
            Self::Postgres(lease) => lease.execute(until, statement, params).await,
        }
    }

    pub(super) async fn begin(&mut self, until: Instant, options: TransactionOptions) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(lease) => lease.begin(until, options).await,
            Self::Postgres(lease) => lease.begin(until, options).await,
        }
    }

    pub(super) async fn commit(&mut self, until: Instant) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(lease) => lease.commit(until).await,
            Self::Postgres(lease) => lease.commit(until).await,
        }
    }

    pub(super) async fn script(&mut self, until: Instant, script: &str) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(lease) => lease.script(until, script).await,
            Self::Postgres(lease) => lease.script(until, script).await,
        }
    }
}

// === impl Stop ===

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Ended(error)
    }
}

// === impl Usage ===

impl Usage {
    /// Notes that something starts; whoever is dropped before [`Usage::end`] has not finished it.
    pub(super) fn start(&mut self) -> Result<(), SqlError> {
        if self.is_over {
            return Err(SqlError::Invalid(OVER.to_owned()));
        }
        self.is_unfinished = true;
        Ok(())
    }

    /// Notes how it ended, and whether the database has rolled the transaction back over it.
    pub(super) fn end<T>(&mut self, outcome: Result<T, Stop>, is_rolled_back: bool) -> Result<T, SqlError> {
        let (error, has_ended) = match outcome {
            Ok(answer) => {
                self.is_unfinished = false;
                return Ok(answer);
            }
            Err(Stop::Refused(error)) => (error, true),
            // Any other error of the driver leaves open what the database made of it.
            Err(Stop::Ended(error)) => {
                let has_ended = matches!(error, sqlx::Error::Database(_));
                (error.into(), has_ended)
            }
            Err(Stop::GivenUp(error)) => (error, false),
        };
        self.is_unfinished = !has_ended;
        self.is_over = self.is_in_transaction && (is_rolled_back || !has_ended);
        Err(error)
    }
}
