//! The statements of the embedded broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Courier, Event, Verdict};
use super::Finished;
use crate::db::{Cell, Database, PackedRows, SqlError, Transaction, TransactionOptions, Value};
use crate::names::ServiceName;

const WRITES: TransactionOptions = TransactionOptions { writes: true, serializable: false };

/// Deliveries that are read at once.
const WINDOW: i64 = 128;

/// Payload bytes that are read at once; one delivery more is always read.
const WINDOW_BYTES: i64 = 4 << 20;

/// Longer than any wait that a failure makes: a stalled key that should wait longer waits for a clock that has been
/// put back since.
const LONGEST_STALL_US: i64 = 60_000_000;

/// An event that waits for one subscriber.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) seq: i64,
    /// How often the subscriber has failed at it.
    pub(super) failures: u32,
    pub(super) event: Event,
}

/// The oldest deliveries of a subscriber, in order, without those of stalled keys.
pub(super) struct Window {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) may_have_more: bool,
    /// Time until the first of the stalled keys may go on.
    pub(super) stalled: Option<Duration>,
}

/// The tables of events and deliveries.
pub(super) struct Store {
    database: Arc<Database>,
    now: String,
    stall: String,
}

impl Store {
    pub(super) fn new(database: Arc<Database>) -> Self {
        let clock = database.clock();
        let now = format!("SELECT {clock}");
        let stall = format!(
            "INSERT INTO stalled (subscriber, source, key, until_us) VALUES ($1, $2, $3, {clock} + $4) \
             ON CONFLICT (subscriber, source, key) DO UPDATE SET until_us = excluded.until_us"
        );
        Self { database, now, stall }
    }

    /// Stores events for those that subscribe; one that is there already is left as it is.
    pub(super) async fn publish(
        &self,
        events: &[Event],
        subscribers: &BTreeMap<&str, Vec<ServiceName>>,
    ) -> Result<(), SqlError> {
        const STORE: &str = "INSERT INTO events (id, topic, key, source, time_us, payload) \
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING RETURNING seq";
        if subscribers.values().all(Vec::is_empty) {
            return Ok(());
        }
        let mut tx = self.database.begin(WRITES).await?;
        for event in events {
            let subscribers = subscribers.get(event.topic.as_str()).map(Vec::as_slice).unwrap_or_default();
            if subscribers.is_empty() {
                continue;
            }
            let Some(seq) = integer(&tx.query(STORE, &columns(event)).await?) else { continue };
            for subscriber in subscribers {
                deliver(&mut tx, subscriber, seq).await?;
            }
        }
        tx.commit().await
    }

    /// Stores an event for one subscriber, whether or not it is there for others.
    pub(super) async fn redeliver(&self, subscriber: &ServiceName, event: &Event) -> Result<(), SqlError> {
        // The update changes nothing and keeps the event from being deleted until the commit.
        const STORE: &str = "INSERT INTO events (id, topic, key, source, time_us, payload) \
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET topic = excluded.topic RETURNING seq";
        let mut tx = self.database.begin(WRITES).await?;
        if let Some(seq) = integer(&tx.query(STORE, &columns(event)).await?) {
            deliver(&mut tx, subscriber, seq).await?;
        }
        tx.commit().await
    }

