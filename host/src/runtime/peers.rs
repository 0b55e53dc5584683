//! Typed calls from one service to another: the seam that `dispatch` implements, and the trampoline to it.

use std::pin::Pin;
use std::sync::Arc;
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
}

/// A future that a trait object can return.
pub type PeerFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<Val>, CallError>> + Send + 'a>>;

/// Reaches other services as one request sees them.
pub trait PeerCaller: Send + Sync {
    /// Runs a typed call in an instance of its own.
    fn call(self: Arc<Self>, call: PeerCall) -> PeerFuture<'static>;
}

/// A typed call that failed and whose function has no way to say so.
#[derive(Debug, thiserror::Error)]
#[error("typed call of {interface}#{function} failed")]
pub(super) struct PeerFailure {
    interface: Arc<str>,
    function: Arc<str>,
    #[source]
    source: CallError,
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
        let invocation = &store.data().invocation;
        let peers = Arc::clone(&invocation.peers);
        let call = PeerCall {
            interface: Arc::clone(&interface),
            track: Arc::clone(&track),
            function: Arc::clone(&function),
            params: params.to_vec(),
            request_id: invocation.request_id.clone(),
            deadline: invocation.deadline,
            depth: invocation.depth + 1,
        };
        let (interface, function) = (Arc::clone(&interface), Arc::clone(&function));
        Box::new(async move {
            let values = match peers.call(call).await {
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
