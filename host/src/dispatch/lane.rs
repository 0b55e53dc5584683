//! Bounds how many invocations of a service run and wait, so that one service's flood leaves the others alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::fault::CallError;
use crate::names::{RevisionNumber, ServiceName};

/// When a client that was turned away should come again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The instances of the engine, of which requests may take half: the other half is for the typed calls that those
/// make, which otherwise could wait for one another until their deadlines.
pub(super) struct Pool {
    requests: Arc<Semaphore>,
    typed_calls: Arc<Semaphore>,
}

/// The way of one service's invocations.
pub(super) struct Lane {
    service: ServiceName,
    running: Arc<Semaphore>,
    waiting: AtomicU32,
    queue: u32,
    concurrency: u32,
    /// The newest revision whose limits these are.
    revision: RevisionNumber,
}

/// The right to run one invocation, given back when dropped.
pub(super) struct Permit {
    _lane: OwnedSemaphorePermit,
    _instance: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(max_instances: u32) -> Self {
        let half = usize::try_from(max_instances / 2).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        Self { requests: Arc::new(Semaphore::new(half)), typed_calls: Arc::new(Semaphore::new(half)) }
    }
}

impl Lane {
    pub(super) fn new(service: ServiceName, revision: RevisionNumber, limits: &Limits) -> Self {
        let running = usize::try_from(limits.concurrency).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        let running = Arc::new(Semaphore::new(running));
        Self {
            service,
            running,
            waiting: AtomicU32::new(0),
            queue: limits.queue,
            concurrency: limits.concurrency,
            revision,
        }
    }

    /// Says whether a newer revision has other limits.
    pub(super) fn is_outdated(&self, revision: RevisionNumber, limits: &Limits) -> bool {
        revision > self.revision && (limits.queue, limits.concurrency) != (self.queue, self.concurrency)
    }

    /// Waits for a turn: at most as many as the queue holds, at most until the deadline.
    pub(super) async fn enter(&self, pool: &Pool, deadline: Instant, depth: u8) -> Result<Permit, CallError> {
        let instances = if depth == 0 { &pool.requests } else { &pool.typed_calls };
        if let (Ok(lane), Ok(instance)) =
            (Arc::clone(&self.running).try_acquire_owned(), Arc::clone(instances).try_acquire_owned())
        {
            return Ok(Permit { _lane: lane, _instance: instance });
        }
        let _place = Place::take(&self.waiting, self.queue)
            .ok_or_else(|| CallError::Overloaded { service: self.service.clone(), retry_after: RETRY_AFTER })?;
        let turn = async {
            let lane = Arc::clone(&self.running).acquire_owned().await.ok()?;
            let instance = Arc::clone(instances).acquire_owned().await.ok()?;
            Some(Permit { _lane: lane, _instance: instance })
        };
        let timed = tokio::time::timeout_at(deadline.into(), turn).await;
        timed.ok().flatten().ok_or_else(|| CallError::QueueDeadline { service: self.service.clone() })
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
        Lane::new("a".parse().expect("a name"), RevisionNumber(1), &Limits { concurrency, queue, ..Limits::default() })
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
