//! One invocation from start to end: breaker, permit, instance, call, outcome.
//!
//! A trap never leaves here as a trap: it is a [`CallError::Guest`], logged once, with the component's digest.
//! Whatever is called by a request runs on the request's own snapshot and what is left of its deadline.
//!
//! Not here: HTTP (see `gateway`), how an instance is made (see `runtime::instance`).

mod breaker;
mod response;
mod retry;

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::Val;

use self::breaker::Course;
pub use self::response::Answer;
#[cfg(any(fuzzing, test))]
pub(crate) use self::response::check;
use crate::bindings::exports::provesi::platform::service::Request;
use crate::bindings::subscriber::exports::provesi::platform::subscriber::Event as DeliveredEvent;
use crate::fault::{CallError, GuestFault};
use crate::feed::{Event, Feed, Kind};
use crate::names::RequestId;
use crate::registry::{Live, Outcome, Revision, Snapshot, Task, Ticket};
use crate::runtime::{CallBudget, Failure, Invocation, PeerCall, PeerCaller, PeerFuture};

/// When to come again where the engine had no place, which is as rare as an error in its arithmetic.
const NO_PLACE: Duration = Duration::from_secs(1);

/// Runs invocations, each within its service's limits.
pub struct Dispatch {
    call_depth: u8,
    feed: Arc<Feed>,
}

/// What one request sees of the services: one snapshot, and in it one revision of each service.
#[derive(Clone)]
pub struct View {
    /// The routing state.
    pub snapshot: Arc<Snapshot>,
    /// Draws the revisions.
    pub ticket: Ticket,
    /// The revision that the request came in by; its service is this one wherever the request meets it.
    pub entry: Arc<Revision>,
}

struct Scope {
    dispatch: Arc<Dispatch>,
    view: View,
}

impl Dispatch {
    /// Runs typed calls up to a depth.
    pub fn new(call_depth: u8, feed: Arc<Feed>) -> Self {
        Self { call_depth, feed }
    }

    /// Answers a request with the revision that it came in by.
    ///
    /// # Errors
    /// When there is no answer; whose fault it is, the error says.
    ///
    /// # Cancel safety
    /// Dropping the future ends the guest and rolls its transactions back.
    pub async fn handle(
        self: &Arc<Self>,
        view: View,
        request_id: RequestId,
        request: Arc<Request>,
    ) -> Result<Answer, CallError> {
        let revision = Arc::clone(&view.entry);
        let Some(operation) = revision.operations.route(&request.operation) else {
            let error = wasmtime::Error::msg(format!("operation {:?} was not described", request.operation));
            return Err(self.failed(&revision, &request_id, Failure::Host(error)));
        };
        let started = Instant::now();
        let deadline = started + revision.limits.deadline;
        let (view, request_id, request) = (&view, &request_id, &request);
        let (linked, most) = (&revision.linked, revision.limits.response);
        let course = Course { revision: &revision, operation, request_id, started, deadline, depth: 0 };
        let check = move |response| Answer::check(response, &request.operation, most);
        let call = move || {
            let invocation = self.invocation(view.clone(), request_id.clone(), deadline);
            linked.handle(invocation, Arc::clone(request), check)
        };
        let outcome =
            |answer: &Answer| if answer.status.is_server_error() { Outcome::Failed } else { Outcome::Answered };
        self.run(&course, outcome, call).await
    }

    /// Lets a service fill its empty database; returns lines for the operator.
    ///
    /// # Errors
    /// When the service fails; the inner error is its own word.
    pub async fn bootstrap(self: &Arc<Self>, view: View, demo: bool) -> Result<Result<Vec<String>, String>, CallError> {
        let revision = Arc::clone(&view.entry);
        let request_id = RequestId::generate();
        let deadline = Instant::now() + revision.limits.deadline;
        let invocation = self.invocation(view, request_id.clone(), deadline);
        let outcome = revision.linked.bootstrap(invocation, demo).await;
        outcome.map_err(|failure| self.failed(&revision, &request_id, failure))
    }

    /// Runs one of a service's tasks once.
    ///
    /// # Errors
    /// When the service fails; the inner error is its own word.
    pub async fn run_task(self: &Arc<Self>, view: View, task: &Task) -> Result<Result<(), String>, CallError> {
        let revision = Arc::clone(&view.entry);
        let request_id = RequestId::generate();
        let deadline = Instant::now() + task.deadline;
        let invocation = self.invocation(view, request_id.clone(), deadline);
        let _permit = revision.lane.enter(deadline, 0).await?;
        let outcome = revision.linked.run_task(invocation, &task.name).await;
        outcome.map_err(|failure| self.failed(&revision, &request_id, failure))
    }

