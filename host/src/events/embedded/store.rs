//! The statements of the embedded broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::super::{Courier, Event, Lane, Verdict};
use super::Finished;
use super::heads::{Delivery, LONGEST_STALL_US};
use crate::db::{Cell, Database, Depth, PackedRows, SqlError, Transaction, TransactionOptions, Value};
use crate::names::ServiceName;

const WRITES: TransactionOptions = TransactionOptions { writes: true, serializable: false };

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
                deliver(&mut tx, subscriber, seq, event).await?;
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
            deliver(&mut tx, subscriber, seq, event).await?;
        }
        tx.commit().await
    }

    pub(super) async fn now(&self) -> Result<i64, SqlError> {
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
                // A stall would keep the other host from it.
                Verdict::Elsewhere { .. } => {}
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

    /// Returns how much waits for a subscriber, if the database answers by then.
    pub(super) async fn depth(&self, subscriber: &ServiceName, until: Instant) -> Result<Depth, SqlError> {
        const OLDEST: &str = "SELECT e.time_us FROM deliveries d JOIN events e ON e.seq = d.event_seq \
            WHERE d.subscriber = $1 ORDER BY d.event_seq LIMIT 1";
        let subscriber = [Value::Text(subscriber.to_string())];
        self.database.depth("deliveries WHERE subscriber = $1", OLDEST, &subscriber, until).await
    }

    /// Deletes stalls that are over, and those of a clock that has been put back since.
    pub(super) async fn tidy(&self) -> Result<(), SqlError> {
        const STALLED: &str = "DELETE FROM stalled WHERE until_us < $1 OR until_us > $2";
        let now = self.now().await?;
        let params = [Value::Integer(now - LONGEST_STALL_US), Value::Integer(now + LONGEST_STALL_US)];
        self.database.execute(STALLED, &params).await.map(drop)
    }
}

/// Returns the one integer of an answer.
fn integer(rows: &PackedRows) -> Option<i64> {
    match rows.rows().next().as_deref() {
        Some([Cell::Integer(found)]) => Some(*found),
        _ => None,
    }
}

async fn deliver(tx: &mut Transaction, subscriber: &ServiceName, seq: i64, event: &Event) -> Result<(), SqlError> {
    const DELIVER: &str = "INSERT INTO deliveries (subscriber, event_seq, lane) VALUES ($1, $2, $3) \
        ON CONFLICT (subscriber, event_seq) DO NOTHING";
    let lane = Value::Text(Lane::of(event).to_string());
    tx.execute(DELIVER, &[Value::Text(subscriber.to_string()), Value::Integer(seq), lane]).await.map(drop)
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
