//! Runs events: one relay for each live service that publishes, one courier for each that subscribes.
//!
//! Both follow what lives. Who is taken out of service, or replaced by a revision with other subscriptions, is ended
//! before its successor begins.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::role;
use crate::bindings::subscriber::exports::provesi::platform::subscriber::Event as DeliveredEvent;
use crate::config::{EventsConfig, EventsUrl};
use crate::db::Database;
use crate::dispatch::{Dispatch, View};
use crate::events::{
    Attempts, Broker, Courier, Current, DeadLetters, Deliver, DeliveryError, Directory, Embedded, Event, Leases,
    Member, Rabbit, Relay, Stats, Survey, Wakes, prepare,
};
use crate::fault::CallError;
use crate::feed::Feed;
use crate::names::ServiceName;
use crate::registry::{Registry, Snapshot};

/// Time from one look for long handled events to the next.
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);

/// What carries events on this host.
pub(super) struct Events {
    registry: Arc<Registry>,
    deliver: Arc<dyn Deliver>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) dead: Arc<DeadLetters>,
    pub(super) stats: Arc<Stats>,
    pub(super) survey: Arc<Survey>,
    leases: Arc<Leases>,
    wakes: Arc<Wakes>,
    attempts: Attempts,
    running: Mutex<BTreeMap<Role, Running>>,
}

/// What is done for a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// Its outbox is relayed.
    Relay(ServiceName),
    /// It gets the events that it subscribes to.
    Courier(ServiceName),
}

/// What a role is done with; it begins anew when that changes.
#[derive(Clone)]
enum Means {
    Outbox(Arc<Database>),
    Topics(Vec<String>),
}

struct Running {
    /// None when it was ended and nothing has followed.
    means: Option<Means>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Reaches the live services.
struct Services {
    registry: Arc<Registry>,
    dispatch: Arc<Dispatch>,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay(service) => write!(f, "relay of {service}"),
            Self::Courier(service) => write!(f, "courier of {service}"),
        }
    }
}

impl PartialEq for Means {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Outbox(one), Self::Outbox(other)) => Arc::ptr_eq(one, other),
            (Self::Topics(one), Self::Topics(other)) => one == other,
            _ => false,
        }
    }
}

impl Events {
    /// Prepares the host's own database and the broker.
    ///
    /// # Errors
    /// When the database or the configured broker cannot be used.
    pub(super) async fn open(
        config: &EventsConfig,
        database: Arc<Database>,
        registry: Arc<Registry>,
        dispatch: Arc<Dispatch>,
        feed: Arc<Feed>,
    ) -> anyhow::Result<Self> {
        prepare(&database).await.context("cannot make the tables of the events")?;
        let leases = Arc::new(Leases::open(Arc::clone(&database)).await.context("cannot use the table of leases")?);
        let wakes = Arc::new(Wakes::new(Arc::clone(&database)));
        let stats = Arc::new(Stats::default());
        let dead = Arc::new(DeadLetters::new(Arc::clone(&database), feed, Arc::clone(&stats)));
        let services = Arc::new(Services { registry: Arc::clone(&registry), dispatch });
        let directory = Arc::clone(&services) as Arc<dyn Directory>;
        let broker: Arc<dyn Broker> = match &config.url {
            EventsUrl::Embedded => {
                Arc::new(Embedded::new(database, directory, Arc::clone(&leases), Arc::clone(&wakes)))
            }
            EventsUrl::Amqp(url) => Arc::new(Rabbit::new(url, directory, Arc::clone(&stats))?),
        };
        let live = Arc::clone(&registry);
        let members = Box::new(move || members(&live.snapshot()));
        let survey = Arc::new(Survey::new(Arc::clone(&dead), Arc::clone(&broker), members));
        let attempts = Attempts(config.attempts);
        let running = Mutex::default();
        Ok(Self { registry, deliver: services, broker, dead, stats, survey, leases, wakes, attempts, running })
    }

    /// Carries events for what lives, and what comes to live later, until told to stop.
    pub(super) async fn follow(self: Arc<Self>, tracker: TaskTracker, stop: CancellationToken) {
        let wakes = role::keep("word of events", &stop, || self.wakes.follow(stop.clone()));
        let forget = role::keep("old events", &stop, || self.forget_handled(&stop));
        let carry = role::keep("events", &stop, || self.carry(&tracker, &stop));
        futures::join!(wakes, forget, carry);
    }

    async fn carry(self: &Arc<Self>, tracker: &TaskTracker, stop: &CancellationToken) {
        let mut changes = self.registry.changes();
        loop {
            changes.mark_unchanged();
            self.start(&self.registry.snapshot(), tracker, stop);
            match stop.run_until_cancelled(changes.changed()).await {
                Some(Ok(())) => {}
                _ => return,
            }
        }
    }

