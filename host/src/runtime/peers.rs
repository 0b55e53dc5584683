//! Typed calls from one service to another: the seam that `dispatch` implements, and the trampoline to it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use wasmtime::StoreContextMut;
use wasmtime::component::Val;
use wasmtime::component::types::{ComponentFunc, Type};

use super::linker::track;
use super::state::HostState;
use crate::fault::CallError;
use crate::names::RequestId;

/// One typed call.
pub struct PeerCall {
    /// Full name of the interface, with its version.
    pub interface: Arc<str>,
    /// As much of that name as an export must agree with.
    pub track: Arc<str>,
    /// Name of the function.
    pub function: Arc<str>,
    /// The arguments.
    pub params: Vec<Val>,
    /// Id of the request that it serves.
    pub request_id: RequestId,
    /// When it must have ended: what is left to its caller.
    pub deadline: Instant,
    /// Typed calls above this one, itself included.
    pub depth: u8,
    /// What the request may still call.
    pub calls: Arc<CallBudget>,
}

/// The typed calls that one request may make, in all its services together.
#[derive(Debug)]
pub struct CallBudget {
    limit: u32,
    made: AtomicU32,
}

/// Raised in a guest whose request has made all its typed calls.
#[derive(Debug, thiserror::Error)]
#[error("more than {0} typed calls of one request")]
pub(super) struct FanOutReached(pub(super) u32);

impl CallBudget {
    /// Allows a number of calls.
    pub fn new(limit: u32) -> Self {
        Self { limit, made: AtomicU32::new(0) }
    }

    /// Takes one of them; there is none left for a guest that goes on after an error.
    fn take(&self) -> Result<(), FanOutReached> {
        let made = self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |made| {
            made.checked_add(1).filter(|made| *made <= self.limit)
        });
        made.map(drop).map_err(|_| FanOutReached(self.limit))
    }
}

/// A future that a trait object can return.
pub type PeerFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<Val>, CallError>> + Send + 'a>>;

/// Reaches other services as one request sees them.
pub trait PeerCaller: Send + Sync {
    /// Runs a typed call in an instance of its own.
    fn call(self: Arc<Self>, call: PeerCall) -> PeerFuture<'static>;
}

/// Reaches nobody: what a component is described with, and what an idle instance has.
pub struct NoPeers;

impl PeerCaller for NoPeers {
    fn call(self: Arc<Self>, call: PeerCall) -> PeerFuture<'static> {
        Box::pin(async move { Err(CallError::NoExporter { interface: call.interface.to_string() }) })
    }
}

/// A typed call that failed and whose function has no way to say so.
#[derive(Debug, thiserror::Error)]
#[error("typed call of {interface}#{function} failed")]
pub(super) struct PeerFailure {
    pub(super) interface: Arc<str>,
    pub(super) function: Arc<str>,
    #[source]
    pub(super) source: CallError,
}

type HostFuture<'a> = Box<dyn Future<Output = wasmtime::Result<()>> + Send + 'a>;

/// Makes the host function behind one typed import.
pub(super) fn trampoline(
    interface: Arc<str>,
    function: &str,
) -> impl for<'a> Fn(StoreContextMut<'a, HostState>, ComponentFunc, &'a [Val], &'a mut [Val]) -> HostFuture<'a>
+ Send
+ Sync
+ 'static {
    let function: Arc<str> = function.into();
    let track: Arc<str> = track(&interface).into();
    move |store, ty, params, results| {
        let HostState { invocation, cpu, .. } = store.data();
        let admitted = invocation.calls.take();
        // The peer's time on the processor is its own service's.
        let (peers, meter) = (Arc::clone(&invocation.peers), Arc::clone(cpu.meter()));
        let call = PeerCall {
            interface: Arc::clone(&interface),
            track: Arc::clone(&track),
            function: Arc::clone(&function),
            params: params.to_vec(),
            request_id: invocation.request_id.clone(),
            deadline: invocation.deadline,
            depth: invocation.depth + 1,
            calls: Arc::clone(&invocation.calls),
        };
        let (interface, function) = (Arc::clone(&interface), Arc::clone(&function));
        Box::new(async move {
            // No error of the peer's: a guest that could go on after it would go on calling.
            if let Err(reached) = admitted {
                return Err(reached.into());
            }
            let values = match meter.leave_out(peers.call(call)).await {
                Ok(values) => values,
                Err(source) => match unavailable(&ty) {
                    Some(value) => vec![value],
                    None => return Err(PeerFailure { interface, function, source }.into()),
                },
            };
            for (slot, value) in results.iter_mut().zip(values) {
                *slot = value;
            }
            Ok(())
        })
    }
}

/// Makes the error case `unavailable` of a function's result, by which a caller can handle a peer that is down.
fn unavailable(ty: &ComponentFunc) -> Option<Val> {
    let Type::Result(result) = ty.results().next()? else { return None };
    let case = "unavailable".to_owned();
    let error = match result.err()? {
        Type::Variant(variant) => {
            variant.cases().find(|found| found.name == case && found.ty.is_none())?;
            Val::Variant(case, None)
        }
        Type::Enum(names) => {
            names.names().find(|name| *name == case)?;
            Val::Enum(case)
        }
        _ => return None,
    };
    Some(Val::Result(Err(Some(Box::new(error)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_makes_as_many_calls_as_it_may_and_none_after_that() {
        let calls = CallBudget::new(3);
        assert_eq!((0..10).map(|_| calls.take().is_ok()).filter(|taken| *taken).count(), 3);
        assert!(CallBudget::new(0).take().is_err());
    }
}
