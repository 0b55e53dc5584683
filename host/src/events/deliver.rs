//! One attempt at one delivery, the same for every broker: call, count, tell, and say what comes next.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt as _;

use super::{Backoff, DeadLetters, Deliver, DeliveryError, Event, Stats};
use crate::names::ServiceName;

/// Times that a subscriber may fail at one event before it becomes a dead letter; at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts(pub u32);

/// What comes after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is handled: forget it.
    Done,
    /// Try again after the wait, with this many failures counted; later events of the key wait behind it.
    Retry {
        /// The wait.
        wait: Duration,
        /// Failures so far, to be kept with the delivery.
        failures: u32,
    },
    /// Another host should have it; here it may be tried again after the wait. Nothing of that is kept.
    Elsewhere {
        /// The wait.
        wait: Duration,
    },
    /// It has failed for the last time: bury it ([`DeadLetters`]), then forget it.
    Dead {
        /// What the subscriber said the last time.
        reason: String,
        /// Failures, the last one included.
        failures: u32,
    },
}

/// Carries the events of one subscriber to it.
#[derive(Clone)]
pub struct Courier {
    /// Who subscribes.
    pub subscriber: ServiceName,
    /// Topics that it subscribes to, sorted.
    pub topics: Vec<String>,
    /// Calls it.
    pub deliver: Arc<dyn Deliver>,
    /// When it has failed often enough.
    pub attempts: Attempts,
    /// Where what it cannot handle goes.
    pub dead: Arc<DeadLetters>,
    /// Counts.
    pub stats: Arc<Stats>,
    /// Attempts in a row that found the subscriber unavailable: each waits longer, whatever event it was.
    pub unavailable: Arc<AtomicU32>,
}

impl Courier {
    /// Delivers an event once, after a number of failures before, and says what comes next.
    ///
    /// # Cancel safety
    /// Dropped, the attempt does not count.
    pub async fn attempt(&self, event: &Event, failures: u32) -> Verdict {
        let attempt = failures.saturating_add(1);
        let attempted = AssertUnwindSafe(self.deliver.deliver(&self.subscriber, event, attempt)).catch_unwind().await;
        // A mistake of the host's is no fault of the event, and nobody else's deliveries end with it.
        let mistaken = |_| Err(DeliveryError::Unavailable("the host has made a mistake".to_owned()));
        let outcome = attempted.unwrap_or_else(mistaken);
        if !matches!(outcome, Err(DeliveryError::Unavailable(_) | DeliveryError::Lagging)) {
            self.unavailable.store(0, Ordering::Relaxed);
        }
        let verdict = self.judge(&outcome, failures);
        let counts = self.stats.of(&self.subscriber);
        match &outcome {
            Ok(()) => counts.delivered.add(1),
            Err(DeliveryError::Failed(reason)) => {
                counts.failed.add(1);
                tracing::info!(
                    service.name = %self.subscriber, event.id, event.topic, event.key, attempt, reason,
                    "an event was not handled"
                );
            }
            Err(waits @ (DeliveryError::Unavailable(_) | DeliveryError::Lagging)) => tracing::debug!(
                service.name = %self.subscriber, event.id, event.topic, reason = %waits,
                "an event waits for its subscriber"
            ),
        }
        verdict
    }

    fn judge(&self, outcome: &Result<(), DeliveryError>, failures: u32) -> Verdict {
        match outcome {
            Ok(()) => Verdict::Done,
            Err(DeliveryError::Unavailable(_)) => Verdict::Retry { wait: self.longer(), failures },
            Err(DeliveryError::Lagging) => Verdict::Elsewhere { wait: self.longer() },
            Err(DeliveryError::Failed(reason)) => {
                let failures = failures.saturating_add(1);
                if failures >= self.attempts.0 {
                    Verdict::Dead { reason: reason.clone(), failures }
                } else {
                    Verdict::Retry { wait: Backoff::DELIVERY.after(failures), failures }
                }
            }
        }
    }

    /// Returns a wait that grows with each attempt that nobody has made.
    fn longer(&self) -> Duration {
        Backoff::CONNECTION.after(self.unavailable.fetch_add(1, Ordering::Relaxed).saturating_add(1))
    }
}
