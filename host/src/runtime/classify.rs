//! The one place that looks into a `wasmtime::Error` and says whose fault it is.

use super::frames::Frames;
use super::instance::Failure;
use super::peers::{FanOutReached, PeerFailure};
use super::state::HostState;
use crate::capabilities::Denied;
use crate::fault::GuestFault;

/// Raised in a guest that is still running at its deadline.
#[derive(Debug, thiserror::Error)]
#[error("deadline reached")]
pub(super) struct DeadlineReached;

/// All places are taken that the engine has for what runs beside requests.
#[derive(Debug, thiserror::Error)]
#[error("no place for another instance became free in time")]
pub(super) struct NoPlace;

/// Names the outcome of a call that failed.
///
/// Whatever is raised while a guest runs is the guest's doing, unless it comes from the host's own functions, which
/// answer their errors as values: those cannot get here.
pub(super) fn classify(error: wasmtime::Error, state: &HostState) -> Failure {
    if is_no_place(&error) {
        return Failure::Host(error);
    }
    Failure::Guest(fault(&error, state.limiter.exceeded()), Frames::of(&error))
}

fn fault(error: &wasmtime::Error, memory_exceeded: bool) -> GuestFault {
    if error.is::<DeadlineReached>() {
        return GuestFault::Deadline;
    }
    if memory_exceeded {
        return GuestFault::Memory;
    }
    if let Some(denied) = error.downcast_ref::<Denied>() {
        return GuestFault::Denied(denied.capability());
    }
    if let Some(FanOutReached(limit)) = error.downcast_ref() {
        return GuestFault::FanOut(*limit);
    }
    if let Some(failure) = error.downcast_ref::<PeerFailure>() {
        return GuestFault::PeerFailed(chain(failure));
    }
    // A trap, or values that do not fit the component model's rules: invalid UTF-8, a list out of bounds, an unknown
    // case. What stands before the root is where it was, see `Frames`.
    GuestFault::Trap(error.root_cause().to_string())
}

/// Says whether the engine had no place for an instance, which the arithmetic of its places should not let happen.
fn is_no_place(error: &wasmtime::Error) -> bool {
    error.is::<wasmtime::PoolConcurrencyLimitError>() || error.is::<NoPlace>()
}

impl Failure {
    /// Says whether the engine had no place for the instance: it is worth trying again.
    pub fn is_no_place(&self) -> bool {
        matches!(self, Self::Host(error) if is_no_place(error))
    }
}

/// Joins what an error says and what each of its sources says.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wasmtime::Trap;

    use super::*;
    use crate::fault::CallError;

    fn kind(error: impl Into<wasmtime::Error>) -> &'static str {
        fault(&error.into().context("where it was"), false).kind()
    }

    #[test]
    fn every_reason_to_end_a_guest_has_its_kind() {
        assert_eq!(kind(DeadlineReached), "deadline");
        assert_eq!(kind(FanOutReached(3)), "fan-out");
        assert_eq!(kind(Trap::UnreachableCodeReached), "trap");
        assert_eq!(kind(wasmtime::Error::msg("invalid utf-8 sequence")), "trap");
        let source = CallError::NoExporter { interface: "a:b/c#d".to_owned() };
        let failure = PeerFailure { interface: Arc::from("a:b/c"), function: Arc::from("d"), source };
        assert_eq!(kind(failure), "peer-failed");
        assert_eq!(fault(&Trap::UnreachableCodeReached.into(), true).kind(), "memory");
        assert_eq!(fault(&DeadlineReached.into(), true).kind(), "deadline");
    }

    #[test]
    fn a_trap_says_why_and_not_where() {
        let error = wasmtime::Error::from(Trap::IntegerDivisionByZero).context("error while executing at\nmany\nlines");
        let text = fault(&error, false).to_string();
        assert!(text.starts_with("trapped: ") && text.contains("divide by zero") && !text.contains('\n'), "{text}");
    }

    #[test]
    fn a_full_pool_is_the_hosts_and_may_be_tried_again() {
        assert!(Failure::Host(NoPlace.into()).is_no_place());
        assert!(!Failure::Host(wasmtime::Error::msg("no")).is_no_place());
        assert!(!Failure::from(GuestFault::Memory).is_no_place());
    }
}
