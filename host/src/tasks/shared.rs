//! Turns among hosts on one PostgreSQL: by the table, with the database's clock.
//!
//! No clock of a host is read. Should the database's own be set back, what is due further away than it can be is due
//! when it would be now. A claim that began later than now would last longer than it was made for: it is free, as its
//! host may be gone. If it is not, its run and the next one are at work at once, which runs must bear anyhow.

use std::time::Duration;

use super::schedule::micros;
use super::{Schedule, TaskKey, TaskOutcome, Turn, integer, text};
use crate::db::{Cell, Database, SqlError, Value};

/// Shortest wait before asking again: between hosts that want the same task at once.
const AGAIN: Duration = Duration::from_millis(50);

/// The database's clock in microseconds since 1970; it goes on within a transaction.
const NOW: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// This host among others.
pub(super) struct Shared {
    holder: String,
    look: String,
    claim: String,
    end: String,
}

/// A task as the table has it now.
struct Seen {
    now_us: i64,
    next_us: Option<i64>,
    until_us: Option<i64>,
    schedule: Option<String>,
}

impl Shared {
    /// Takes part under a new name: claims of an earlier process are another's.
    pub(super) fn new() -> Self {
        Self {
            holder: uuid::Uuid::now_v7().to_string(),
            look: format!(
                "SELECT clock.now_us, t.next_us, t.until_us, t.schedule FROM (SELECT {NOW} AS now_us) clock \
                 LEFT JOIN tasks t ON t.service = $1 AND t.name = $2"
            ),
            claim: format!(
                "UPDATE tasks SET holder = $3, started_us = {NOW}, until_us = {NOW} + $4, outcome = 'running' \
                 WHERE service = $1 AND name = $2 AND next_us <= {NOW} \
                 AND (until_us IS NULL OR until_us <= {NOW} OR started_us > {NOW})"
            ),
            end: format!(
                "UPDATE tasks SET holder = NULL, until_us = NULL, ended_us = {NOW}, outcome = $4, next_us = $5 \
                 WHERE service = $1 AND name = $2 AND holder = $3"
            ),
        }
    }

    pub(super) async fn claim(
        &self,
        database: &Database,
        key: &TaskKey,
        schedule: &Schedule,
        longest: Duration,
    ) -> Result<Turn, SqlError> {
        let mut seen = self.look(database, key).await?;
        let known = seen.schedule.as_deref() == Some(&*schedule.to_string());
        let first = schedule.first(seen.now_us);
        // A first run at once is for a task that is new, not for one whose interval has changed.
        let latest = if seen.next_us.is_none() { first } else { schedule.after(seen.now_us) };
        if !known || seen.next_us.is_none_or(|next| next > latest) {
            self.register(database, key, schedule, latest).await?;
            seen = self.look(database, key).await?;
        }
        let next = seen.next_us.unwrap_or(latest);
        if next > seen.now_us {
            return Ok(Turn::Wait(between(seen.now_us, next)));
        }
        let [service, name] = key.params();
        let params = [service, name, Value::Text(self.holder.clone()), Value::Integer(micros(longest))];
        if database.execute(&self.claim, &params).await? == 1 {
            return Ok(Turn::Run);
        }
        Ok(Turn::Wait(between(seen.now_us, seen.until_us.unwrap_or(seen.now_us))))
    }

    pub(super) async fn end(
        &self,
        database: &Database,
        key: &TaskKey,
        schedule: &Schedule,
        outcome: &TaskOutcome,
    ) -> Result<(), SqlError> {
        let now_us = self.look(database, key).await?.now_us;
        let [service, name] = key.params();
        let next = Value::Integer(outcome.next_us(schedule, now_us));
        let params = [service, name, Value::Text(self.holder.clone()), Value::Text(outcome.text()), next];
        if database.execute(&self.end, &params).await? == 0 {
            tracing::warn!(service.name = %key.service, task.name = key.name, "a run ended after its claim");
        }
        Ok(())
    }

    /// Makes a task known, or brings what is known of it in line with its schedule.
    async fn register(
        &self,
        database: &Database,
        key: &TaskKey,
        schedule: &Schedule,
        latest_us: i64,
    ) -> Result<(), SqlError> {
        const REGISTER: &str = "INSERT INTO tasks (service, name, schedule, next_us) VALUES ($1, $2, $3, $4) \
            ON CONFLICT (service, name) DO UPDATE SET schedule = excluded.schedule, \
            next_us = CASE WHEN tasks.schedule <> excluded.schedule AND excluded.schedule LIKE 'cron %' \
            THEN excluded.next_us ELSE LEAST(tasks.next_us, excluded.next_us) END";
        let [service, name] = key.params();
        let params = [service, name, Value::Text(schedule.to_string()), Value::Integer(latest_us)];
        database.execute(REGISTER, &params).await.map(drop)
    }

    async fn look(&self, database: &Database, key: &TaskKey) -> Result<Seen, SqlError> {
        let rows = database.query(&self.look, &key.params()).await?;
        let row = rows.rows().next();
        let Some([Cell::Integer(now_us), next, until, schedule]) = row.as_deref() else {
            return Err(SqlError::Invalid("the database does not tell the time".to_owned()));
        };
        let schedule = text(schedule).map(str::to_owned);
        Ok(Seen { now_us: *now_us, next_us: integer(next), until_us: integer(until), schedule })
    }
}

fn between(now_us: i64, then_us: i64) -> Duration {
    let wait = u64::try_from(then_us.saturating_sub(now_us)).unwrap_or_default();
    Duration::from_micros(wait).max(AGAIN)
}
