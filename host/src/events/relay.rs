//! Takes what a service has committed from its outbox to the broker, in order.
//!
//! Of all hosts, one relays an outbox: the holder of its lease. An event is deleted from the outbox when the broker
//! has it; a crash between the two repeats it, under the same id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Backoff, Broker, BrokerError, Event, Leases, Stats, Wakes};
use crate::db::Database;
use crate::db::outbox::Outgoing;
use crate::names::ServiceName;

/// Time from one look at how much waits to the next, while something does.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for the database to count.
const COUNT_WAIT: Duration = Duration::from_secs(5);

/// Relays the outbox of one service.
pub struct Relay {
    /// Whose.
    pub service: ServiceName,
    /// Where the outbox lies.
    pub database: Arc<Database>,
    /// Where it goes.
    pub broker: Arc<dyn Broker>,
    /// Decides which host relays.
    pub leases: Arc<Leases>,
    /// Tells of commits.
    pub wakes: Arc<Wakes>,
    /// Counts.
    pub stats: Arc<Stats>,
}

impl Relay {
    /// Relays until told to stop.
    pub async fn run(&self, stop: &CancellationToken) {
        let name = format!("relay/{}", self.service);
        let pass_on = || async {
            // The host that relays counts what waits.
            self.stats.of(&self.service).outbox.set(0, None);
            self.wakes.on(Arc::clone(self.database.published())).pass_on().await;
        };
        self.leases.run(&name, stop, || self.relay(), pass_on).await;
    }

    /// Relays all there is, then waits for more; ends only to let another host have the lease.
    async fn relay(&self) {
        let mut wake = self.wakes.on(Arc::clone(self.database.published()));
        let mut failures = 0;
        let mut counted = None;
        loop {
            match self.batch().await {
                Ok(0) => {
                    failures = 0;
                    self.stats.of(&self.service).outbox.set(0, None);
                    wake.heard().await;
                }
                Ok(_) => {
                    failures = 0;
                    self.count(&mut counted).await;
                }
                Err(BrokerError::Lagging) => {
                    tracing::debug!(service.name = %self.service, "this host lags behind: another one may relay");
                    return;
                }
                Err(error) => {
                    failures += 1;
                    let (service, error) = (&self.service, chain(&error));
                    if failures == 1 {
                        tracing::warn!(service.name = %service, error, "events wait in the outbox");
                    } else {
                        tracing::debug!(service.name = %service, error, failures, "events wait in the outbox");
                    }
                    self.count(&mut counted).await;
                    tokio::time::sleep(Backoff::CONNECTION.after(failures)).await;
                }
            }
        }
    }

    /// Relays the oldest events and returns how many there were.
    async fn batch(&self) -> Result<usize, BrokerError> {
        let outgoing = self.database.outgoing().await?;
        if outgoing.is_empty() {
            return Ok(0);
        }
        let events: Vec<Event> = outgoing.iter().map(|event| self.event(event)).collect();
        self.broker.publish(&events).await?;
        // Offered again they would come twice to those who do not know events by their id.
        let mut failures = 0;
        while let Err(error) = self.database.forget_outgoing(&outgoing).await {
            failures += 1;
            if failures == 1 {
                tracing::warn!(service.name = %self.service, %error, "published events stay in the outbox");
            } else {
                tracing::debug!(service.name = %self.service, %error, failures, "published events stay in the outbox");
            }
            tokio::time::sleep(Backoff::CONNECTION.after(failures)).await;
        }
        self.stats.of(&self.service).published.add(events.len() as u64);
        Ok(events.len())
    }

    fn event(&self, outgoing: &Outgoing) -> Event {
        Event {
            id: outgoing.id.clone(),
            topic: outgoing.topic.clone(),
            key: outgoing.key.clone(),
            source: self.service.clone(),
            time_us: outgoing.time_us,
            payload: outgoing.payload.clone(),
        }
    }

    async fn count(&self, counted: &mut Option<Instant>) {
        if counted.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return;
        }
        *counted = Some(Instant::now());
        if let Ok(depth) = self.database.outbox_depth(Instant::now() + COUNT_WAIT).await {
            self.stats.of(&self.service).outbox.note(depth);
        }
    }
}

/// Renders an error with its cause.
fn chain(error: &BrokerError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
