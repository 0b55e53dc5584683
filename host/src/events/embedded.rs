//! The broker that needs no other program: events wait in the host's own database.
//!
//! The host that holds the lease of a subscriber delivers to it: a bounded part of what waits is in memory, of each key
//! a few, events of one publisher with one key one after the other, different keys at once. What fails stalls its key
//! only.

mod heads;
mod search;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::heads::{Delivery, Heads};
use self::search::Search;
use self::store::Store;
use super::reach::Attempted;
use super::{Backoff, Broker, BrokerError, Courier, Directory, Event, Keyed, Lane, Leases, Reach, Verdict, Wakes};
use crate::db::{Database, Depth, SqlError};
use crate::names::ServiceName;

/// Deliveries of one subscriber that run at once.
const AT_ONCE: usize = 8;

/// Deliveries of one subscriber in memory, below which more are read.
const LOW: usize = 64;

/// Time for which a host that lags behind goes on with what it knows before others have their turn.
const HAND_OVER: Duration = Duration::from_secs(1);

/// Time from one look at how much waits to the next.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Longest wait for the database to count.
const COUNT_WAIT: Duration = Duration::from_secs(10);

/// Keeps events in the host's own database.
pub struct Embedded {
    store: Store,
    heads: Heads,
    directory: Arc<dyn Directory>,
    leases: Arc<Leases>,
    wakes: Arc<Wakes>,
    attempted: Attempted,
    /// By subscriber: told of each event that was stored for it.
    told: Mutex<BTreeMap<ServiceName, Arc<Notify>>>,
}

/// Why the deliveries of a subscriber have to begin anew.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the database of the events cannot be used: {0}")]
    Sql(#[from] SqlError),
    #[error("a delivery broke off: {0}")]
    Task(#[from] JoinError),
}

/// A delivery that has come back, and what becomes of it.
type Finished = (Lane, Delivery, Verdict);

impl Embedded {
    /// Keeps events in a database; its tables must be there (see [`super::prepare`]).
    pub fn new(database: Arc<Database>, directory: Arc<dyn Directory>, leases: Arc<Leases>, wakes: Arc<Wakes>) -> Self {
        let heads = Heads::new(Arc::clone(&database));
        let (store, attempted) = (Store::new(database), Attempted::default());
        Self { store, heads, directory, leases, wakes, attempted, told: Mutex::default() }
    }

    /// Returns what is told of events for a subscriber.
    fn told(&self, subscriber: &ServiceName) -> Arc<Notify> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(told.entry(subscriber.clone()).or_default())
    }

    async fn store_for_all(&self, events: &[Event]) -> Result<(), BrokerError> {
        if !self.directory.is_current().await {
            // Who subscribes since then would miss them.
            return Err(BrokerError::Lagging);
        }
        let mut subscribers: BTreeMap<&str, Vec<ServiceName>> = BTreeMap::new();
        for event in events {
            subscribers.entry(&event.topic).or_insert_with(|| self.directory.subscribers(&event.topic));
        }
        let stored = self.store.publish(events, &subscribers).await;
        // For nobody, nothing is stored.
        if subscribers.values().any(|names| !names.is_empty()) {
            self.attempted.note(answers(&stored));
        }
        stored?;
        let told: BTreeSet<&ServiceName> = subscribers.values().flatten().collect();
        for subscriber in told {
            self.told(subscriber).notify_one();
        }
        Ok(())
    }

    /// Delivers what there is and what comes, and begins anew after what breaks; ends only to let another host have the
    /// lease.
    async fn serve(&self, courier: &Courier) {
        let courier = Arc::new(courier.clone());
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            let Err(error) = Flow::new(self, Arc::clone(&courier)).run().await else {
                tracing::debug!(service.name = %courier.subscriber, "this host lags behind: another one may deliver");
                return;
            };
            if let Broken::Sql(SqlError::Timeout | SqlError::Unavailable(_)) = error {
                self.attempted.note(false);
            }
            failures = if begun.elapsed() > Backoff::CONNECTION.longest { 1 } else { failures + 1 };
            tracing::warn!(service.name = %courier.subscriber, %error, failures, "deliveries begin anew");
            tokio::time::sleep(Backoff::CONNECTION.after(failures)).await;
        }
    }
}

impl Broker for Embedded {
    fn publish<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(self.store_for_all(events))
    }

    fn run<'a>(&'a self, courier: &'a Courier, stop: &'a CancellationToken) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let name = format!("deliver/{}", courier.subscriber);
            let pass_on = || async {
                // The host that delivers counts what waits.
                courier.stats.of(&courier.subscriber).deliveries.set(0, None);
                self.wakes.on(self.told(&courier.subscriber)).pass_on().await;
            };
            self.leases.run(&name, stop, || self.serve(courier), pass_on).await;
        })
    }

    fn redeliver<'a>(
        &'a self,
        subscriber: &'a ServiceName,
        event: &'a Event,
    ) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(async move {
            self.store.redeliver(subscriber, event).await?;
            self.told(subscriber).notify_one();
            Ok(())
        })
    }

    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn reach(&self, until: Instant) -> BoxFuture<'_, Reach> {
        Box::pin(async move {
            let asked = tokio::time::timeout_at(until.into(), self.store.now()).await;
            self.attempted.note(asked.is_ok_and(|now| answers(&now)));
            self.attempted.reach()
        })
    }

    fn depth<'a>(
        &'a self,
        subscriber: &'a ServiceName,
        until: Instant,
    ) -> BoxFuture<'a, Result<Option<Depth>, BrokerError>> {
        Box::pin(async move { Ok(Some(self.store.depth(subscriber, until).await?)) })
    }
}

