//! Bounds how many invocations of a service run and wait, so that one service's flood leaves the others alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::retry::Budget;
use crate::config::Limits;
use crate::fault::CallError;
use crate::names::{RevisionNumber, ServiceName};

/// Bounds of the time after which a client that was turned away should come again.
const RETRY_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// The instances of the engine, of which requests may take half: the other half is for the typed calls that those
/// make, which otherwise could wait for one another until their deadlines.
pub(super) struct Pool {
    requests: Arc<Semaphore>,
    typed_calls: Arc<Semaphore>,
    share: u32,
}

/// The way of one service's invocations.
pub(super) struct Lane {
    service: ServiceName,
    /// Requests, and typed calls: a service that two others call in a circle must not wait for itself.
    running: [Arc<Semaphore>; 2],
    waiting: AtomicU32,
    queue: u32,
    concurrency: u32,
    /// What the concurrency comes to beside other services.
    granted: u32,
    pace: Arc<Pace>,
    /// Retries, which are also bounded for the service as a whole.
    pub(super) retries: Budget,
    /// The newest revision whose limits these are.
    revision: RevisionNumber,
}

/// The right to run one invocation, given back when dropped.
pub(super) struct Permit {
    _lane: OwnedSemaphorePermit,
    _instance: OwnedSemaphorePermit,
    began: Instant,
    pace: Arc<Pace>,
}

/// The recent mean of how long an invocation holds its permit, in microseconds.
#[derive(Default)]
struct Pace(AtomicU64);

impl Pool {
    pub(super) fn new(max_instances: u32) -> Self {
        let half = usize::try_from(max_instances / 2).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        let share = (max_instances / 4).max(1);
        Self { requests: Arc::new(Semaphore::new(half)), typed_calls: Arc::new(Semaphore::new(half)), share }
    }

    /// Returns how many invocations of one service may run at once, so that none takes all that there is: half of the
    /// requests or half of the typed calls.
    pub(super) fn share(&self) -> u32 {
        self.share
    }
}

impl Lane {
    /// Makes the way of a service that runs as many at once as its limits say, and at most its share.
    pub(super) fn new(service: ServiceName, revision: RevisionNumber, limits: &Limits, share: u32) -> Self {
        let granted = limits.concurrency.clamp(1, share);
        if granted < limits.concurrency {
            tracing::warn!(
                service.name = %service, limits.concurrency, granted,
                "a service may take a quarter of runtime.max-instances at most"
            );
        }
        let running = usize::try_from(granted).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let running = [running; 2].map(|permits| Arc::new(Semaphore::new(permits)));
        Self {
            service,
            running,
            waiting: AtomicU32::new(0),
            queue: limits.queue,
            concurrency: limits.concurrency,
            granted,
            pace: Arc::default(),
            retries: Budget::new(),
            revision,
        }
    }

    /// Says whether a newer revision has other limits.
    pub(super) fn is_outdated(&self, revision: RevisionNumber, limits: &Limits) -> bool {
        revision > self.revision && (limits.queue, limits.concurrency) != (self.queue, self.concurrency)
    }

    /// Waits for a turn: at most as many as the queue holds, at most until the deadline.
    pub(super) async fn enter(&self, pool: &Pool, deadline: Instant, depth: u8) -> Result<Permit, CallError> {
        let [requests, typed_calls] = &self.running;
        let (running, instances) =
            if depth == 0 { (requests, &pool.requests) } else { (typed_calls, &pool.typed_calls) };
        if let (Ok(lane), Ok(instance)) =
            (Arc::clone(running).try_acquire_owned(), Arc::clone(instances).try_acquire_owned())
        {
            return Ok(self.permit(lane, instance));
        }
        let _place = Place::take(&self.waiting, self.queue)
            .ok_or_else(|| CallError::Overloaded { service: self.service.clone(), retry_after: self.wait() })?;
        let turn = async {
            let lane = Arc::clone(running).acquire_owned().await.ok()?;
            let instance = Arc::clone(instances).acquire_owned().await.ok()?;
            Some(self.permit(lane, instance))
        };
        let timed = tokio::time::timeout_at(deadline.into(), turn).await;
        timed.ok().flatten().ok_or_else(|| CallError::QueueDeadline { service: self.service.clone() })
    }

    fn permit(&self, lane: OwnedSemaphorePermit, instance: OwnedSemaphorePermit) -> Permit {
        Permit { _lane: lane, _instance: instance, began: Instant::now(), pace: Arc::clone(&self.pace) }
    }

