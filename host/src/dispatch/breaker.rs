//! Runs an operation behind its breaker, and once more where that may help.
//!
//! refused early → permit → pass of the breaker → call → how it ended. A call that waited in the queue asks the
//! breaker again when its turn has come: one that has opened meanwhile empties the queue at once.
//!
//! Not here: when a breaker opens (see `registry::breaker`), what a retry may cost (see `retry`).

use std::time::{Duration, Instant};

use super::{Dispatch, retry};
use crate::fault::{CallError, GuestFault};
use crate::feed::{Event, Kind};
use crate::names::RequestId;
use crate::registry::{Change, Operation, Outcome, Pass, Revision};
use crate::runtime::Failure;

/// One operation of one revision, for one request.
pub(super) struct Course<'c> {
    pub(super) revision: &'c Revision,
    pub(super) operation: &'c Operation,
    pub(super) request_id: &'c RequestId,
    pub(super) started: Instant,
    /// When it must have ended, waiting and a second call included.
    pub(super) deadline: Instant,
    /// Typed calls above it.
    pub(super) depth: u8,
}

impl Dispatch {
    /// Runs an operation; `call` makes one invocation of it, `outcome` sorts an answer.
    pub(super) async fn run<R, F>(
        &self,
        course: &Course<'_>,
        outcome: fn(&R) -> Outcome,
        call: impl Fn() -> F,
    ) -> Result<R, CallError>
    where
        F: Future<Output = Result<R, Failure>>,
    {
        if let Some(wait) = course.operation.breaker.refuses(course.started) {
            return Err(kept_away(course, wait));
        }
        let lane = &course.revision.lane;
        lane.retries.earn();
        let _permit = lane.enter(course.deadline, course.depth).await?;
        let begun = Instant::now();
        let pass = self.pass(course, begun).map_err(|wait| kept_away(course, wait))?;
        let failure = match self.attempt(course, pass, outcome, [course.started, begun], &call).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let again = course.operation.is_idempotent && retry::may_help(&failure);
        let error = self.failed(course.revision, course.request_id, failure);
        let pass = if again { self.again(course, begun.elapsed()).await } else { None };
        let Some(pass) = pass else { return Err(error) };
        let begun = Instant::now();
        match self.attempt(course, pass, outcome, [begun, begun], &call).await {
            Ok(answer) => Ok(answer),
            Err(failure) => {
                // Told as any other; whoever asked is told of the first, which the second has not made good.
                let _ = self.failed(course.revision, course.request_id, failure);
                Err(error)
            }
        }
    }

    /// Makes one invocation, and tells statistics and breaker how it ended. Its time counts from `since`, and it begins
    /// `now`.
    async fn attempt<R, F>(
        &self,
        course: &Course<'_>,
        pass: Pass<'_>,
        outcome: fn(&R) -> Outcome,
        [since, now]: [Instant; 2],
        call: &impl Fn() -> F,
    ) -> Result<R, Failure>
    where
        F: Future<Output = Result<R, Failure>>,
    {
        let given = course.deadline.saturating_duration_since(now);
        let mut running = Running { dispatch: self, course, pass: Some(pass), since: now };
        let result = call().await;
        let pass = running.pass.take().expect("it is taken here, or when this is dropped");
        let now = Instant::now();
        let kind = result.as_ref().map_or(Outcome::Fault, outcome);
        course.revision.stats.record(kind, now.saturating_duration_since(since), now);
        let change = match &result {
            Ok(_) => pass.succeed(now),
            Err(failure) if counts(failure, given, course.revision.limits.deadline) => pass.fail(now),
            Err(_) => {
                drop(pass);
                None
            }
        };
        self.tell(course, change);
        result
    }

