//! One invocation from start to end: permit, fresh instance, call, outcome.
//!
//! A trap never leaves here as a trap: it is a [`CallError::Guest`], logged once, with the component's digest.
//! Whatever is called by a request runs on the request's own snapshot and what is left of its deadline.
//!
//! Not here: HTTP (see `gateway`), how an instance is made (see `runtime::instance`).

mod lane;
mod response;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use wasmtime::component::Val;

use self::lane::{Lane, Permit, Pool};
pub use self::response::Answer;
use crate::bindings::exports::provesi::platform::service::Request;
use crate::fault::{CallError, GuestFault};
use crate::names::{RequestId, ServiceName};
use crate::registry::{Revision, Snapshot, Task};
use crate::runtime::{Failure, Invocation, PeerCall, PeerCaller, PeerFuture};

/// Runs invocations, each within its service's limits.
pub struct Dispatch {
    pool: Pool,
    call_depth: u8,
    lanes: RwLock<HashMap<ServiceName, Arc<Lane>>>,
}

/// What one request sees of the services.
struct Scope {
    dispatch: Arc<Dispatch>,
    snapshot: Arc<Snapshot>,
}

impl Dispatch {
    /// Runs at most a number of instances at once, and typed calls up to a depth.
    pub fn new(max_instances: u32, call_depth: u8) -> Self {
        Self { pool: Pool::new(max_instances), call_depth, lanes: RwLock::default() }
    }

    /// Answers a request with one of the snapshot's revisions.
    ///
    /// # Errors
    /// When there is no answer; whose fault it is, the error says.
    ///
    /// # Cancel safety
    /// Dropping the future ends the guest and rolls its transactions back.
    pub async fn handle(
        self: &Arc<Self>,
        snapshot: &Arc<Snapshot>,
        revision: &Arc<Revision>,
        request_id: RequestId,
        request: &Request,
    ) -> Result<Answer, CallError> {
        let deadline = Instant::now() + revision.limits.deadline;
        let invocation = self.invocation(snapshot, request_id.clone(), deadline, 0);
        let _permit = self.permit(revision, deadline, 0).await?;
        let outcome = revision.linked.handle(invocation, request).await;
        let answer =
            outcome.and_then(|response| Answer::check(response, revision.limits.response).map_err(Failure::Guest));
        answer.map_err(|failure| self::failed(revision, &request_id, failure))
    }

    /// Lets a service fill its empty database; returns lines for the operator.
    ///
    /// # Errors
    /// When the service fails; the inner error is its own word.
    pub async fn bootstrap(
        self: &Arc<Self>,
        snapshot: &Arc<Snapshot>,
        revision: &Arc<Revision>,
        demo: bool,
    ) -> Result<Result<Vec<String>, String>, CallError> {
        let request_id = RequestId::generate();
        let deadline = Instant::now() + revision.limits.deadline;
        let invocation = self.invocation(snapshot, request_id.clone(), deadline, 0);
        let outcome = revision.linked.bootstrap(invocation, demo).await;
        outcome.map_err(|failure| self::failed(revision, &request_id, failure))
    }

    /// Runs one of a service's tasks once.
    ///
    /// # Errors
    /// When the service fails; the inner error is its own word.
    pub async fn run_task(
        self: &Arc<Self>,
        snapshot: &Arc<Snapshot>,
        revision: &Arc<Revision>,
        task: &Task,
    ) -> Result<Result<(), String>, CallError> {
        let request_id = RequestId::generate();
        let deadline = Instant::now() + task.deadline;
        let invocation = self.invocation(snapshot, request_id.clone(), deadline, 0);
        let _permit = self.permit(revision, deadline, 0).await?;
        let outcome = revision.linked.run_task(invocation, &task.name).await;
        outcome.map_err(|failure| self::failed(revision, &request_id, failure))
    }

    fn invocation(
        self: &Arc<Self>,
        snapshot: &Arc<Snapshot>,
        request_id: RequestId,
        deadline: Instant,
        depth: u8,
    ) -> Invocation {
        let peers = Arc::new(Scope { dispatch: Arc::clone(self), snapshot: Arc::clone(snapshot) });
        Invocation { request_id, deadline, depth, peers }
    }

    async fn permit(&self, revision: &Revision, deadline: Instant, depth: u8) -> Result<Permit, CallError> {
        self.lane(revision).enter(&self.pool, deadline, depth).await
    }

    /// A lane belongs to the service, not to a revision: both sides of a swap share its bounds.
    fn lane(&self, revision: &Revision) -> Arc<Lane> {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(&revision.service) {
            return Arc::clone(lane);
        }
        drop(lanes);
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        let lane = || Arc::new(Lane::new(revision.service.clone(), &revision.limits));
        Arc::clone(lanes.entry(revision.service.clone()).or_insert_with(lane))
    }

    async fn call_peer(self: Arc<Self>, peers: Arc<Scope>, call: PeerCall) -> Result<Vec<Val>, CallError> {
        let missing = || CallError::NoExporter { interface: format!("{}#{}", call.interface, call.function) };
        let (revision, exported_as) = peers.snapshot.exporter(&call.interface).ok_or_else(missing)?;
        if call.depth > self.call_depth {
            let failure = Failure::Guest(GuestFault::Depth(self.call_depth));
            return Err(self::failed(revision, &call.request_id, failure));
        }
        let deadline = call.deadline.min(Instant::now() + revision.limits.deadline);
        let _permit = self.permit(revision, deadline, call.depth).await?;
        let request_id = call.request_id.clone();
        let invocation = Invocation { request_id, deadline, depth: call.depth, peers: Arc::clone(&peers) as _ };
        let outcome = revision.linked.call_typed(invocation, exported_as, &call.function, &call.params).await;
        let outcome = outcome.ok_or_else(missing)?;
        outcome.map_err(|failure| self::failed(revision, &call.request_id, failure))
    }
}

impl PeerCaller for Scope {
    fn call(self: Arc<Self>, call: PeerCall) -> PeerFuture<'static> {
        Box::pin(Arc::clone(&self.dispatch).call_peer(self, call))
    }
}

/// Names a failure and logs it, the only time.
fn failed(revision: &Revision, request_id: &RequestId, failure: Failure) -> CallError {
    let (service, digest) = (revision.service.clone(), revision.digest());
    match failure {
        Failure::Guest(fault) => {
            tracing::warn!(
                service.name = %service, revision.number = %revision.number, revision.digest = %digest,
                request.id = %request_id, %fault, "guest fault"
            );
            CallError::Guest { service, digest, fault }
        }
        Failure::Host(error) => {
            tracing::error!(
                service.name = %service, request.id = %request_id, error = format!("{error:#}"), "host fault"
            );
            CallError::Host(error)
        }
    }
}