    /// Reckons when one more would have its turn: after those that wait, at the recent pace.
    fn wait(&self) -> Duration {
        let ahead = u64::from(self.waiting.load(Ordering::Relaxed)) + 1;
        let us = self.pace.mean_us().saturating_mul(ahead) / u64::from(self.granted);
        let [least, most] = RETRY_AFTER;
        Duration::from_micros(us).clamp(least, most)
    }
}

impl Pace {
    fn mean_us(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Moves the mean an eighth of the way; one that gets lost between two threads does no harm.
    fn record(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let mean = self.mean_us();
        let next = if mean == 0 { us } else { mean - mean / 8 + us / 8 };
        self.0.store(next, Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pace.record(self.began.elapsed());
    }
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicU32);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicU32, queue: u32) -> Option<Self> {
        let place = Self(waiting);
        // Taken first and given back by drop, so that two that come at once cannot both take the last place.
        (waiting.fetch_add(1, Ordering::Relaxed) < queue).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(concurrency: u32, queue: u32) -> Lane {
        let limits = Limits { concurrency, queue, ..Limits::default() };
        Lane::new("a".parse().expect("a name"), RevisionNumber(1), &limits, 100)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn a_full_queue_turns_away_at_once() {
        let (lane, pool) = (lane(1, 1), Pool::new(10));
        let _running = lane.enter(&pool, soon(), 0).await.expect("the first runs");
        let mut waiting = std::pin::pin!(lane.enter(&pool, soon(), 0));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        let refused = lane.enter(&pool, soon(), 0).await;
        assert!(matches!(refused, Err(CallError::Overloaded { .. })));
    }

    #[test]
    fn who_is_turned_away_is_told_when_its_turn_would_be() {
        let lane = lane(4, 100);
        assert_eq!(lane.wait(), Duration::from_secs(1), "nothing is known yet");
        for _ in 0..100 {
            lane.pace.record(Duration::from_millis(400));
        }
        let waiting: Vec<_> = (0..100).map(|_| Place::take(&lane.waiting, lane.queue)).collect();
        assert!(waiting.iter().all(Option::is_some) && Place::take(&lane.waiting, lane.queue).is_none());
        let wait = lane.wait();
        assert!((9..=11).contains(&wait.as_secs()), "a hundred of 0.4 s, four at once: {wait:?}");
        lane.pace.record(Duration::MAX);
        assert_eq!(lane.wait(), Duration::from_secs(30));
    }

    #[tokio::test]
    async fn one_service_takes_no_more_than_its_share_of_the_instances() {
        let pool = Pool::new(16);
        let limits = Limits { concurrency: 100, queue: 0, ..Limits::default() };
        let lane = |name: &str| Lane::new(name.parse().expect("a name"), RevisionNumber(1), &limits, pool.share());
        let (greedy, modest) = (lane("greedy"), lane("modest"));
        let mut held = Vec::new();
        while let Ok(permit) = greedy.enter(&pool, soon(), 0).await {
            held.push(permit);
        }
        assert_eq!(held.len(), 4, "half of the eight instances of requests");
        for _ in 0..4 {
            held.push(modest.enter(&pool, soon(), 0).await.expect("the others are left"));
        }
        assert!(!greedy.is_outdated(RevisionNumber(2), &limits), "what was asked for counts, not what was granted");
    }

    #[tokio::test]
    async fn who_waits_past_its_deadline_gets_no_turn() {
        let (lane, pool) = (lane(1, 1), Pool::new(10));
        let running = lane.enter(&pool, soon(), 0).await.expect("the first runs");
        let late = lane.enter(&pool, Instant::now(), 0).await;
        assert!(matches!(late, Err(CallError::QueueDeadline { .. })));
        drop(running);
        assert!(lane.enter(&pool, soon(), 0).await.is_ok());
    }

    #[tokio::test]
    async fn requests_leave_instances_for_their_typed_calls() {
        let (lane, pool) = (lane(100, 0), Pool::new(4));
        let _held = [lane.enter(&pool, soon(), 0).await, lane.enter(&pool, soon(), 0).await];
        assert!(matches!(lane.enter(&pool, soon(), 0).await, Err(CallError::Overloaded { .. })));
        assert!(lane.enter(&pool, soon(), 1).await.is_ok());
    }
}
