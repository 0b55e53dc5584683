//! What flows through one channel from a subscriber's queue to the subscriber, until the channel is lost.
//!
//! An event is acknowledged when it is handled, or lies among the dead letters. What is not acknowledged when the
//! channel ends comes again, before what came after it. Events of one publisher with one key go one after the other,
//! different keys at once; what fails stalls its key only, as long as not all that was prefetched waits behind it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::types::AMQPValue;
use lapin::{Acker, Channel, Consumer};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::super::{Backoff, BrokerError, Courier, Event, Keyed, Lane, Verdict};
use super::deliveries::Failures;
use super::link::answer;
use super::{envelope, topology};

/// Messages that are here and not acknowledged, at most.
pub(super) const PREFETCH: u16 = 64;

/// Deliveries that run at once.
const AT_ONCE: usize = 8;

/// Longest wait at a stop for deliveries that run.
const DRAIN: Duration = Duration::from_secs(30);

/// Time for which events of a topic that is not subscribed are held before they are dropped.
///
/// A host that lags behind a deployment elsewhere hears of the subscription before that, and begins anew.
const GRACE: Duration = Duration::from_secs(5);

/// Topics without a subscription that are remembered at most.
const UNSUBSCRIBED: usize = 256;

/// Time from one look at how much waits to the next.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// One message, as an event.
struct Parcel {
    event: Event,
    failures: u32,
    /// Why it is no event.
    malformed: Option<String>,
    acker: Acker,
    /// Its number on the channel.
    tag: u64,
}

/// What has become of a parcel.
enum Outcome {
    Settled,
    Again { wait: Duration, failures: u32 },
    Lost(BrokerError),
}

/// What was put off and is due.
enum Due {
    Retry(Lane, Parcel),
    Unsubscribed { topic: String, acker: Acker },
}

type Finished = (Lane, Parcel, Outcome);

/// The deliveries on one channel.
pub(super) struct Flow<'f> {
    courier: &'f Courier,
    failures: &'f mut Failures,
    channel: Channel,
    consumer: Consumer,
    waiting: Keyed<Parcel>,
    running: JoinSet<Finished>,
    later: FuturesUnordered<BoxFuture<'static, Due>>,
    /// When the events in memory were published, by their numbers on the channel.
    published_us: BTreeMap<u64, i64>,
    /// Since when it is known here that a topic is not subscribed.
    unsubscribed: HashMap<String, Instant>,
    unbound: BTreeSet<String>,
    has_settled: bool,
}

impl<'f> Flow<'f> {
    /// Takes over a channel on which the subscriber's queue is consumed.
    pub(super) fn new(courier: &'f Courier, failures: &'f mut Failures, channel: Channel, consumer: Consumer) -> Self {
        Self {
            courier,
            failures,
            channel,
            consumer,
            waiting: Keyed::default(),
            running: JoinSet::new(),
            later: FuturesUnordered::new(),
            published_us: BTreeMap::new(),
            unsubscribed: HashMap::new(),
            unbound: BTreeSet::new(),
            has_settled: false,
        }
    }

    /// Returns whether any event was handled.
    pub(super) fn has_settled(&self) -> bool {
        self.has_settled
    }

