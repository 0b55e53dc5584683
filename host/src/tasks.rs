//! When the tasks of services are due, who runs one, and how it went: the table `tasks` of the host's database.
//!
//! Hosts that share a database run a task once per interval: a run is claimed in one statement, with the database's
//! clock, and a claim that outlives its run is free again. A host that has its database for itself claims nothing: it
//! counts intervals with a clock that cannot be set, and keeps the table to tell operators.
//!
//! Not here: running them (see `app::tasks`), what components describe (see `registry::description`).

mod alone;
mod schedule;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use self::alone::Alone;
pub use self::schedule::{Schedule, ScheduleError};
use self::shared::Shared;
use crate::db::{Cell, Database, SqlError, Value, ledger};
use crate::names::ServiceName;

/// Longest text that is kept of an outcome.
const MAX_OUTCOME: usize = 200;

/// Who else may run the same tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody: the database belongs to this process.
    Alone,
    /// Other hosts on the same database.
    Shared,
}

/// The tasks of all services.
pub struct Board {
    database: Arc<Database>,
    turns: Turns,
}

enum Turns {
    Alone(Alone),
    Shared(Shared),
}

/// One task of one service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskKey {
    /// The service.
    pub service: ServiceName,
    /// The task's name in it.
    pub name: String,
}

/// What a host that asks for a task has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Run it now, and tell how it went.
    Run,
    /// Ask again after this time.
    Wait(Duration),
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskOutcome {
    /// The worker did it.
    Done,
    /// It did not, for a reason.
    Failed(String),
    /// The host stopped before it ended; it is due again at once.
    Stopped,
}

/// What is known of a task's runs; times are microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRuns {
    /// Name of the service.
    pub service: String,
    /// Name of the task.
    pub name: String,
    /// When the last run began.
    pub started_us: Option<i64>,
    /// When the last run that ended did so.
    pub ended_us: Option<i64>,
    /// `running`, `done`, `interrupted`, `stopped`, or `failed: ` and a reason.
    pub outcome: Option<String>,
    /// When the next run is due.
    pub next_us: i64,
}

/// Why the table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// It cannot be made.
    #[error(transparent)]
    Migration(#[from] ledger::MigrationError),
    /// It cannot be read or written.
    #[error("cannot use the table of tasks")]
    Sql(#[from] SqlError),
}

impl Board {
    /// Opens the table, which is made when missing.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn open(database: Arc<Database>, sharing: Sharing) -> Result<Self, BoardError> {
        let migration = ledger::Migration {
            name: "0001_tasks".to_owned(),
            contracts: false,
            sqlite: "CREATE TABLE tasks (service TEXT NOT NULL, name TEXT NOT NULL, schedule TEXT NOT NULL, \
                     next_us INTEGER NOT NULL, holder TEXT, until_us INTEGER, started_us INTEGER, ended_us INTEGER, \
                     outcome TEXT, PRIMARY KEY (service, name)) STRICT"
                .to_owned(),
            postgres: "CREATE TABLE tasks (service TEXT NOT NULL, name TEXT NOT NULL, schedule TEXT NOT NULL, \
                       next_us BIGINT NOT NULL, holder TEXT, until_us BIGINT, started_us BIGINT, ended_us BIGINT, \
                       outcome TEXT, PRIMARY KEY (service, name))"
                .to_owned(),
        };
        ledger::apply(&database, &[migration]).await?;
        let turns = match sharing {
            Sharing::Alone => Turns::Alone(Alone::open(&database).await?),
            Sharing::Shared => Turns::Shared(Shared::new()),
        };
        Ok(Self { database, turns })
    }

    /// Asks for a run of a task, which takes at most `longest`.
    ///
    /// # Errors
    /// When a shared table does not answer; nothing is claimed then.
    pub async fn claim(&self, key: &TaskKey, schedule: &Schedule, longest: Duration) -> Result<Turn, SqlError> {
        match &self.turns {
            Turns::Alone(turns) => Ok(turns.claim(&self.database, key, schedule).await),
            Turns::Shared(turns) => turns.claim(&self.database, key, schedule, longest).await,
        }
    }

    /// Tells how a run went, and so when the next is due.
    ///
    /// # Errors
    /// When a shared table does not answer; the task is due again when its claim runs out.
    pub async fn end(&self, key: &TaskKey, schedule: &Schedule, outcome: &TaskOutcome) -> Result<(), SqlError> {
        match &self.turns {
            Turns::Alone(turns) => {
                turns.end(&self.database, key, schedule, outcome).await;
                Ok(())
            }
            Turns::Shared(turns) => turns.end(&self.database, key, schedule, outcome).await,
        }
    }

    /// Returns what is known of all tasks, those included that no service describes any more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn runs(&self) -> Result<Vec<TaskRuns>, SqlError> {
        const SELECT: &str = "SELECT service, name, started_us, ended_us, outcome, next_us FROM tasks";
        let rows = self.database.query(SELECT, &[]).await?;
        Ok(rows.rows().filter_map(|row| TaskRuns::read(&row)).collect())
    }
}

impl TaskRuns {
    fn read(row: &[Cell<'_>]) -> Option<Self> {
        let [service, name, started, ended, outcome, Cell::Integer(next_us)] = row else { return None };
        Some(Self {
            service: text(service)?.to_owned(),
            name: text(name)?.to_owned(),
            started_us: integer(started),
            ended_us: integer(ended),
            outcome: text(outcome).map(str::to_owned),
            next_us: *next_us,
        })
    }
}

impl TaskKey {
    fn params(&self) -> [Value; 2] {
        [Value::Text(self.service.to_string()), Value::Text(self.name.clone())]
    }
}

impl TaskOutcome {
    /// Returns the text that is kept; a reason is the component's, so it is cut, and has only what can be shown.
    fn text(&self) -> String {
        match self {
            Self::Done => "done".to_owned(),
            Self::Stopped => "stopped".to_owned(),
            Self::Failed(reason) => {
                let reason: String = reason.chars().filter(|c| !c.is_control()).take(MAX_OUTCOME).collect();
                let text = format!("failed: {reason}");
                text[..text.floor_char_boundary(MAX_OUTCOME)].to_owned()
            }
        }
    }

    /// Returns when the task is due after it.
    fn next_us(&self, schedule: &Schedule, now_us: i64) -> i64 {
        if *self == Self::Stopped { now_us } else { schedule.after(now_us) }
    }
}

fn integer(cell: &Cell<'_>) -> Option<i64> {
    if let Cell::Integer(value) = cell { Some(*value) } else { None }
}

fn text<'c>(cell: &Cell<'c>) -> Option<&'c str> {
    if let Cell::Text(value) = cell { Some(value) } else { None }
}

#[cfg(test)]
mod tests;
