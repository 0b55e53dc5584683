//! Bounds how many invocations of a service run and wait, so that one service's flood leaves the others alone.
//!
//! A [`Lane`] belongs to the service, not to a revision: its revisions hold the same one, and the one with most of the
//! traffic says how wide it is (see `snapshot::Live::apply_limits`). Until then it turns everything away.
//!
//! Not here: what runs with a permit, and when a call is made again (see `dispatch`).

mod retries;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::retries::RetryBudget;
use crate::config::Limits;
use crate::fault::CallError;
use crate::names::ServiceName;

/// Bounds of the time after which a client that was turned away should come again.
const RETRY_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// The instances of the engine, of which requests may take half: the other half is for the typed calls that those
/// make, which otherwise could wait for one another until their deadlines.
pub(super) struct Pool {
    /// Of requests, and of typed calls.
    instances: [Arc<Semaphore>; 2],
    /// How many invocations of one service may run at once, so that none takes all that there is: half of the requests
    /// or half of the typed calls.
    share: u32,
}

/// The way of one service's invocations.
pub struct Lane {
    service: ServiceName,
    pool: Arc<Pool>,
    width: ArcSwap<Width>,
    waiting: AtomicU32,
    pace: Arc<Pace>,
    /// Retries, which are also bounded for the service as a whole.
    pub retries: RetryBudget,
}

/// How many run and wait.
struct Width {
    /// Requests, and typed calls: a service that two others call in a circle must not wait for itself.
    running: [Arc<Semaphore>; 2],
    concurrency: u32,
    /// What the concurrency comes to beside other services.
    granted: u32,
    queue: u32,
}

/// The right to run one invocation, given back when dropped.
pub struct Permit {
    _lane: OwnedSemaphorePermit,
    _instance: OwnedSemaphorePermit,
    began: Instant,
    pace: Arc<Pace>,
}

/// The recent mean of how long an invocation holds its permit, in microseconds.
#[derive(Default)]
struct Pace(AtomicU64);

// === impl Pool ===

impl Pool {
    /// Shares out a number of instances.
    pub(super) fn new(max_instances: u32) -> Self {
        let half = (max_instances / 2).max(1);
        Self { instances: semaphores(half), share: (max_instances / 4).max(1) }
    }
}

/// Makes one of requests and one of typed calls.
fn semaphores(permits: u32) -> [Arc<Semaphore>; 2] {
    let permits = usize::try_from(permits).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
    [permits; 2].map(|permits| Arc::new(Semaphore::new(permits)))
}

// === impl Lane ===

impl Lane {
    /// Makes the way of a service that does not serve yet: nothing runs on it before [`Lane::apply`].
    pub(super) fn new(service: ServiceName, pool: Arc<Pool>) -> Self {
        let closed = Width { running: semaphores(0), concurrency: 0, granted: 0, queue: 0 };
        Self {
            service,
            pool,
            width: ArcSwap::from_pointee(closed),
            waiting: AtomicU32::new(0),
            pace: Arc::default(),
            retries: RetryBudget::new(),
        }
    }

    /// Lets as many run and wait as limits say, and at most the service's share of the instances run.
    ///
    /// What runs or waits by the limits before ends by those.
    pub(super) fn apply(&self, limits: &Limits) {
        let before = self.width.load_full();
        let (concurrency, queue) = (limits.concurrency, limits.queue);
        if (concurrency, queue) == (before.concurrency, before.queue) {
            return;
        }
        let granted = concurrency.clamp(1, self.pool.share);
        if granted < concurrency {
            tracing::warn!(
                service.name = %self.service, limits.concurrency = concurrency, granted,
                "a service may take a quarter of runtime.max-instances at most"
            );
        }
        let running = if granted == before.granted { before.running.clone() } else { semaphores(granted) };
        self.width.store(Arc::new(Width { running, concurrency, granted, queue }));
    }

