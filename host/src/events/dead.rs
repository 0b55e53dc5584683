//! Events that a subscriber could not handle, kept for the operator to look at, replay or discard.
//!
//! They lie in the host's own database, whatever the broker is. At most [`KEPT`] of them: the oldest go, with a warning.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Broker, BrokerError, Event, Stats};
use crate::db::{Cell, Database, SqlError, Transaction, TransactionOptions, Value};
use crate::feed::{self, Feed, Kind};
use crate::names::ServiceName;

/// Dead letters that are kept.
const KEPT: i64 = 100_000;

/// New ones between two looks at how many there are.
const COUNT_EVERY: u64 = 100;

/// Longest reason that is kept; it is the word of a guest.
const MAX_REASON: usize = 1000;

const COLUMNS: &str = "id, subscriber, attempts, reason, dead_us, event_id, topic, key, source, time_us";

/// An event that a subscriber could not handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number.
    pub id: i64,
    /// Who could not handle it.
    pub subscriber: ServiceName,
    /// How often that was tried.
    pub attempts: u32,
    /// What the subscriber said the last time.
    pub reason: String,
    /// When it was given up, microseconds since 1970, UTC, by the database's clock.
    pub dead_us: i64,
    /// The event; in a list, without its payload.
    pub event: Event,
}

/// Which dead letters are listed.
#[derive(Clone, Debug, Default)]
pub struct DeadLetterPage {
    /// Whose; all without.
    pub subscriber: Option<ServiceName>,
    /// Only those with a lower number: the next page.
    pub before: Option<i64>,
    /// How many at most.
    pub limit: u32,
}

/// The dead letters of all services.
pub struct DeadLetters {
    database: Arc<Database>,
    feed: Arc<Feed>,
    stats: Arc<Stats>,
    buried: AtomicU64,
}

impl DeadLetters {
    /// Keeps them in the host's own database; its tables must be there (see [`super::prepare`]).
    pub fn new(database: Arc<Database>, feed: Arc<Feed>, stats: Arc<Stats>) -> Self {
        Self { database, feed, stats, buried: AtomicU64::new(0) }
    }

    /// Keeps an event that a subscriber has failed at for the last time, and tells of it.
    ///
    /// The same event of the same subscriber is kept once, with what came last.
    ///
    /// # Errors
    /// When the database does not answer; nothing is kept then.
    pub async fn bury(
        &self,
        subscriber: &ServiceName,
        event: &Event,
        attempts: u32,
        reason: &str,
    ) -> Result<(), SqlError> {
        let mut tx = self.database.begin(TransactionOptions { writes: true, serializable: false }).await?;
        self.insert(&mut tx, subscriber, event, attempts, reason).await?;
        tx.commit().await?;
        self.announce(subscriber, event, attempts, reason).await;
        Ok(())
    }

    /// Keeps an event in the transaction that takes it from where it was; to be announced after the commit.
    pub(super) async fn insert(
        &self,
        tx: &mut Transaction,
        subscriber: &ServiceName,
        event: &Event,
        attempts: u32,
        reason: &str,
    ) -> Result<(), SqlError> {
        let statement = format!(
            "INSERT INTO dead_letters (event_id, subscriber, topic, key, source, time_us, payload, attempts, reason, \
             dead_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, {}) ON CONFLICT (subscriber, event_id) DO UPDATE SET \
             attempts = excluded.attempts, reason = excluded.reason, dead_us = excluded.dead_us",
            self.database.clock()
        );
        // PostgreSQL keeps no NUL in a text.
        let reason = reason[..reason.floor_char_boundary(MAX_REASON)].replace('\0', " ");
        let params = [
            Value::Text(event.id.clone()),
            Value::Text(subscriber.to_string()),
            Value::Text(event.topic.clone()),
            Value::Text(event.key.clone()),
            Value::Text(event.source.to_string()),
            Value::Integer(event.time_us),
            Value::Blob(event.payload.clone()),
            Value::Integer(attempts.into()),
            Value::Text(reason),
        ];
        tx.execute(&statement, &params).await.map(drop)
    }

    /// Tells of an event that was kept: log, feed, count; and sees to it that not too many are.
    pub(super) async fn announce(&self, subscriber: &ServiceName, event: &Event, attempts: u32, reason: &str) {
        self.stats.of(subscriber).dead.add(1);
        tracing::warn!(
            service.name = %subscriber, event.id, event.topic, event.key, attempts, reason,
            "an event became a dead letter"
        );
        let first_line = reason.lines().next().unwrap_or_default();
        self.feed.publish(feed::Event {
            detail: Some(format!("{} {}: {first_line}", event.topic, event.id)),
            ..feed::Event::new(Kind::DeadLetter, subscriber.as_str())
        });
        if self.buried.fetch_add(1, Ordering::Relaxed).is_multiple_of(COUNT_EVERY) {
            self.make_room().await;
        }
    }

