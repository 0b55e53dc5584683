//! How long to wait before what failed is tried again: twice as long each time, with jitter, up to a bound.

use std::time::Duration;

/// Waits that grow from one bound to the other.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Wait after the first failure.
    pub first: Duration,
    /// Longest wait.
    pub longest: Duration,
}

impl Backoff {
    /// Deliveries: a subscriber that is being replaced is back in the first waits, one that is broken costs little.
    pub const DELIVERY: Self = Self { first: Duration::from_millis(100), longest: Duration::from_secs(30) };

    /// Brokers and databases that are away.
    pub const CONNECTION: Self = Self { first: Duration::from_millis(100), longest: Duration::from_secs(5) };

    /// Returns the wait after a number of failures, counted from 1, with fresh jitter.
    pub fn after(&self, failures: u32) -> Duration {
        self.jittered(failures, rand::random::<f64>())
    }

    /// Returns from half to all of the full wait: those that failed together do not come again together.
    fn jittered(&self, failures: u32, share: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let full = self.first.saturating_mul(1 << doublings).min(self.longest);
        full.mul_f64(0.5 + share.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<_> = (1..=12).map(|failures| Backoff::DELIVERY.jittered(failures, 1.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000]);
        assert_eq!(Backoff::DELIVERY.jittered(u32::MAX, 1.0), Duration::from_secs(30));
        assert_eq!(Backoff::DELIVERY.jittered(0, 1.0), Duration::from_millis(100));
    }

    #[test]
    fn jitter_takes_at_most_half_of_a_wait() {
        for failures in 1..40 {
            let (least, most) = (Backoff::DELIVERY.jittered(failures, 0.0), Backoff::DELIVERY.jittered(failures, 1.0));
            assert_eq!(least * 2, most, "{failures}");
            let drawn = Backoff::DELIVERY.after(failures);
            assert!(least <= drawn && drawn <= most, "{drawn:?} after {failures}");
        }
    }
}
