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
mod publisher;
mod topology;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::link::Link;
use self::publisher::{Publisher, confirmed};
use super::{Broker, BrokerError, Courier, Directory, Event};
use crate::names::ServiceName;

/// Longest wait until all events of a batch are on the broker's disk.
const PUBLISH: Duration = Duration::from_secs(30);

/// Keeps events in RabbitMQ.
pub struct Rabbit {
    publishing: Link,
    consuming: Link,
    directory: Arc<dyn Directory>,
    publisher: Mutex<Option<Publisher>>,
}

impl Rabbit {
    /// Keeps events in the RabbitMQ at `amqp://user:password@host:port/vhost`; it need not be there yet.
    ///
    /// # Errors
    /// When that is no address; the error does not repeat it.
    pub fn new(url: &str, directory: Arc<dyn Directory>) -> Result<Self, BrokerError> {
        let (publishing, consuming) = Link::pair(&link::address(url)?);
        Ok(Self { publishing, consuming, directory, publisher: Mutex::new(None) })
    }

    /// Does something that ends with confirmations, a bounded time.
    async fn bounded(&self, sending: impl Future<Output = Result<(), BrokerError>>) -> Result<(), BrokerError> {
        // What is sent now would only wait, and with it the memory that it takes.
        if self.publishing.is_blocked().await {
            return Err(BrokerError::Unavailable("it is short of memory or disk and takes nothing".into()));
        }
        if let Ok(outcome) = tokio::time::timeout(PUBLISH, sending).await {
            return outcome;
        }
        if !self.publishing.is_blocked().await {
            // Nobody knows what this connection does: the next batch gets another.
            self.publisher.lock().await.take();
            self.publishing.forget().await;
        }
        Err(BrokerError::Unavailable(format!("no confirmation within {PUBLISH:?}")))
    }

    async fn store(&self, events: &[Event]) -> Result<(), BrokerError> {
        let mut confirms = Vec::with_capacity(events.len());
        {
            // Held while events are sent, so that batches do not mix; their confirmations come later, for all at once.
            let mut publisher = self.publisher.lock().await;
            let publisher = self.ready(&mut publisher).await?;
            publisher.route(&self.publishing, &*self.directory, events).await?;
            for event in events {
                let topic = topology::short(&event.topic)?;
                confirms.push(publisher.send(topology::EXCHANGE, topic, event).await?);
            }
        }
        confirmed(confirms).await
    }

    async fn store_for(&self, subscriber: &ServiceName, event: &Event) -> Result<(), BrokerError> {
        topology::declare_queue(&self.publishing, subscriber, &self.directory.topics(subscriber)).await?;
        let confirm = {
            let mut publisher = self.publisher.lock().await;
            // The exchange without a name leads to the queue of the routing key's name.
            self.ready(&mut publisher).await?.send("", topology::queue_name(subscriber), event).await?
        };
        confirmed(vec![confirm]).await
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

impl Broker for Rabbit {
    fn publish<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(self.bounded(self.store(events)))
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
        Box::pin(self.bounded(self.store_for(subscriber, event)))
    }
}
