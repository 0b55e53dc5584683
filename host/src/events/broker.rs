//! The seam between the outboxes and the subscribers: where events wait for those that have not handled them yet.
//!
//! Two implementations: [`super::Embedded`] keeps them in the host's own database, `rabbit` in RabbitMQ. A third
//! party that listens is the broker's business, not the host's.

use std::time::Instant;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{Courier, Event, Reach};
use crate::db::Depth;
use crate::names::ServiceName;

/// Why a broker did not take events. They stay where they were and are offered again.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The host's own database refuses.
    #[error("the database of the events cannot be used")]
    Sql(#[from] crate::db::SqlError),
    /// Another host knows better who subscribes: here, somebody would miss them.
    #[error("this host lags behind what another one has activated")]
    Lagging,
    /// The broker is away or refuses; the text says what it answered, and holds no credential.
    #[error("the broker cannot be used: {0}")]
    Unavailable(String),
}

/// Why a subscriber has not handled an event.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// It tried and failed: an error of its own, a trap, its deadline. Counts as an attempt.
    #[error("{0}")]
    Failed(String),
    /// It could not try: it is full, or the host is at fault. Does not count.
    #[error("{0}")]
    Unavailable(String),
    /// Another host knows better whether it subscribes. Does not count.
    #[error("this host lags behind what another one has activated")]
    Lagging,
}

/// Hands one event to one service, as `dispatch` does it.
pub trait Deliver: Current {
    /// Delivers once; `attempt` counts from 1. A service that no longer subscribes to the topic counts as done.
    ///
    /// # Cancel safety
    /// Dropping the future ends the guest and rolls its transactions back.
    fn deliver<'a>(
        &'a self,
        subscriber: &'a ServiceName,
        event: &'a Event,
        attempt: u32,
    ) -> BoxFuture<'a, Result<(), DeliveryError>>;
}

/// Knows whether this host knows what there is to know.
pub trait Current: Send + Sync {
    /// Says whether services and subscriptions are known as they are now: a host may lag behind what another one has
    /// activated.
    fn is_current(&self) -> BoxFuture<'_, bool>;
}

/// Says who subscribes to what, as the live snapshot has it at the moment of the question.
pub trait Directory: Current {
    /// Returns the live services that subscribe to a topic.
    fn subscribers(&self, topic: &str) -> Vec<ServiceName>;
    /// Returns the topics that a live service subscribes to; none when it is not live.
    fn topics(&self, subscriber: &ServiceName) -> Vec<String>;
}

/// Keeps events until each subscriber has handled them.
pub trait Broker: Send + Sync {
    /// Stores events durably for all that subscribe now, in their order; returns when that is confirmed.
    ///
    /// All or, on an error, any part of them is stored: the same events are offered again, and again in order.
    fn publish<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<(), BrokerError>>;

    /// Runs the deliveries of one subscriber until told to stop: in order per publisher and key, at least once.
    ///
    /// Never returns before that; what fails (a lost connection, a lease that another host holds) is waited for.
    /// Dropping the future is safe at any time: what was being delivered is delivered again.
    fn run<'a>(&'a self, courier: &'a Courier, stop: &'a CancellationToken) -> BoxFuture<'a, ()>;

    /// Stores one event for one subscriber again: a dead letter that is replayed. It has all its attempts anew.
    fn redeliver<'a>(&'a self, subscriber: &'a ServiceName, event: &'a Event)
    -> BoxFuture<'a, Result<(), BrokerError>>;

    /// Names the kind of broker, for operators.
    fn kind(&self) -> &'static str;

    /// Says whether it can be reached; answers by a moment.
    fn reach(&self, until: Instant) -> BoxFuture<'_, Reach>;

    /// Returns how much waits for a subscriber, none when that is not known here; answers by a moment.
    fn depth<'a>(
        &'a self,
        subscriber: &'a ServiceName,
        until: Instant,
    ) -> BoxFuture<'a, Result<Option<Depth>, BrokerError>>;

    /// Lets go of what it holds; to be called when no deliveries run any more.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
