//! Whether an invocation that ended in a fault is made once more, and when.
//!
//! A second call helps where the first met a moment, not a rule, and harms where everything fails: then it is twice
//! the load. So there is one at most, only of what may be called twice, and only within a budget (see
//! `registry::lane`).

use std::time::Duration;

use crate::fault::GuestFault;
use crate::runtime::Failure;

/// Pause before a retry, in milliseconds: two that met the same conflict shall not meet again.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 1..=10;

/// Says whether a second call may end otherwise: not one that took all of its time, and not one that answered or
/// whose peer failed, which has had its own second call.
pub(super) fn may_help(failure: &Failure) -> bool {
    matches!(failure, Failure::Guest(GuestFault::Trap(_) | GuestFault::Memory, _))
}

/// Draws the pause before a retry; none when what is left of the deadline would not do for it and a call as long as
/// the first.
pub(super) fn pause(left: Duration, first: Duration) -> Option<Duration> {
    let pause = Duration::from_millis(rand::random_range(PAUSE_MS));
    (left > pause + first).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_needs_the_time_of_the_first_call_and_its_pause() {
        let first = Duration::from_millis(100);
        assert_eq!(pause(Duration::from_millis(101), first), None);
        let paused = pause(Duration::from_millis(111), first).expect("enough for any pause");
        assert!((1..=10).contains(&paused.as_millis()), "{paused:?}");
        assert_eq!(pause(Duration::ZERO, Duration::ZERO), None);
    }

    #[test]
    fn only_a_trap_and_too_little_memory_may_end_otherwise() {
        assert!(may_help(&Failure::from(GuestFault::Trap("unreachable".to_owned()))));
        assert!(may_help(&Failure::from(GuestFault::Memory)));
        for failure in [
            Failure::from(GuestFault::Deadline),
            Failure::from(GuestFault::PeerFailed("stock".to_owned())),
            Failure::from(GuestFault::InvalidResponse("status 0".to_owned())),
            Failure::Host(wasmtime::Error::msg("no")),
        ] {
            assert!(!may_help(&failure), "{failure}");
        }
    }
}
