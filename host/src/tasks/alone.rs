//! Turns of a host that has its database for itself: in memory.
//!
//! An interval is counted with a clock that only goes forward. A cron expression means the clock on the wall: when that
//! is set forward past a time the task runs once, and when it is set back the expression is read again. The table is
//! written for operators, and remembers over a restart which times of cron expressions were missed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::schedule::micros;
use super::{Schedule, TaskKey, TaskOutcome, Turn, text};
use crate::db::{Cell, Database, SqlError, Value};

/// When each task is due.
pub(super) struct Alone {
    due: Mutex<BTreeMap<TaskKey, Due>>,
    /// What the last process has left: by task, its schedule and when it was due.
    left: BTreeMap<(String, String), (String, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Due {
    /// When the process has lived this long.
    After(Instant),
    /// When the clock on the wall says so, in microseconds since 1970.
    At(i64),
}

impl Alone {
    /// Takes over what the last process has left: its claims are nobody's.
    pub(super) async fn open(database: &Database) -> Result<Self, SqlError> {
        const DROP: &str = "UPDATE tasks SET holder = NULL, until_us = NULL, outcome = 'interrupted' \
            WHERE outcome = 'running'";
        const LEFT: &str = "SELECT service, name, schedule, next_us FROM tasks";
        database.execute(DROP, &[]).await?;
        let rows = database.query(LEFT, &[]).await?;
        let entry = |row: Vec<Cell<'_>>| {
            let [service, name, schedule, Cell::Integer(next_us)] = &row[..] else { return None };
            let owned = |cell| text(cell).map(str::to_owned);
            Some(((owned(service)?, owned(name)?), (owned(schedule)?, *next_us)))
        };
        Ok(Self { due: Mutex::default(), left: rows.rows().filter_map(entry).collect() })
    }

    pub(super) async fn claim(&self, database: &Database, key: &TaskKey, schedule: &Schedule) -> Turn {
        const STARTED: &str = "INSERT INTO tasks (service, name, schedule, next_us, started_us, outcome) \
            VALUES ($1, $2, $3, $4, $4, 'running') ON CONFLICT (service, name) DO UPDATE SET \
            schedule = excluded.schedule, started_us = excluded.started_us, outcome = excluded.outcome";
        if let Some(wait) = self.wait(key, schedule) {
            return Turn::Wait(wait);
        }
        let [service, name] = key.params();
        let params = [service, name, Value::Text(schedule.to_string()), Value::Integer(now_us())];
        told(database.execute(STARTED, &params).await);
        Turn::Run
    }

    pub(super) async fn end(&self, database: &Database, key: &TaskKey, schedule: &Schedule, outcome: &TaskOutcome) {
        const ENDED: &str = "UPDATE tasks SET ended_us = $3, outcome = $4, next_us = $5 \
            WHERE service = $1 AND name = $2";
        let now = now_us();
        let next = outcome.next_us(schedule, now);
        let due = match schedule {
            Schedule::Every(_) if *outcome == TaskOutcome::Stopped => Due::After(Instant::now()),
            Schedule::Every(interval) => Due::After(Instant::now() + *interval),
            Schedule::Cron { .. } => Due::At(next),
        };
        self.due.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), due);
        let [service, name] = key.params();
        let params = [service, name, Value::Integer(now), Value::Text(outcome.text()), Value::Integer(next)];
        told(database.execute(ENDED, &params).await);
    }

    /// Returns the time until a task is due; none when it is.
    fn wait(&self, key: &TaskKey, schedule: &Schedule) -> Option<Duration> {
        let mut all = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let due = all.entry(key.clone()).or_insert_with(|| self.first(key, schedule));
        // The schedule may be another than that by which it was reckoned, and the clock may have been set back.
        *due = match (schedule, *due) {
            (Schedule::Every(interval), Due::After(at)) => Due::After(at.min(Instant::now() + *interval)),
            (Schedule::Every(interval), Due::At(_)) => Due::After(Instant::now() + *interval),
            (Schedule::Cron { .. }, Due::At(at)) => Due::At(at.min(schedule.after(now_us()))),
            (Schedule::Cron { .. }, Due::After(_)) => Due::At(schedule.after(now_us())),
        };
        let left = match *due {
            Due::After(at) => at.saturating_duration_since(Instant::now()),
            Due::At(at) => Duration::from_micros(u64::try_from(at.saturating_sub(now_us())).unwrap_or_default()),
        };
        (!left.is_zero()).then_some(left)
    }

    fn first(&self, key: &TaskKey, schedule: &Schedule) -> Due {
        let Schedule::Cron { .. } = schedule else { return Due::After(Instant::now()) };
        let left = self.left.get(&(key.service.to_string(), key.name.clone()));
        match left {
            // A time that passed while no host ran is made up for.
            Some((known, next)) if *known == schedule.to_string() => Due::At(*next),
            _ => Due::At(schedule.first(now_us())),
        }
    }
}

/// The table only tells operators, so the task goes on without it.
fn told(outcome: Result<u64, SqlError>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "cannot write the table of tasks");
    }
}

/// Microseconds since 1970.
fn now_us() -> i64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