    /// Delivers until told to stop, which ends in order, or until the channel is lost.
    ///
    /// Dropped, it stops what runs: that is delivered again.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> Result<(), BrokerError> {
        let mut look = interval(COUNT_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.start();
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.finish().await;
                    return Ok(());
                }
                Some(finished) = self.running.join_next() => self.settle(finished)?,
                Some(due) = self.later.next() => self.go_on(due).await?,
                _ = look.tick() => self.count().await?,
                delivery = self.consumer.next() => match delivery {
                    Some(delivery) => self.accept(delivery?),
                    None => return Err(BrokerError::Unavailable("the queue is gone".into())),
                },
            }
        }
    }

    /// Takes a message into memory.
    fn accept(&mut self, delivery: Delivery) {
        let returns = returns(&delivery);
        let Delivery { exchange, routing_key, data, acker, delivery_tag: tag, .. } = delivery;
        let routing_key = (exchange.as_str() == topology::EXCHANGE).then_some(routing_key);
        let routing_key = routing_key.as_ref().map(|key| key.as_str());
        if let Some(topic) = routing_key.filter(|topic| !self.is_subscribed(topic)) {
            return self.put_off(topic.to_owned(), acker);
        }
        let (event, malformed) = match envelope::read(&data, routing_key) {
            Ok(event) => (event, None),
            Err(reason) => {
                let subscriber = &self.courier.subscriber;
                (envelope::malformed(subscriber, routing_key.unwrap_or_default(), &data), Some(reason))
            }
        };
        if malformed.is_none() && !self.is_subscribed(&event.topic) {
            return self.put_off(event.topic, acker);
        }
        // What came back was not handled, whatever the reason; half of the attempts are left to this host at least.
        let most = self.courier.attempts.0 / 2;
        let failures = self.failures.of(&event.id).unwrap_or_else(|| returns.min(most));
        self.published_us.insert(tag, event.time_us);
        self.waiting.push(Lane::of(&event), Parcel { event, failures, malformed, acker, tag });
    }

    fn is_subscribed(&self, topic: &str) -> bool {
        self.courier.topics.iter().any(|subscribed| subscribed == topic)
    }

    /// Holds a message of a topic that is not subscribed until it may be dropped.
    fn put_off(&mut self, topic: String, acker: Acker) {
        if self.unsubscribed.len() >= UNSUBSCRIBED && !self.unsubscribed.contains_key(&topic) {
            self.unsubscribed.clear();
            self.unbound.clear();
        }
        let until = *self.unsubscribed.entry(topic.clone()).or_insert_with(Instant::now) + GRACE;
        self.later.push(Box::pin(async move {
            sleep_until(until.into()).await;
            Due::Unsubscribed { topic, acker }
        }));
    }

    /// Starts what may run.
    fn start(&mut self) {
        while self.running.len() < AT_ONCE {
            let Some((lane, parcel)) = self.waiting.take() else { return };
            let courier = self.courier.clone();
            self.running.spawn(async move {
                let outcome = attempt(&courier, &parcel).await;
                (lane, parcel, outcome)
            });
        }
    }

    /// Notes what has become of a parcel.
    fn settle(&mut self, finished: Result<Finished, JoinError>) -> Result<(), BrokerError> {
        let broken = |error: JoinError| BrokerError::Unavailable(format!("a delivery broke off: {error}"));
        let (lane, parcel, outcome) = finished.map_err(broken)?;
        match outcome {
            Outcome::Settled => {
                self.has_settled = true;
                self.failures.forget(&parcel.event.id);
                self.published_us.remove(&parcel.tag);
                self.waiting.done(lane);
            }
            Outcome::Again { wait, failures } => {
                if failures > 0 {
                    self.failures.remember(&parcel.event.id, failures);
                }
                let parcel = Parcel { failures, ..parcel };
                self.later.push(Box::pin(async move {
                    sleep(wait).await;
                    Due::Retry(lane, parcel)
                }));
            }
            Outcome::Lost(error) => return Err(error),
        }
        Ok(())
    }

    async fn go_on(&mut self, due: Due) -> Result<(), BrokerError> {
        match due {
            Due::Retry(lane, parcel) => self.waiting.give_back(lane, parcel),
            Due::Unsubscribed { topic, acker } => {
                let subscriber = &self.courier.subscriber;
                if !self.courier.deliver.is_current().await {
                    // Another host may know better: it gets what this one cannot judge.
                    return Err(BrokerError::Unavailable("this host lags behind another".into()));
                }
                if !self.unbound.contains(&topic) {
                    topology::unbind(&self.channel, subscriber, &topic).await?;
                    tracing::info!(service.name = %subscriber, topic, "a queue no longer gets a topic");
                    self.unbound.insert(topic);
                }
                acknowledge(&acker).await?;
            }
        }
        Ok(())
    }

    /// Counts what waits, for the operators.
    async fn count(&mut self) -> Result<(), BrokerError> {
        let subscriber = &self.courier.subscriber;
        let elsewhere = topology::message_count(&self.channel, subscriber).await?;
        let waiting = u64::from(elsewhere) + self.published_us.len() as u64;
        let oldest_us = self.published_us.values().min().copied();
        self.courier.stats.of(subscriber).deliveries.set(waiting, oldest_us);
        Ok(())
    }

    /// Ends what runs, starts nothing more, and gives back what has not run.
    ///
    /// The consumer stays until then: without it the broker would hand the rest to another host, which would run events
    /// at the side of those of the same key that still run here.
    async fn finish(&mut self) {
        let ending = async {
            while let Some(finished) = self.running.join_next().await {
                self.settle(finished)?;
            }
            answer(self.channel.close(200, "OK".into())).await
        };
        let error = match timeout(DRAIN, ending).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("deliveries ran for longer than {DRAIN:?}"),
        };
        tracing::warn!(service.name = %self.courier.subscriber, error, "deliveries did not end in order");
    }
}

/// Makes one attempt at a parcel.
async fn attempt(courier: &Courier, parcel: &Parcel) -> Outcome {
    if let Some(reason) = &parcel.malformed {
        bury(courier, &parcel.event, 0, reason).await;
    } else {
        match courier.attempt(&parcel.event, parcel.failures).await {
            Verdict::Done => {}
            Verdict::Retry { wait, failures } => return Outcome::Again { wait, failures },
            // With the channel it goes back to the queue, and to the consumer of another host.
            Verdict::Elsewhere { .. } => return Outcome::Lost(BrokerError::Lagging),
            Verdict::Dead { reason, failures } => bury(courier, &parcel.event, failures, &reason).await,
        }
    }
    match acknowledge(&parcel.acker).await {
        Ok(()) => Outcome::Settled,
        Err(error) => Outcome::Lost(error),
    }
}

/// Keeps a dead letter; while the database does not answer, the event waits here and with it its key.
async fn bury(courier: &Courier, event: &Event, attempts: u32, reason: &str) {
    let mut failures = 0;
    while let Err(error) = courier.dead.bury(&courier.subscriber, event, attempts, reason).await {
        failures += 1;
        tracing::warn!(service.name = %courier.subscriber, event.id, %error, "a dead letter cannot be kept yet");
        sleep(Backoff::CONNECTION.after(failures)).await;
    }
}

async fn acknowledge(acker: &Acker) -> Result<(), BrokerError> {
    if answer(acker.ack(BasicAckOptions::default())).await? {
        Ok(())
    } else {
        Err(BrokerError::Unavailable("the channel was lost before an event was acknowledged".into()))
    }
}

/// Returns how often a message was given back to its queue.
fn returns(delivery: &Delivery) -> u32 {
    let counted = delivery.properties.headers().as_ref().and_then(|headers| headers.inner().get("x-delivery-count"));
    let counted = match counted {
        Some(AMQPValue::LongLongInt(count)) => u32::try_from(*count).ok(),
        Some(AMQPValue::LongInt(count)) => u32::try_from(*count).ok(),
        _ => None,
    };
    // A queue that is not replicated does not count.
    counted.unwrap_or(u32::from(delivery.redelivered))
}
