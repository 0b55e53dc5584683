//! The broker that other systems can listen to: events wait in RabbitMQ.
//!
//! They go to the topic exchange `provesi.events` as CloudEvents, and from there into a queue for each subscriber. One
//! consumer of a queue is active at a time, on whichever host; what it has not acknowledged when it is lost comes
//! again. While RabbitMQ is away, events wait in their outboxes and hosts serve as ever. The connections close when
//! this is dropped. See `docs/events-rabbitmq.md`.

mod deliveries;
mod envelope;
mod flow;
mod link;
mod pipeline;
mod publisher;
mod topology;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::link::Link;
use self::pipeline::{Sent, send_in_order};
use self::publisher::{Outlet, Publisher};
use super::{Broker, BrokerError, Courier, Directory, Event, Reach, Stats};
use crate::db::Depth;
use crate::names::ServiceName;

/// Longest wait until one event is on the broker's disk, and until all is ready for a batch.
const PUBLISH: Duration = Duration::from_secs(30);

/// Keeps events in RabbitMQ.
pub struct Rabbit {
    publishing: Link,
    consuming: Link,
    directory: Arc<dyn Directory>,
    stats: Arc<Stats>,
    publisher: Mutex<Option<Publisher>>,
}

/// Whom events are for.
#[derive(Clone, Copy)]
enum To<'t> {
    /// All whose queues are bound to their topics.
    All,
    /// One subscriber.
    One(&'t ServiceName),
}

impl Rabbit {
    /// Keeps events in the RabbitMQ at `amqp://user:password@host:port/vhost`; it need not be there yet.
    ///
    /// `stats` is where those who deliver count what waits.
    ///
    /// # Errors
    /// When that is no address; the error does not repeat it.
    pub fn new(url: &str, directory: Arc<dyn Directory>, stats: Arc<Stats>) -> Result<Self, BrokerError> {
        let (publishing, consuming) = Link::pair(&link::address(url)?);
        Ok(Self { publishing, consuming, directory, stats, publisher: Mutex::new(None) })
    }

    /// Sends events, those of one key one after the other; returns when all are confirmed.
    async fn send(&self, events: &[Event], to: To<'_>) -> Result<(), BrokerError> {
        // What is sent now would only wait, and with it the memory that it takes.
        if self.publishing.is_blocked().await {
            return Err(BrokerError::Unavailable("it is short of memory or disk and takes nothing".into()));
        }
        let sent = match timeout(PUBLISH, self.outlet(events, to)).await {
            Ok(outlet) => {
                let outlet = outlet?;
                send_in_order(events, PUBLISH, |at| send_to(&outlet, to, &events[at])).await?
            }
            Err(_) => Sent::Late,
        };
        match sent {
            Sent::All => {
                self.publishing.note(true);
                Ok(())
            }
            Sent::Refused(count) => Err(BrokerError::Unavailable(format!("it did not take {count} events"))),
            Sent::Late => {
                if !self.publishing.is_blocked().await {
                    // Nobody knows what this connection does: the next batch gets another.
                    self.publisher.lock().await.take();
                    self.publishing.forget().await;
                    self.publishing.note(false);
                }
                Err(BrokerError::Unavailable(format!("no confirmation within {PUBLISH:?}")))
            }
        }
    }

    /// Sees to it that the events are kept for whom they are for, and returns where they are sent.
    async fn outlet(&self, events: &[Event], to: To<'_>) -> Result<Outlet, BrokerError> {
        if let To::One(subscriber) = to {
            topology::declare_queue(&self.publishing, subscriber, &self.directory.topics(subscriber)).await?;
        }
        let mut publisher = self.publisher.lock().await;
        let publisher = self.ready(&mut publisher).await?;
        if let To::All = to {
            publisher.route(&self.publishing, &*self.directory, events).await?;
        }
        Ok(publisher.outlet())
    }

    async fn store(&self, events: &[Event]) -> Result<(), BrokerError> {
        if !self.directory.is_current().await {
            // Who subscribes since then may have no queue yet, and would miss them.
            return Err(BrokerError::Lagging);
        }
        self.send(events, To::All).await
    }

    /// Returns the publisher, a new one when the last one was lost.
    async fn ready<'p>(&self, publisher: &'p mut Option<Publisher>) -> Result<&'p mut Publisher, BrokerError> {
        let open = match publisher.take().filter(Publisher::is_open) {
            Some(open) => open,
            None => Publisher::open(&self.publishing).await?,
        };
        Ok(publisher.insert(open))
    }
}

/// Sends one event; false when the broker refuses it.
async fn send_to(outlet: &Outlet, to: To<'_>, event: &Event) -> Result<bool, BrokerError> {
    match to {
        To::All => outlet.send(topology::EXCHANGE, topology::short(&event.topic)?, event).await,
        // The exchange without a name leads to the queue of the routing key's name.
        To::One(subscriber) => outlet.send("", topology::queue_name(subscriber), event).await,
    }
}

impl Broker for Rabbit {
    fn publish<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(self.store(events))
    }

    fn run<'a>(&'a self, courier: &'a Courier, stop: &'a CancellationToken) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Some(publisher) = self.publisher.lock().await.as_mut() {
                publisher.forget(&courier.subscriber);
            }
            deliveries::run(&self.consuming, courier, stop).await;
        })
    }

    fn redeliver<'a>(
        &'a self,
        subscriber: &'a ServiceName,
        event: &'a Event,
    ) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(self.send(std::slice::from_ref(event), To::One(subscriber)))
    }

    fn kind(&self) -> &'static str {
        "rabbitmq"
    }

    fn reach(&self, _: Instant) -> BoxFuture<'_, Reach> {
        Box::pin(std::future::ready(self.publishing.reach().or(self.consuming.reach())))
    }

    fn depth<'a>(
        &'a self,
        subscriber: &'a ServiceName,
        _: Instant,
    ) -> BoxFuture<'a, Result<Option<Depth>, BrokerError>> {
        // What was counted before the broker was lost may be true no more.
        let is_counted = matches!(self.consuming.reach(), Reach::Connected | Reach::Blocked);
        let depth = is_counted.then(|| self.stats.of(subscriber).deliveries.depth());
        Box::pin(std::future::ready(Ok(depth)))
    }
}
