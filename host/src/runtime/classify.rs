//! The one place that looks into a `wasmtime::Error` and says whose fault it is.

use wasmtime::Trap;

use super::instance::Failure;
use super::peers::PeerFailure;
use super::state::HostState;
use crate::fault::GuestFault;

/// Raised in a guest that is still running at its deadline.
#[derive(Debug, thiserror::Error)]
#[error("deadline reached")]
pub(super) struct DeadlineReached;

/// Names the outcome of a call that failed.
///
/// Whatever is raised while a guest runs is the guest's doing, unless it comes from the host's own functions, which
/// answer their errors as values: those cannot get here.
pub(super) fn classify(error: wasmtime::Error, state: &HostState) -> Failure {
    if error.is::<DeadlineReached>() {
        return Failure::Guest(GuestFault::Deadline);
    }
    if state.limiter.exceeded() {
        return Failure::Guest(GuestFault::Memory);
    }
    // Before the backtrace, which such a failure has as well.
    if error.is::<PeerFailure>() {
        return Failure::Guest(GuestFault::PeerFailed(format!("{error:#}")));
    }
    if error.is::<Trap>() || error.is::<wasmtime::WasmBacktrace>() {
        return Failure::Guest(GuestFault::Trap(format!("{error:#}")));
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return Failure::Host(error);
    }
    // Values that do not fit the component model's rules: invalid UTF-8, a list out of bounds, an unknown case.
    Failure::Guest(GuestFault::Trap(format!("{error:#}")))
}