    /// Starts what has come, and ends what has gone.
    fn start(self: &Arc<Self>, snapshot: &Snapshot, tracker: &TaskTracker, stop: &CancellationToken) {
        let mut wanted = roles(snapshot);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, gone) in running.iter_mut().filter(|(role, _)| !wanted.contains_key(*role)) {
            gone.stop.cancel();
            gone.means = None;
        }
        wanted.retain(|role, means| running.get(role).and_then(|running| running.means.as_ref()) != Some(&*means));
        for (role, means) in wanted {
            let before = running.remove(&role);
            let (this, own, with, what) = (Arc::clone(self), stop.child_token(), means.clone(), role.clone());
            let until = own.clone();
            let task = tracker.spawn(async move {
                // Its lease would be given back under its successor.
                if let Some(before) = before {
                    before.end().await;
                }
                let name = what.to_string();
                role::keep(&name, &until, || this.perform(what.clone(), with.clone(), &until)).await;
            });
            running.insert(role, Running { means: Some(means), stop: own, task });
        }
    }

    async fn perform(&self, role: Role, means: Means, stop: &CancellationToken) {
        match (role, means) {
            (Role::Relay(service), Means::Outbox(database)) => {
                let relay = Relay {
                    service,
                    database,
                    broker: Arc::clone(&self.broker),
                    leases: Arc::clone(&self.leases),
                    wakes: Arc::clone(&self.wakes),
                    stats: Arc::clone(&self.stats),
                };
                relay.run(stop).await;
            }
            (Role::Courier(subscriber), Means::Topics(topics)) => {
                let courier = Courier {
                    subscriber,
                    topics,
                    deliver: Arc::clone(&self.deliver),
                    attempts: self.attempts,
                    dead: Arc::clone(&self.dead),
                    stats: Arc::clone(&self.stats),
                    unavailable: Arc::default(),
                };
                self.broker.run(&courier, stop).await;
            }
            (role, _) => tracing::error!(?role, "a role with the means of another"),
        }
    }

    /// Forgets in all inboxes what was handled long ago, until told to stop.
    async fn forget_handled(&self, stop: &CancellationToken) {
        loop {
            for (name, live) in self.registry.snapshot().services() {
                let subscribes = !live.main().description.subscriptions.is_empty();
                let Some(database) = live.main().linked.database().filter(|_| subscribes) else { continue };
                if let Err(error) = database.forget_handled(stop).await {
                    tracing::warn!(service.name = %name, %error, "cannot forget events that were handled long ago");
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(FORGET_EVERY)).await.is_none() {
                return;
            }
        }
    }
}

impl Running {
    async fn end(self) {
        self.stop.cancel();
        // A panic was told by the runtime.
        let _ = self.task.await;
    }
}

/// Says what is to be done for the live services.
fn roles(snapshot: &Snapshot) -> BTreeMap<Role, Means> {
    let mut roles = BTreeMap::new();
    for (name, live) in snapshot.services() {
        // Any revision with traffic may publish; the one with most of it takes the events.
        let publisher = live.revisions().iter().map(|(revision, _)| revision).find(|revision| revision.publishes());
        if let Some(database) = publisher.and_then(|revision| revision.linked.database()) {
            roles.insert(Role::Relay(name.clone()), Means::Outbox(Arc::clone(database)));
        }
        let topics: Vec<String> = live.main().description.subscriptions.iter().cloned().collect();
        if !topics.is_empty() {
            roles.insert(Role::Courier(name.clone()), Means::Topics(topics));
        }
    }
    roles
}

/// Says what the live services have to do with events, for those who look where they wait.
fn members(snapshot: &Snapshot) -> BTreeMap<ServiceName, Member> {
    let mut members: BTreeMap<ServiceName, Member> = BTreeMap::new();
    for (role, means) in roles(snapshot) {
        match role {
            Role::Relay(service) => {
                let Means::Outbox(database) = means else { continue };
                members.entry(service).or_default().outbox = Some(database);
            }
            Role::Courier(service) => members.entry(service).or_default().subscribes = true,
        }
    }
    members
}

/// How the error of a subscriber begins that could not try; see `wit/platform/subscriber.wit`.
const UNAVAILABLE: &str = "unavailable: ";

impl Current for Services {
    fn is_current(&self) -> BoxFuture<'_, bool> {
        Box::pin(self.registry.is_current())
    }
}

impl Directory for Services {
    fn subscribers(&self, topic: &str) -> Vec<ServiceName> {
        self.registry.snapshot().subscribers(topic)
    }

    fn topics(&self, subscriber: &ServiceName) -> Vec<String> {
        let snapshot = self.registry.snapshot();
        let live = snapshot.service(subscriber);
        live.map(|live| live.main().description.subscriptions.iter().cloned().collect()).unwrap_or_default()
    }
}

impl Deliver for Services {
    fn deliver<'a>(
        &'a self,
        subscriber: &'a ServiceName,
        event: &'a Event,
        attempt: u32,
    ) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let snapshot = self.registry.snapshot();
            let gone = || DeliveryError::Unavailable(format!("{subscriber} does not serve"));
            let view = View::within(&snapshot, snapshot.service(subscriber).ok_or_else(gone)?);
            if !view.entry.description.subscriptions.contains(&event.topic) {
                if !self.registry.is_current().await {
                    return Err(DeliveryError::Lagging);
                }
                tracing::info!(service.name = %subscriber, event.id, event.topic, "nobody subscribes any more");
                return Ok(());
            }
            let event = DeliveredEvent {
                id: event.id.clone(),
                topic: event.topic.clone(),
                key: event.key.clone(),
                time: event.time_us,
                payload: event.payload.clone(),
                attempt,
            };
            match self.dispatch.deliver_event(view, &event).await {
                Ok(Ok(())) => Ok(()),
                // The service's own words for a database that is away or held by others: that is no fault of the event.
                Ok(Err(reason)) if reason.starts_with(UNAVAILABLE) => Err(DeliveryError::Unavailable(reason)),
                Ok(Err(reason)) => Err(DeliveryError::Failed(reason)),
                Err(error @ CallError::Guest { .. }) => Err(DeliveryError::Failed(first_line(&error))),
                Err(error) => Err(DeliveryError::Unavailable(first_line(&error))),
            }
        })
    }
}

/// The rest is the guest's backtrace, which the log has.
fn first_line(error: &CallError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
