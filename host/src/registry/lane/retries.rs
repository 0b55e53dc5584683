//! How many invocations of a service may be made again: a burst, and a tenth of its calls.
//!
//! Not here: which of them may, and when (see `dispatch`).

use std::sync::atomic::{AtomicU32, Ordering};

/// Retries that a service can make without having had any calls.
const BURST: u32 = 10;

/// Calls that earn one retry: a tenth more load at most.
const CALLS: u32 = 10;

/// The retries that a service may still make, in tenths.
pub struct RetryBudget(AtomicU32);

impl RetryBudget {
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(BURST * CALLS))
    }

    /// Earns a tenth of a retry.
    pub fn earn(&self) {
        // As a rule it is full and there is nothing to write.
        if self.0.load(Ordering::Relaxed) < BURST * CALLS {
            let more = |tenths| (tenths < BURST * CALLS).then_some(tenths + 1);
            let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
    }

    /// Spends a retry, if there is one.
    pub fn spend(&self) -> bool {
        let less = |tenths: u32| tenths.checked_sub(CALLS);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_has_a_burst_and_a_tenth_of_the_calls() {
        let budget = RetryBudget::new();
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
        for _ in 0..9 {
            budget.earn();
        }
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend() && !budget.spend());
        for _ in 0..1000 {
            budget.earn();
        }
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10, "it does not grow over the burst");
    }
}
