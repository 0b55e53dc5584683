//! Whether a broker can be reached, and since when it cannot.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Whether a broker can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nobody has needed it yet, or nobody since it was lost.
    #[default]
    Idle,
    /// It answers.
    Connected,
    /// It answers, and takes nothing for want of memory or disk.
    Blocked,
    /// It does not answer.
    Away {
        /// When that was noticed first, by this host's clock.
        since: SystemTime,
    },
}

impl Reach {
    /// Returns what is known of something that is reached in two ways: one that works is enough.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Blocked, _) | (_, Self::Blocked) => Self::Blocked,
            (Self::Connected, _) | (_, Self::Connected) => Self::Connected,
            (Self::Away { since: one }, Self::Away { since: other }) => Self::Away { since: one.min(other) },
            (away @ Self::Away { .. }, Self::Idle) | (Self::Idle, away @ Self::Away { .. }) => away,
            (Self::Idle, Self::Idle) => Self::Idle,
        }
    }
}

/// Remembers how the last attempt to use something ended.
#[derive(Default)]
pub(super) struct Attempted(Mutex<Reach>);

impl Attempted {
    /// Notes how an attempt ended.
    pub(super) fn note(&self, is_reached: bool) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = match (*last, is_reached) {
            (_, true) => Reach::Connected,
            (away @ Reach::Away { .. }, false) => away,
            (_, false) => Reach::Away { since: SystemTime::now() },
        };
    }

    /// Returns what the attempts so far say.
    pub(super) fn reach(&self) -> Reach {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_fails_again_is_away_since_the_first_time() {
        let attempted = Attempted::default();
        assert_eq!(attempted.reach(), Reach::Idle);
        attempted.note(false);
        let first = attempted.reach();
        assert!(matches!(first, Reach::Away { .. }), "{first:?}");
        attempted.note(false);
        assert_eq!(attempted.reach(), first);
        attempted.note(true);
        assert_eq!(attempted.reach(), Reach::Connected);
    }

    #[test]
    fn one_way_that_works_is_enough_and_the_first_loss_counts() {
        let earlier = SystemTime::UNIX_EPOCH;
        let (first, second) = (Reach::Away { since: earlier }, Reach::Away { since: earlier + Duration::from_secs(1) });
        for (one, other, both) in [
            (Reach::Idle, Reach::Idle, Reach::Idle),
            (Reach::Idle, first, first),
            (second, first, first),
            (first, Reach::Connected, Reach::Connected),
            (Reach::Connected, Reach::Blocked, Reach::Blocked),
        ] {
            assert_eq!((one.or(other), other.or(one)), (both, both), "{one:?} and {other:?}");
        }
    }
}
