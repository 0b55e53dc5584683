//! How much of the events of each live service waits, for operators.
//!
//! It is asked where it waits, so that every host tells the same, whichever one relays and delivers. Asking is cheap:
//! counts end at a bound, many who ask at once get one answer, and all of it is waited for at most [`SURVEY_TIMEOUT`].
//! What has not come by then is unknown, never zero.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use tokio::sync::Mutex;
use tokio::time::timeout_at;

use super::{Broker, BrokerError, DeadLetters, Reach};
use crate::db::{Database, Depth, SqlError};
use crate::names::ServiceName;

/// Longest wait for all answers together.
pub const SURVEY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long what was found is told again.
const FRESH: Duration = Duration::from_millis(500);

/// Outboxes that are looked into at once.
const AT_ONCE: usize = 8;

/// Says what each live service has to do with events, at the moment of the question.
pub type Members = Box<dyn Fn() -> BTreeMap<ServiceName, Member> + Send + Sync>;

/// What a service has to do with events.
#[derive(Clone, Default)]
pub struct Member {
    /// Where its outbox lies, if it publishes.
    pub outbox: Option<Arc<Database>>,
    /// Whether it subscribes to anything.
    pub subscribes: bool,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The broker in use.
    pub broker: BrokerState,
    /// The live services that publish or subscribe, and all that have dead letters.
    pub services: BTreeMap<ServiceName, Standing>,
}

/// The broker in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerState {
    /// `embedded` or `rabbitmq`.
    pub kind: &'static str,
    /// Whether it can be reached.
    pub reach: Reach,
}

/// How much of one service's events waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// In its outbox; none when it does not publish, or its database does not answer.
    pub outbox: Option<Depth>,
    /// At the broker, for it; none when it does not subscribe, or that is not known here.
    pub deliveries: Option<Depth>,
    /// Dead letters of it that are kept; none when the host's own database does not answer.
    pub dead_letters: Option<u64>,
}

/// What is kept for the whole host.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The broker in use.
    pub broker: BrokerState,
    /// Dead letters of each service that has any; none when the host's own database does not answer.
    pub dead_letters: Option<BTreeMap<ServiceName, u64>>,
}

/// Looks where events wait.
pub struct Survey {
    dead: Arc<DeadLetters>,
    broker: Arc<dyn Broker>,
    members: Members,
    kept: Fresh<Kept>,
    waiting: Fresh<BTreeMap<ServiceName, Standing>>,
}

/// What was found last, which is told again for a moment.
struct Fresh<T>(Mutex<Option<(Instant, T)>>);

// === impl Survey ===

impl Survey {
    /// Looks at the broker, the dead letters, and the outboxes of the services that `members` names.
    pub fn new(dead: Arc<DeadLetters>, broker: Arc<dyn Broker>, members: Members) -> Self {
        Self { dead, broker, members, kept: Fresh::default(), waiting: Fresh::default() }
    }

    /// Looks at everything.
    pub async fn take(&self) -> Found {
        let (kept, mut services) = futures::join!(self.kept(), self.waiting.or(self.ask_services()));
        let none = kept.dead_letters.is_some().then_some(0);
        for standing in services.values_mut() {
            standing.dead_letters = none;
        }
        for (service, count) in kept.dead_letters.into_iter().flatten() {
            services.entry(service).or_default().dead_letters = Some(count);
        }
        Found { broker: kept.broker, services }
    }

    /// Looks at what the host keeps, and at no database of a service.
    pub async fn kept(&self) -> Kept {
        self.kept.or(self.ask_host()).await
    }

    async fn ask_host(&self) -> Kept {
        let until = Instant::now() + SURVEY_TIMEOUT;
        let letters = timeout_at(until.into(), self.dead.counts());
        let (reach, letters) = futures::join!(self.broker.reach(until), letters);
        let letters = letters.unwrap_or(Err(SqlError::Timeout));
        let letters = letters.inspect_err(|error| tracing::debug!(%error, "dead letters cannot be counted"));
        Kept { broker: BrokerState { kind: self.broker.kind(), reach }, dead_letters: letters.ok() }
    }

    async fn ask_services(&self) -> BTreeMap<ServiceName, Standing> {
        let until = Instant::now() + SURVEY_TIMEOUT;
        let members = (self.members)();
        let outboxes: Vec<_> = members
            .iter()
            .filter_map(|(service, member)| Some((service.clone(), Arc::clone(member.outbox.as_ref()?))))
            .map(|(service, database)| ask_outbox(service, database, until))
            .collect();
        let outboxes = stream::iter(outboxes).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
        let subscribers = members.iter().filter(|(_, member)| member.subscribes).map(|(service, _)| service.clone());
        let deliveries = self.ask_broker(subscribers.collect(), until);
        let (outboxes, deliveries) = futures::join!(outboxes, deliveries);
        let mut standings: BTreeMap<ServiceName, Standing> =
            members.into_keys().map(|service| (service, Standing::default())).collect();
        for (service, depth) in outboxes {
            standings.entry(service).or_default().outbox = depth;
        }
        for (service, depth) in deliveries {
            standings.entry(service).or_default().deliveries = depth;
        }
        standings
    }

    /// Asks for one subscriber after the other: they share a database, which has other work.
    async fn ask_broker(&self, subscribers: Vec<ServiceName>, until: Instant) -> Vec<(ServiceName, Option<Depth>)> {
        let mut depths = Vec::new();
        for service in subscribers {
            let answer = timeout_at(until.into(), self.broker.depth(&service, until)).await;
            let answer = answer.unwrap_or(Err(BrokerError::Sql(SqlError::Timeout)));
            let answer = answer.inspect_err(|error| {
                tracing::debug!(service.name = %service, %error, "it is not known what waits for a service");
            });
            depths.push((service, answer.ok().flatten()));
        }
        depths
    }
}

async fn ask_outbox(service: ServiceName, database: Arc<Database>, until: Instant) -> (ServiceName, Option<Depth>) {
    let answer = database.outbox_depth(until).await;
    let answer = answer.inspect_err(|error| {
        tracing::debug!(service.name = %service, %error, "it is not known what waits in an outbox");
    });
    (service, answer.ok())
}

// === impl Fresh ===

impl<T> Default for Fresh<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Fresh<T> {
    /// Returns what was found a moment ago, or asks. One asks, however many want to know.
    async fn or(&self, ask: impl Future<Output = T>) -> T {
        let mut last = self.0.lock().await;
        if let Some((_, known)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return known.clone();
        }
        let found = ask.await;
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

#[cfg(test)]
mod tests;
