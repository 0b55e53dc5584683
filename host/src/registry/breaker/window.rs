//! Counts the calls and faults of the last seconds without a lock: in two halves of a window, one of which is past.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Most calls that a half counts; then both its numbers are halved, which keeps the share.
const MOST: u64 = 0xffff;

/// The last calls: those of the present half of the window and of the one before.
pub(super) struct CallWindow {
    began: Instant,
    half_ms: u64,
    /// Each is the half's number in 32 bits, its calls in 16 and its faults in 16.
    halves: [AtomicU64; 2],
}

#[derive(Clone, Copy)]
struct Half {
    number: u64,
    calls: u64,
    faults: u64,
}

impl CallWindow {
    pub(super) fn new(window: Duration, now: Instant) -> Self {
        let half_ms = u64::try_from(window.as_millis() / 2).unwrap_or(u64::MAX).max(1);
        Self { began: now, half_ms, halves: [AtomicU64::new(0), AtomicU64::new(0)] }
    }

    /// Counts a call, and returns the calls and faults of the window, that one included.
    pub(super) fn count(&self, now: Instant, is_fault: bool) -> (u64, u64) {
        let number = self.number(now);
        let counted = |packed: u64| Half::unpack(packed).counted(number, is_fault);
        let update = |packed| Some(counted(packed).pack());
        let (Ok(before) | Err(before)) = self.slot(number).fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        let present = counted(before);
        let past = number.wrapping_sub(1) & u64::from(u32::MAX);
        let past = Half::unpack(self.slot(past).load(Ordering::Relaxed)).of(past);
        (present.calls + past.calls, present.faults + past.faults)
    }

    /// Forgets what was counted.
    pub(super) fn clear(&self) {
        for half in &self.halves {
            half.store(0, Ordering::Relaxed);
        }
    }

    fn number(&self, now: Instant) -> u64 {
        let ms = u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX);
        (ms / self.half_ms) & u64::from(u32::MAX)
    }

    fn slot(&self, number: u64) -> &AtomicU64 {
        &self.halves[usize::from(number & 1 == 1)]
    }
}

impl Half {
    fn unpack(packed: u64) -> Self {
        Self { number: packed >> 32, calls: (packed >> 16) & MOST, faults: packed & MOST }
    }

    fn pack(self) -> u64 {
        (self.number << 32) | (self.calls << 16) | self.faults
    }

    /// Returns it if it is the one of that number, and otherwise that one, empty.
    fn of(self, number: u64) -> Self {
        if self.number == number { self } else { Self { number, calls: 0, faults: 0 } }
    }

    fn counted(self, number: u64, is_fault: bool) -> Self {
        let Self { calls, faults, .. } = self.of(number);
        let (calls, faults) = if calls == MOST { (calls / 2, faults / 2) } else { (calls, faults) };
        Self { number, calls: calls + 1, faults: faults + u64::from(is_fault) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_for_at_least_half_of_the_window_and_at_most_for_all_of_it() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let window = CallWindow::new(Duration::from_secs(10), began);
        assert_eq!(window.count(at(0), true), (1, 1));
        assert_eq!(window.count(at(4_999), false), (2, 1));
        assert_eq!(window.count(at(9_999), false), (3, 1), "both halves");
        assert_eq!(window.count(at(10_000), false), (2, 0), "the first half is past");
        assert_eq!(window.count(at(60_000), true), (1, 1), "all of it is past");
        window.clear();
        assert_eq!(window.count(at(60_000), false), (1, 0));
    }

    #[test]
    fn more_calls_than_it_can_count_keep_their_share() {
        let window = CallWindow::new(Duration::from_secs(10), Instant::now());
        let now = window.began;
        let (mut calls, mut faults) = (0, 0);
        for n in 0..300_000 {
            (calls, faults) = window.count(now, n % 4 == 0);
        }
        assert!(calls <= MOST && faults * 4 >= calls - 8 && faults * 4 <= calls + 8, "{faults} of {calls}");
    }

    #[test]
    fn no_call_is_lost_between_threads() {
        let window = CallWindow::new(Duration::from_secs(10), Instant::now());
        let now = window.began;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..1000 {
                        window.count(now, n % 2 == 0);
                    }
                });
            }
        });
        assert_eq!(window.count(now, false), (4001, 2000));
    }
}