    /// Reads the oldest deliveries of a subscriber.
    pub(super) async fn window(&self, subscriber: &ServiceName) -> Result<Window, SqlError> {
        // The time is a parameter: all rows of one key must be judged by one moment.
        const READ: &str = "SELECT seq, failures, id, topic, key, source, time_us, payload FROM (SELECT q.*, \
            SUM(LENGTH(payload)) OVER (ORDER BY seq) - LENGTH(payload) AS ahead FROM (SELECT e.seq, d.failures, e.id, \
            e.topic, e.key, e.source, e.time_us, e.payload FROM deliveries d JOIN events e ON e.seq = d.event_seq \
            WHERE d.subscriber = $1 AND NOT EXISTS (SELECT 1 FROM stalled s WHERE s.subscriber = d.subscriber \
            AND s.source = e.source AND s.key = e.key AND s.until_us > $2 AND s.until_us < $3) \
            ORDER BY d.event_seq LIMIT $4) q) w WHERE ahead < $5 ORDER BY seq";
        let now = self.now().await?;
        let params = [
            Value::Text(subscriber.to_string()),
            Value::Integer(now),
            Value::Integer(now + LONGEST_STALL_US),
            Value::Integer(WINDOW),
            Value::Integer(WINDOW_BYTES),
        ];
        let rows = self.database.query(READ, &params).await?;
        let deliveries: Vec<Delivery> = rows.rows().filter_map(|row| read(&row)).collect();
        let bytes: usize = deliveries.iter().map(|delivery| delivery.event.payload.len()).sum();
        let whole = |count: usize, limit: i64| i64::try_from(count).is_ok_and(|count| count >= limit);
        let may_have_more = whole(deliveries.len(), WINDOW) || whole(bytes, WINDOW_BYTES);
        let stalled = if may_have_more { None } else { self.stalled(subscriber, now).await? };
        Ok(Window { deliveries, may_have_more, stalled })
    }

    async fn stalled(&self, subscriber: &ServiceName, now: i64) -> Result<Option<Duration>, SqlError> {
        const FIRST: &str =
            "SELECT MIN(until_us) FROM stalled WHERE subscriber = $1 AND until_us > $2 AND until_us < $3";
        let params = [Value::Text(subscriber.to_string()), Value::Integer(now), Value::Integer(now + LONGEST_STALL_US)];
        let first = integer(&self.database.query(FIRST, &params).await?);
        Ok(first.and_then(|until| u64::try_from(until - now).ok()).map(Duration::from_micros))
    }

    async fn now(&self) -> Result<i64, SqlError> {
        let now = integer(&self.database.query(&self.now, &[]).await?);
        now.ok_or_else(|| SqlError::Invalid("the database tells no time".to_owned()))
    }

    /// Stores what has become of deliveries of one subscriber, all at once.
    pub(super) async fn settle(&self, courier: &Courier, settled: &[Finished]) -> Result<(), SqlError> {
        let subscriber = &courier.subscriber;
        let mut tx = self.database.begin(WRITES).await?;
        for (_, delivery, verdict) in settled {
            match verdict {
                Verdict::Done => self.forget(&mut tx, subscriber, delivery).await?,
                Verdict::Retry { wait, failures } => {
                    const COUNT: &str = "UPDATE deliveries SET failures = $3 WHERE subscriber = $1 AND event_seq = $2";
                    let [subscriber, seq] = place(subscriber, delivery);
                    tx.execute(COUNT, &[subscriber, seq, Value::Integer((*failures).into())]).await?;
                    let [subscriber, source, key] = lane(&courier.subscriber, &delivery.event);
                    let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
                    tx.execute(&self.stall, &[subscriber, source, key, Value::Integer(wait)]).await?;
                }
                Verdict::Dead { reason, failures } => {
                    courier.dead.insert(&mut tx, subscriber, &delivery.event, *failures, reason).await?;
                    self.forget(&mut tx, subscriber, delivery).await?;
                }
            }
        }
        tx.commit().await
    }

    /// Deletes a delivery, the event when it was the last, and the stall of its key.
    async fn forget(
        &self,
        tx: &mut Transaction,
        subscriber: &ServiceName,
        delivery: &Delivery,
    ) -> Result<(), SqlError> {
        // Held until the commit, so that of two hosts that end the last two deliveries of an event, one sees that
        // they were the last.
        const HOLD: &str = "SELECT seq FROM events WHERE seq = $1 FOR UPDATE";
        const DELIVERY: &str = "DELETE FROM deliveries WHERE subscriber = $1 AND event_seq = $2";
        const EVENT: &str = "DELETE FROM events WHERE seq = $1 \
            AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = $1)";
        const STALL: &str = "DELETE FROM stalled WHERE subscriber = $1 AND source = $2 AND key = $3";
        if self.database.is_shared() {
            tx.query(HOLD, &[Value::Integer(delivery.seq)]).await?;
        }
        tx.execute(DELIVERY, &place(subscriber, delivery)).await?;
        tx.execute(EVENT, &[Value::Integer(delivery.seq)]).await?;
        if delivery.failures > 0 {
            tx.execute(STALL, &lane(subscriber, &delivery.event)).await?;
        }
        Ok(())
    }