    /// Hands a service one event, within the limits that its requests have.
    ///
    /// # Errors
    /// When the service fails or has no room; the inner error is its own word.
    ///
    /// # Cancel safety
    /// As for [`Dispatch::handle`].
    pub async fn deliver_event(
        self: &Arc<Self>,
        view: View,
        event: &DeliveredEvent,
    ) -> Result<Result<(), String>, CallError> {
        let revision = Arc::clone(&view.entry);
        let request_id = RequestId::generate();
        let started = Instant::now();
        let deadline = started + revision.limits.deadline;
        let invocation = self.invocation(view, request_id.clone(), deadline);
        let _permit = revision.lane.enter(deadline, 0).await?;
        let outcome = revision.linked.handle_event(invocation, event).await;
        let kind = match &outcome {
            Ok(Ok(())) => Outcome::Answered,
            Ok(Err(_)) => Outcome::Failed,
            Err(_) => Outcome::Fault,
        };
        let now = Instant::now();
        revision.stats.record(kind, now.saturating_duration_since(started), now);
        outcome.map_err(|failure| self.failed(&revision, &request_id, failure))
    }

    fn invocation(self: &Arc<Self>, view: View, request_id: RequestId, deadline: Instant) -> Invocation {
        let calls = Arc::new(CallBudget::new(view.entry.limits.typed_calls));
        let peers = Arc::new(Scope { dispatch: Arc::clone(self), view });
        Invocation { request_id, deadline, depth: 0, calls, peers }
    }

    async fn call_peer(self: Arc<Self>, peers: Arc<Scope>, mut call: PeerCall) -> Result<Vec<Val>, CallError> {
        let missing = || CallError::NoExporter { interface: format!("{}#{}", call.interface, call.function) };
        let live = peers.view.snapshot.exporter(&call.track).ok_or_else(missing)?;
        let revision = peers.view.revision(live);
        let exported_as = revision.linked.compiled().exported_as(&call.track).ok_or_else(missing)?;
        if call.depth > self.call_depth {
            let failure = Failure::from(GuestFault::Depth(self.call_depth));
            return Err(self.failed(revision, &call.request_id, failure));
        }
        let operation = revision.operations.function(exported_as, &call.function).ok_or_else(missing)?;
        let started = Instant::now();
        let deadline = call.deadline.min(started + revision.limits.deadline);
        let params = Arc::new(std::mem::take(&mut call.params));
        let (peers, call, params) = (&peers, &call, &params);
        let (request_id, depth) = (&call.request_id, call.depth);
        let course = Course { revision, operation, request_id, started, deadline, depth };
        let attempt = move || {
            let (request_id, calls) = (request_id.clone(), Arc::clone(&call.calls));
            let invocation = Invocation { request_id, deadline, depth, calls, peers: Arc::clone(peers) as _ };
            async move {
                let params = Arc::clone(params);
                let called = revision.linked.call_typed(invocation, exported_as, &call.function, params).await;
                let absent = || Failure::Host(wasmtime::Error::msg("an export of the component has no place in it"));
                called.unwrap_or_else(|| Err(absent()))
            }
        };
        self.run(&course, |_: &Vec<Val>| Outcome::Answered, attempt).await
    }

    /// Names a failure, and tells of it the only time.
    fn failed(&self, revision: &Revision, request_id: &RequestId, failure: Failure) -> CallError {
        let (service, digest) = (revision.service.clone(), revision.digest());
        match failure {
            Failure::Guest(fault, frames) => {
                revision.stats.count_fault(&fault);
                tracing::warn!(
                    service.name = %service, revision.number = %revision.number, revision.digest = %digest,
                    request.id = %request_id, fault.kind = fault.kind(), %fault, guest.frames = %frames, "guest fault"
                );
                self.feed.publish(Event {
                    revision: Some(revision.number.0),
                    digest: Some(digest.to_string()),
                    detail: Some(first_line(&fault.to_string())),
                    ..Event::new(Kind::Fault, service.as_str())
                });
                CallError::Guest { service, digest, fault }
            }
            failure if failure.is_no_place() => {
                tracing::error!(service.name = %service, request.id = %request_id, "the engine has no place left");
                CallError::Overloaded { service, retry_after: NO_PLACE }
            }
            Failure::Host(error) => {
                tracing::error!(
                    service.name = %service, request.id = %request_id, error = format!("{error:#}"), "host fault"
                );
                CallError::Host(error)
            }
        }
    }
}

/// An event is one line.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

impl View {
    /// Makes the view of something that begins in a service by itself: in the revision with most of the traffic.
    pub fn within(snapshot: &Arc<Snapshot>, live: &Live) -> Self {
        Self { snapshot: Arc::clone(snapshot), ticket: Ticket::draw(), entry: Arc::clone(live.main()) }
    }

    /// Returns the revision of a service that this request sees.
    fn revision<'v>(&'v self, live: &'v Live) -> &'v Arc<Revision> {
        if live.newest().service == self.entry.service { &self.entry } else { live.pick(self.ticket) }
    }
}

impl PeerCaller for Scope {
    fn call(self: Arc<Self>, call: PeerCall) -> PeerFuture<'static> {
        Box::pin(Arc::clone(&self.dispatch).call_peer(self, call))
    }
}
