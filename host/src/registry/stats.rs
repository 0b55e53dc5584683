//! What a revision has done: counts since it was linked, and the last minute second by second.
//!
//! The last minute decides about a canary; the counts are shown to operators.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::fault::GuestFault;

/// Seconds that are kept.
const SECONDS: usize = 60;

/// Latencies by size: four steps to each doubling, from 1 µs to over an hour.
const STEPS: usize = 128;

/// How an invocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer below 500.
    Answered,
    /// With an answer of 500 or above, by the guest's own word.
    Failed,
    /// With a fault of the guest.
    Fault,
    /// Before it began: a breaker kept it away. To whoever asked it is as good as failed.
    Refused,
}

/// The record of one revision.
pub struct RevisionStats {
    requests: AtomicU64,
    faults: AtomicU64,
    retries: AtomicU64,
    /// By the index of their kind; those of tasks and of first fillings too.
    by_kind: [AtomicU64; GuestFault::KINDS.len()],
    started: Instant,
    seconds: Mutex<Box<[Second; SECONDS]>>,
}

#[derive(Clone, Copy)]
struct Second {
    /// Seconds since the record began; says whether the slot is of this round.
    at: u64,
    requests: u32,
    errors: u32,
    latencies: [u32; STEPS],
}

/// The sum of some seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Invocations.
    pub requests: u64,
    /// Those that failed, were refused or ended in a fault.
    pub errors: u64,
    /// The time that 99 of 100 stayed below; zero without invocations.
    pub p99: Duration,
}

impl Default for RevisionStats {
    fn default() -> Self {
        let empty = Second { at: u64::MAX, requests: 0, errors: 0, latencies: [0; STEPS] };
        Self {
            requests: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            by_kind: Default::default(),
            started: Instant::now(),
            seconds: Mutex::new(Box::new([empty; SECONDS])),
        }
    }
}

impl RevisionStats {
    /// Records an invocation that has ended now.
    pub fn record(&self, outcome: Outcome, duration: Duration, now: Instant) {
        self.record_at(now.saturating_duration_since(self.started).as_secs(), outcome, duration);
    }

    fn record_at(&self, at: u64, outcome: Outcome, duration: Duration) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if outcome == Outcome::Fault {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        let second = &mut seconds[slot(at)];
        if second.at != at {
            *second = Second { at, requests: 0, errors: 0, latencies: [0; STEPS] };
        }
        second.requests += 1;
        second.errors += u32::from(outcome != Outcome::Answered);
        second.latencies[step(duration)] += 1;
    }

    /// Counts an invocation that is made again after a fault.
    pub fn record_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a fault by its kind.
    pub fn count_fault(&self, fault: &GuestFault) {
        self.by_kind[fault.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many faults of each kind there were, in the order of [`GuestFault::KINDS`].
    pub fn faults_by_kind(&self) -> [u64; GuestFault::KINDS.len()] {
        std::array::from_fn(|kind| self.by_kind[kind].load(Ordering::Relaxed))
    }

    /// Returns how many invocations have ended.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns how many of them ended in a fault.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// Returns how many were made again after a fault.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Sums up the last seconds, the present one included; at most a minute.
    pub fn last(&self, span: Duration) -> Window {
        self.last_at(self.started.elapsed().as_secs(), span)
    }

    fn last_at(&self, now: u64, span: Duration) -> Window {
        let first = now.saturating_sub(span.as_secs().min(SECONDS as u64 - 1));
        let mut latencies = [0_u64; STEPS];
        let mut window = Window { requests: 0, errors: 0, p99: Duration::ZERO };
        let seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        for second in seconds.iter().filter(|second| (first..=now).contains(&second.at)) {
            window.requests += u64::from(second.requests);
            window.errors += u64::from(second.errors);
            for (sum, count) in latencies.iter_mut().zip(second.latencies) {
                *sum += u64::from(count);
            }
        }
        drop(seconds);
        let beyond = window.requests - window.requests / 100;
        let mut seen = 0;
        let reached = latencies.iter().position(|count| {
            seen += count;
            window.requests > 0 && seen >= beyond
        });
        window.p99 = reached.map_or(Duration::ZERO, upper);
        window
    }
}

fn slot(at: u64) -> usize {
    usize::try_from(at % SECONDS as u64).expect("less than a minute")
}

/// Sorts a latency: its power of two, and the two bits below.
fn step(duration: Duration) -> usize {
    let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1);
    let power = us.ilog2();
    let quarter = if power >= 2 { (us >> (power - 2)) & 3 } else { 0 };
    usize::try_from(u64::from(power) * 4 + quarter).map_or(STEPS - 1, |step| step.min(STEPS - 1))
}

/// Returns the latency that a step stays below.
fn upper(step: usize) -> Duration {
    let (power, quarter) = (u32::try_from(step / 4).unwrap_or(31), (step % 4) as u64 + 1);
    // Below 4 µs there are no quarters.
    let quarter = if power < 2 { 4 } else { quarter };
    Duration::from_micros((1_u64 << power) + ((quarter << power) >> 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_its_own_seconds_only() {
        let stats = RevisionStats::default();
        for at in 0..100 {
            let outcome = if at % 10 == 0 { Outcome::Fault } else { Outcome::Answered };
            stats.record_at(at, outcome, Duration::from_millis(1));
        }
        assert_eq!((stats.requests(), stats.faults()), (100, 10));
        let window = stats.last_at(99, Duration::from_secs(9));
        assert_eq!((window.requests, window.errors), (10, 1));
        assert_eq!(stats.last_at(500, Duration::from_secs(9)).requests, 0);
    }

    #[test]
    fn faults_are_counted_by_their_kind() {
        let stats = RevisionStats::default();
        for fault in [GuestFault::Memory, GuestFault::Deadline, GuestFault::Memory] {
            stats.count_fault(&fault);
        }
        let counts = GuestFault::KINDS.into_iter().zip(stats.faults_by_kind());
        let counts: Vec<_> = counts.filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [("deadline", 1), ("memory", 2)]);
    }

    #[test]
    fn the_99th_percentile_is_within_a_quarter_of_the_truth() {
        let stats = RevisionStats::default();
        for ms in 1..=1000 {
            stats.record_at(0, Outcome::Answered, Duration::from_millis(ms));
        }
        let p99 = stats.last_at(0, Duration::from_secs(1)).p99.as_secs_f64();
        assert!((0.99..1.24).contains(&p99), "{p99}");
        assert_eq!(RevisionStats::default().last_at(0, Duration::from_secs(1)).p99, Duration::ZERO);
    }

    #[test]
    fn every_latency_has_a_step_below_its_bound() {
        for us in [1, 2, 3, 4, 5, 7, 8, 1000, 65_535, 65_536, 10_000_000] {
            let duration = Duration::from_micros(us);
            assert!(upper(step(duration)) >= duration, "{us}");
        }
        assert_eq!(step(Duration::MAX), STEPS - 1);
    }
}