    /// Waits for a turn: at most as many as the queue holds, at most until the deadline. `depth` counts the typed calls
    /// above the invocation.
    ///
    /// # Errors
    /// When the queue is full, or the deadline has passed in it.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place in the queue to the next one.
    pub async fn enter(&self, deadline: Instant, depth: u8) -> Result<Permit, CallError> {
        let kind = usize::from(depth > 0);
        let instances = &self.pool.instances[kind];
        {
            let width = self.width.load();
            if let (Ok(lane), Ok(instance)) =
                (Arc::clone(&width.running[kind]).try_acquire_owned(), Arc::clone(instances).try_acquire_owned())
            {
                return Ok(self.permit(lane, instance));
            }
        }
        let width = self.width.load_full();
        let _place = Place::take(&self.waiting, width.queue)
            .ok_or_else(|| CallError::Overloaded { service: self.service.clone(), retry_after: self.wait(&width) })?;
        let turn = async {
            let lane = Arc::clone(&width.running[kind]).acquire_owned().await.ok()?;
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
    fn wait(&self, width: &Width) -> Duration {
        let ahead = u64::from(self.waiting.load(Ordering::Relaxed)) + 1;
        let us = self.pace.mean_us().saturating_mul(ahead) / u64::from(width.granted.max(1));
        let [least, most] = RETRY_AFTER;
        Duration::from_micros(us).clamp(least, most)
    }
}

// === impl Pace ===

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

    fn limits(concurrency: u32, queue: u32) -> Limits {
        Limits { concurrency, queue, ..Limits::default() }
    }

    fn lane_in(pool: &Arc<Pool>, limits: &Limits) -> Lane {
        let lane = Lane::new("a".parse().expect("a name"), Arc::clone(pool));
        lane.apply(limits);
        lane
    }

    fn lane(concurrency: u32, queue: u32) -> Lane {
        lane_in(&Arc::new(Pool::new(400)), &limits(concurrency, queue))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    /// Enters until the lane is full, and returns what was let in.
    async fn fill(lane: &Lane) -> Vec<Permit> {
        let mut held = Vec::new();
        while let Ok(permit) = lane.enter(soon(), 0).await {
            held.push(permit);
        }
        held
    }

    #[tokio::test]
    async fn a_full_queue_turns_away_at_once() {
        let lane = lane(1, 1);
        let _running = lane.enter(soon(), 0).await.expect("the first runs");
        let mut waiting = std::pin::pin!(lane.enter(soon(), 0));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        let refused = lane.enter(soon(), 0).await;
        assert!(matches!(refused, Err(CallError::Overloaded { .. })));
    }

    #[test]
    fn who_is_turned_away_is_told_when_its_turn_would_be() {
        let lane = lane(4, 100);
        let width = lane.width.load_full();
        assert_eq!(lane.wait(&width), Duration::from_secs(1), "nothing is known yet");
        for _ in 0..100 {
            lane.pace.record(Duration::from_millis(400));
        }
        let waiting: Vec<_> = (0..100).map(|_| Place::take(&lane.waiting, width.queue)).collect();
        assert!(waiting.iter().all(Option::is_some) && Place::take(&lane.waiting, width.queue).is_none());
        let wait = lane.wait(&width);
        assert!((9..=11).contains(&wait.as_secs()), "a hundred of 0.4 s, four at once: {wait:?}");
        lane.pace.record(Duration::MAX);
        assert_eq!(lane.wait(&width), Duration::from_secs(30));
    }

    #[tokio::test]
    async fn one_service_takes_no_more_than_its_share_of_the_instances() {
        let pool = Arc::new(Pool::new(16));
        let (greedy, modest) = (lane_in(&pool, &limits(100, 0)), lane_in(&pool, &limits(100, 0)));
        let mut held = fill(&greedy).await;
        assert_eq!(held.len(), 4, "half of the eight instances of requests");
        for _ in 0..4 {
            held.push(modest.enter(soon(), 0).await.expect("the others are left"));
        }
        greedy.apply(&limits(100, 0));
        drop(held.pop());
        assert!(greedy.enter(soon(), 0).await.is_err(), "what was asked for has not changed, and counts");
    }

    #[tokio::test]
    async fn a_lane_follows_the_limits_that_are_applied_whichever_revision_has_them() {
        let lane = Lane::new("a".parse().expect("a name"), Arc::new(Pool::new(400)));
        assert!(fill(&lane).await.is_empty(), "it does not serve yet");
        for (concurrency, queue) in [(2, 0), (5, 3), (2, 0)] {
            lane.apply(&limits(concurrency, queue));
            assert_eq!((lane.width.load().queue, lane.width.load().concurrency), (queue, concurrency));
            lane.apply(&limits(concurrency, 0));
            let held = fill(&lane).await;
            assert_eq!(held.len(), concurrency as usize);
        }
    }

    #[tokio::test]
    async fn another_queue_frees_no_place_of_those_that_run() {
        let lane = lane(1, 0);
        let _running = lane.enter(soon(), 0).await.expect("the first runs");
        lane.apply(&limits(1, 1));
        let mut waiting = std::pin::pin!(lane.enter(soon(), 0));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
    }

    #[tokio::test]
    async fn who_waits_past_its_deadline_gets_no_turn() {
        let lane = lane(1, 1);
        let running = lane.enter(soon(), 0).await.expect("the first runs");
        let late = lane.enter(Instant::now(), 0).await;
        assert!(matches!(late, Err(CallError::QueueDeadline { .. })));
        drop(running);
        assert!(lane.enter(soon(), 0).await.is_ok());
    }

    #[tokio::test]
    async fn requests_leave_instances_for_their_typed_calls() {
        let pool = Arc::new(Pool::new(4));
        let [lane, other, third] = [(); 3].map(|()| lane_in(&pool, &limits(100, 0)));
        let _held = [lane.enter(soon(), 0).await, other.enter(soon(), 0).await];
        assert!(matches!(third.enter(soon(), 0).await, Err(CallError::Overloaded { .. })));
        assert!(third.enter(soon(), 1).await.is_ok());
    }
}