    /// Returns how many deliveries wait for a subscriber, and when the oldest event of them was published.
    pub(super) async fn backlog(&self, subscriber: &ServiceName) -> Result<(u64, Option<i64>), SqlError> {
        const COUNT: &str = "SELECT COUNT(*), (SELECT e.time_us FROM deliveries o JOIN events e ON e.seq = o.event_seq \
            WHERE o.subscriber = $1 ORDER BY o.event_seq LIMIT 1) FROM deliveries d WHERE d.subscriber = $1";
        let rows = self.database.query(COUNT, &[Value::Text(subscriber.to_string())]).await?;
        Ok(match rows.rows().next().as_deref() {
            Some([Cell::Integer(count), oldest]) => {
                let oldest = if let Cell::Integer(oldest) = oldest { Some(*oldest) } else { None };
                (u64::try_from(*count).unwrap_or_default(), oldest)
            }
            _ => (0, None),
        })
    }

    /// Deletes stalls that are over.
    pub(super) async fn tidy(&self) -> Result<(), SqlError> {
        const STALLED: &str = "DELETE FROM stalled WHERE until_us < $1";
        let before = self.now().await? - LONGEST_STALL_US;
        self.database.execute(STALLED, &[Value::Integer(before)]).await.map(drop)
    }
}

/// Returns the one integer of an answer.
fn integer(rows: &PackedRows) -> Option<i64> {
    match rows.rows().next().as_deref() {
        Some([Cell::Integer(found)]) => Some(*found),
        _ => None,
    }
}

async fn deliver(tx: &mut Transaction, subscriber: &ServiceName, seq: i64) -> Result<(), SqlError> {
    const DELIVER: &str =
        "INSERT INTO deliveries (subscriber, event_seq) VALUES ($1, $2) ON CONFLICT (subscriber, event_seq) DO NOTHING";
    tx.execute(DELIVER, &[Value::Text(subscriber.to_string()), Value::Integer(seq)]).await.map(drop)
}

fn columns(event: &Event) -> [Value; 6] {
    [
        Value::Text(event.id.clone()),
        Value::Text(event.topic.clone()),
        Value::Text(event.key.clone()),
        Value::Text(event.source.to_string()),
        Value::Integer(event.time_us),
        Value::Blob(event.payload.clone()),
    ]
}

fn place(subscriber: &ServiceName, delivery: &Delivery) -> [Value; 2] {
    [Value::Text(subscriber.to_string()), Value::Integer(delivery.seq)]
}

fn lane(subscriber: &ServiceName, event: &Event) -> [Value; 3] {
    [Value::Text(subscriber.to_string()), Value::Text(event.source.to_string()), Value::Text(event.key.clone())]
}

fn read(row: &[Cell<'_>]) -> Option<Delivery> {
    let [
        Cell::Integer(seq),
        Cell::Integer(failures),
        Cell::Text(id),
        Cell::Text(topic),
        Cell::Text(key),
        Cell::Text(source),
        Cell::Integer(time_us),
        Cell::Blob(payload),
    ] = *row
    else {
        return None;
    };
    let event = Event {
        id: id.to_owned(),
        topic: topic.to_owned(),
        key: key.to_owned(),
        source: source.parse().ok()?,
        time_us,
        payload: payload.to_vec(),
    };
    Some(Delivery { seq, failures: u32::try_from(failures).unwrap_or(u32::MAX), event })
}