/// The deliveries of one subscriber, as long as nothing breaks.
struct Flow<'f> {
    broker: &'f Embedded,
    courier: Arc<Courier>,
    waiting: Keyed<Delivery>,
    /// Places of what is in memory: waiting or running.
    known: BTreeSet<i64>,
    running: JoinSet<Finished>,
    search: Search,
    /// When the lease is given up, because another host knows better.
    hand_over: Option<Instant>,
    counted: Option<Instant>,
}

impl<'f> Flow<'f> {
    fn new(broker: &'f Embedded, courier: Arc<Courier>) -> Self {
        Self {
            broker,
            courier,
            waiting: Keyed::default(),
            known: BTreeSet::new(),
            running: JoinSet::new(),
            search: Search::default(),
            hand_over: None,
            counted: None,
        }
    }

    /// Ends when another host should go on. Dropped, it stops what runs: that is delivered again.
    async fn run(mut self) -> Result<(), Broken> {
        let mut wake = self.broker.wakes.on(self.broker.told(&self.courier.subscriber));
        self.search.hear();
        loop {
            let gives_up = self.hand_over.is_some_and(|at| at <= Instant::now());
            if !gives_up {
                self.start();
            } else if self.running.is_empty() {
                return Ok(());
            }
            self.count().await?;
            let reads = !gives_up && self.known.len() < LOW && self.search.has_next();
            let (due, hand_over) = (self.search.due(), self.hand_over.filter(|_| !gives_up));
            tokio::select! {
                Some(finished) = self.running.join_next() => self.settle(finished).await?,
                () = wake.heard() => self.search.hear(),
                () = until(due) => self.search.wake(Instant::now()),
                () = until(hand_over) => {},
                () = std::future::ready(()), if reads => self.read().await?,
            }
        }
    }

    /// Reads more of what waits, of each key the oldest: what is in memory of it comes before all that is not.
    async fn read(&mut self) -> Result<(), Broken> {
        let Some(place) = self.search.next() else { return Ok(()) };
        let window = self.broker.heads.read(&self.courier.subscriber, &place, &self.known).await?;
        self.search.found(&window, Instant::now());
        for delivery in window.deliveries {
            self.known.insert(delivery.seq);
            self.waiting.push(Lane::of(&delivery.event), delivery);
        }
        Ok(())
    }

    fn start(&mut self) {
        while self.running.len() < AT_ONCE {
            let Some((lane, delivery)) = self.waiting.take() else { return };
            let courier = Arc::clone(&self.courier);
            self.running.spawn(async move {
                let verdict = courier.attempt(&delivery.event, delivery.failures).await;
                (lane, delivery, verdict)
            });
        }
    }

    /// Stores what has become of one delivery, and of those that ended just then, in one transaction.
    async fn settle(&mut self, finished: Result<Finished, JoinError>) -> Result<(), Broken> {
        let mut all = vec![finished?];
        while let Some(finished) = self.running.try_join_next() {
            all.push(finished?);
        }
        // In the order of places: hosts that settle the same events wait for each other and never in a circle.
        all.sort_by_key(|(_, delivery, _)| delivery.seq);
        self.broker.store.settle(&self.courier, &all).await?;
        for (lane, delivery, verdict) in all {
            self.known.remove(&delivery.seq);
            match verdict {
                Verdict::Done => self.go_on(lane),
                Verdict::Dead { reason, failures } => {
                    let (subscriber, event) = (&self.courier.subscriber, &delivery.event);
                    self.courier.dead.announce(subscriber, event, failures, &reason).await;
                    self.go_on(lane);
                }
                Verdict::Retry { wait, .. } => self.stall(lane, wait),
                Verdict::Elsewhere { wait } => {
                    self.hand_over = self.hand_over.or_else(|| Some(Instant::now() + HAND_OVER));
                    self.stall(lane, wait);
                }
            }
        }
        Ok(())
    }

    /// Forgets what waits in a lane: its events are read again when it may go on.
    fn stall(&mut self, lane: Lane, wait: Duration) {
        for later in self.waiting.clear(&lane) {
            self.known.remove(&later.seq);
        }
        self.search.stall(lane, Instant::now() + wait);
    }

    /// Lets the next of a lane run.
    fn go_on(&mut self, lane: Lane) {
        if !self.waiting.has_next(&lane) {
            self.search.ran_out(&lane);
        }
        self.waiting.done(lane);
    }

    async fn count(&mut self) -> Result<(), Broken> {
        if self.counted.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return Ok(());
        }
        self.counted = Some(Instant::now());
        // A count that is late keeps no delivery from going on.
        let depth = self.broker.store.depth(&self.courier.subscriber, Instant::now() + COUNT_WAIT).await;
        self.broker.attempted.note(answers(&depth));
        if let Ok(depth) = depth {
            self.courier.stats.of(&self.courier.subscriber).deliveries.note(depth);
        }
        self.broker.store.tidy().await?;
        Ok(())
    }
}

/// Says whether a database has answered, whatever.
fn answers<T>(outcome: &Result<T, SqlError>) -> bool {
    !matches!(outcome, Err(SqlError::Timeout | SqlError::Unavailable(_)))
}

/// Waits for a moment, if there is one to wait for.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
