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
    gates: Gates,
    /// How many invocations of one service may run at once, so that none takes all that there is: half of the requests
    /// or half of the typed calls.
    share: u32,
    call_depth: u8,
}

/// Permits for requests, for the typed calls of all depths, and one more for each depth from the second on.
///
/// A call waits only for deeper ones of its request. Those of the greatest depth wait for none, so the permit of that
/// depth always comes back, and with it that of the depth above: calls in a circle never wait for one another for ever,
/// however many there are.
#[derive(Clone)]
struct Gates {
    requests: Arc<Semaphore>,
    typed_calls: Arc<Semaphore>,
    deep: Vec<Arc<Semaphore>>,
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
    /// A service that is called in a circle must not wait for itself.
    gates: Gates,
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
    /// Divides instances among requests and typed calls up to a depth.
    pub(super) fn new(max_instances: u32, call_depth: u8) -> Self {
        let half = (max_instances / 2).max(1);
        // A host that is too small for all of them has those of the lesser depths.
        let deep = deeper(call_depth).min(half - 1);
        Self { gates: Gates::new(half, half - deep, deep), share: (max_instances / 4).max(1), call_depth }
    }
}

/// Counts the depths of typed calls below the first.
fn deeper(call_depth: u8) -> u32 {
    u32::from(call_depth.saturating_sub(1))
}

// === impl Gates ===

impl Gates {
    fn new(requests: u32, typed_calls: u32, deep: u32) -> Self {
        let permits = |count: u32| {
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
            Arc::new(Semaphore::new(count))
        };
        let deep = (0..deep).map(|_| permits(1)).collect();
        Self { requests: permits(requests), typed_calls: permits(typed_calls), deep }
    }

    /// Returns what a call of a depth may pass, and what it may pass besides.
    fn at(&self, depth: u8) -> (&Arc<Semaphore>, Option<&Arc<Semaphore>>) {
        match depth {
            0 => (&self.requests, None),
            depth => (&self.typed_calls, usize::from(depth).checked_sub(2).and_then(|deep| self.deep.get(deep))),
        }
    }

    fn try_pass(&self, depth: u8) -> Option<OwnedSemaphorePermit> {
        let (gate, deep) = self.at(depth);
        let pass = |gate: &Arc<Semaphore>| Arc::clone(gate).try_acquire_owned().ok();
        pass(gate).or_else(|| deep.and_then(pass))
    }

    /// Waits for one of the permits of a depth; none when there are no more.
    async fn pass(&self, depth: u8) -> Option<OwnedSemaphorePermit> {
        let (gate, deep) = self.at(depth);
        let first = Arc::clone(gate).acquire_owned();
        let Some(deep) = deep else { return first.await.ok() };
        tokio::select! {
            permit = first => permit.ok(),
            permit = Arc::clone(deep).acquire_owned() => permit.ok(),
        }
    }
}

// === impl Lane ===

impl Lane {
    /// Makes the way of a service that does not serve yet: nothing runs on it before [`Lane::apply`].
    pub(super) fn new(service: ServiceName, pool: Arc<Pool>) -> Self {
        let closed = Width { gates: Gates::new(0, 0, 0), concurrency: 0, granted: 0, queue: 0 };
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
        let same = granted == before.granted;
        let gates =
            if same { before.gates.clone() } else { Gates::new(granted, granted, deeper(self.pool.call_depth)) };
        self.width.store(Arc::new(Width { gates, concurrency, granted, queue }));
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
        let at_once = self.width.load().gates.try_pass(depth).zip(self.pool.gates.try_pass(depth));
        if let Some((lane, instance)) = at_once {
            return Ok(self.permit(lane, instance));
        }
        let width = self.width.load_full();
        let _place = Place::take(&self.waiting, width.queue)
            .ok_or_else(|| CallError::Overloaded { service: self.service.clone(), retry_after: self.wait(&width) })?;
        let turn = async {
            let lane = width.gates.pass(depth).await?;
            let instance = self.pool.gates.pass(depth).await?;
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
        lane_in(&Arc::new(Pool::new(400, 8)), &limits(concurrency, queue))
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
        let pool = Arc::new(Pool::new(16, 8));
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
        let lane = Lane::new("a".parse().expect("a name"), Arc::new(Pool::new(400, 8)));
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
        let pool = Arc::new(Pool::new(4, 8));
        let [lane, other, third] = [(); 3].map(|()| lane_in(&pool, &limits(100, 0)));
        let _held = [lane.enter(soon(), 0).await, other.enter(soon(), 0).await];
        assert!(matches!(third.enter(soon(), 0).await, Err(CallError::Overloaded { .. })));
        assert!(third.enter(soon(), 1).await.is_ok());
    }

    #[tokio::test]
    async fn each_depth_has_a_permit_that_no_other_takes() {
        let lane = lane_in(&Arc::new(Pool::new(8, 3)), &limits(1, 1));
        let _first = lane.enter(soon(), 1).await.expect("one typed call");
        let second = lane.enter(soon(), 2).await.expect("one that it makes in a circle");
        let _third = lane.enter(soon(), 3).await.expect("one that this makes");
        let mut waiting = std::pin::pin!(lane.enter(soon(), 2));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(second);
        assert!(futures::poll!(waiting.as_mut()).is_ready());
    }
}