    async fn make_room(&self) {
        const OLDEST: &str = "DELETE FROM dead_letters WHERE id <= \
            (SELECT id FROM dead_letters ORDER BY id DESC LIMIT 1 OFFSET $1)";
        match self.database.execute(OLDEST, &[Value::Integer(KEPT)]).await {
            Ok(0) => {}
            Ok(dropped) => tracing::warn!(dropped, kept = KEPT, "the oldest dead letters were dropped"),
            Err(error) => tracing::warn!(%error, "cannot count the dead letters"),
        }
    }

    /// Lists dead letters without their payloads, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list(&self, page: &DeadLetterPage) -> Result<Vec<DeadLetter>, SqlError> {
        let before = Value::Integer(page.before.unwrap_or(i64::MAX));
        let limit = Value::Integer(page.limit.into());
        let rows = match &page.subscriber {
            None => {
                let all = format!("SELECT {COLUMNS} FROM dead_letters WHERE id < $1 ORDER BY id DESC LIMIT $2");
                self.database.query(&all, &[before, limit]).await?
            }
            Some(subscriber) => {
                let one = format!(
                    "SELECT {COLUMNS} FROM dead_letters WHERE id < $1 AND subscriber = $3 ORDER BY id DESC LIMIT $2"
                );
                self.database.query(&one, &[before, limit, Value::Text(subscriber.to_string())]).await?
            }
        };
        Ok(rows.rows().filter_map(|row| read(&row)).collect())
    }

    /// Counts those of each subscriber that has any.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn counts(&self) -> Result<BTreeMap<ServiceName, u64>, SqlError> {
        // All of them are never many more than are kept.
        const COUNT: &str = "SELECT subscriber, COUNT(*) FROM dead_letters GROUP BY subscriber";
        let rows = self.database.query(COUNT, &[]).await?;
        let counts = rows.rows().filter_map(|row| match row[..] {
            [Cell::Text(subscriber), Cell::Integer(count)] => {
                Some((subscriber.parse::<ServiceName>().ok()?, u64::try_from(count).ok()?))
            }
            _ => None,
        });
        Ok(counts.collect())
    }

    /// Returns a dead letter with its payload.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find(&self, id: i64) -> Result<Option<DeadLetter>, SqlError> {
        let statement = format!("SELECT {COLUMNS}, payload FROM dead_letters WHERE id = $1");
        let rows = self.database.query(&statement, &[Value::Integer(id)]).await?;
        Ok(rows.rows().next().and_then(|row| read(&row)))
    }

    /// Hands a dead letter to its subscriber again, with all its attempts anew; none when there is no such letter.
    ///
    /// # Errors
    /// When the broker does not take it, or the database does not answer; the letter may be there still.
    pub async fn replay(&self, id: i64, broker: &dyn Broker) -> Result<Option<DeadLetter>, BrokerError> {
        let Some(letter) = self.find(id).await? else { return Ok(None) };
        broker.redeliver(&letter.subscriber, &letter.event).await?;
        // A crash before this leaves a letter of which the event is known by its id when it comes twice.
        // One that died again meanwhile is another letter in the same place.
        const FORGET: &str = "DELETE FROM dead_letters WHERE id = $1 AND dead_us = $2";
        self.database.execute(FORGET, &[Value::Integer(id), Value::Integer(letter.dead_us)]).await?;
        Ok(Some(letter))
    }

    /// Forgets a dead letter; false when there is no such letter.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn discard(&self, id: i64) -> Result<bool, SqlError> {
        Ok(self.database.execute("DELETE FROM dead_letters WHERE id = $1", &[Value::Integer(id)]).await? > 0)
    }
}

/// Reads a row; what was written by no host is not there.
fn read(row: &[Cell<'_>]) -> Option<DeadLetter> {
    let [
        Cell::Integer(id),
        Cell::Text(subscriber),
        Cell::Integer(attempts),
        Cell::Text(reason),
        Cell::Integer(dead_us),
        Cell::Text(event_id),
        Cell::Text(topic),
        Cell::Text(key),
        Cell::Text(source),
        Cell::Integer(time_us),
        ref payload @ ..,
    ] = *row
    else {
        return None;
    };
    let payload = if let [Cell::Blob(payload)] = payload { payload.to_vec() } else { Vec::new() };
    Some(DeadLetter {
        id,
        subscriber: subscriber.parse().ok()?,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        reason: reason.to_owned(),
        dead_us,
        event: Event {
            id: event_id.to_owned(),
            topic: topic.to_owned(),
            key: key.to_owned(),
            source: source.parse().ok()?,
            time_us,
            payload,
        },
    })
}