    /// Waits for the moment of a second call; none when there is no time, no budget, or the breaker keeps it away.
    async fn again<'c>(&self, course: &Course<'c>, first: Duration) -> Option<Pass<'c>> {
        let now = Instant::now();
        let pause = retry::pause(course.deadline.saturating_duration_since(now), first)?;
        if course.operation.breaker.refuses(now).is_some() || !course.revision.lane.retries.spend() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let pass = self.pass(course, Instant::now()).ok()?;
        course.revision.stats.record_retry();
        tracing::debug!(
            service.name = %course.revision.service, revision.number = %course.revision.number,
            service.operation = course.operation.name, request.id = %course.request_id, "made again after a fault"
        );
        Some(pass)
    }

    fn pass<'c>(&self, course: &Course<'c>, now: Instant) -> Result<Pass<'c>, Duration> {
        let (pass, change) = course.operation.breaker.enter(now)?;
        self.tell(course, change);
        Ok(pass)
    }

    /// Tells of a change of the breaker, the only time.
    fn tell(&self, course: &Course<'_>, change: Option<Change>) {
        let Some(change) = change else { return };
        let (service, number) = (&course.revision.service, course.revision.number);
        let operation = &course.operation.name;
        match change {
            Change::HalfOpened | Change::Closed => tracing::info!(
                service.name = %service, revision.number = %number, service.operation = operation, %change, "breaker"
            ),
            _ => tracing::warn!(
                service.name = %service, revision.number = %number, service.operation = operation, %change, "breaker"
            ),
        }
        self.feed.publish(Event {
            revision: Some(number.0),
            digest: Some(course.revision.digest().to_string()),
            detail: Some(format!("operation {operation} {change}")),
            ..Event::new(Kind::Breaker, service.as_str())
        });
    }
}

/// An invocation that runs. Dropped then, its client has gone: one that hangs until nobody waits for it any more is as
/// bad as one that hangs until its deadline.
struct Running<'c> {
    dispatch: &'c Dispatch,
    course: &'c Course<'c>,
    pass: Option<Pass<'c>>,
    since: Instant,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Some(pass) = self.pass.take() else { return };
        let now = Instant::now();
        let lasted = now.saturating_duration_since(self.since);
        if lasted >= self.course.revision.limits.deadline / 2 {
            self.course.revision.stats.record(Outcome::Fault, lasted, now);
            self.dispatch.tell(self.course, pass.fail(now));
        }
    }
}

/// Counts a call that was kept away, so that a canary is judged by it too, and says so to whoever made it.
fn kept_away(course: &Course<'_>, retry_after: Duration) -> CallError {
    let now = Instant::now();
    course.revision.stats.record(Outcome::Refused, now.saturating_duration_since(course.started), now);
    CallError::BreakerOpen { service: course.revision.service.clone(), retry_after }
}

/// Says whether a failure is one that the operation itself is to blame for.
fn counts(failure: &Failure, given: Duration, whole: Duration) -> bool {
    match failure {
        // The breaker of the peer counts it; and the host is nobody's operation.
        Failure::Guest(GuestFault::PeerFailed(_), _) | Failure::Host(_) => false,
        // A caller that has little time left, or a full queue, must not shut a service to everybody else.
        Failure::Guest(GuestFault::Deadline, _) => given >= whole / 2,
        Failure::Guest(..) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_blamed_for_what_it_did_itself_and_with_enough_time() {
        let whole = Duration::from_secs(4);
        let blamed = |fault, given_ms| counts(&Failure::from(fault), Duration::from_millis(given_ms), whole);
        assert!(blamed(GuestFault::Trap(String::new()), 1));
        assert!(blamed(GuestFault::Memory, 1));
        assert!(blamed(GuestFault::InvalidResponse(String::new()), 1));
        assert!(blamed(GuestFault::Deadline, 2000));
        assert!(!blamed(GuestFault::Deadline, 1999));
        assert!(!blamed(GuestFault::PeerFailed(String::new()), 4000));
        assert!(!counts(&Failure::Host(wasmtime::Error::msg("no")), whole, whole));
    }
}
