//! Keeps calls away from an operation that fails: a circuit breaker, as a state machine that is told the time.
//!
//! Closed, it lets every call through and counts how they end. Too many faults open it: calls are refused at once,
//! until some time has passed and one of them, the probe, may try. Its end closes the breaker or opens it for longer.
//! Whoever was let in says how the call ended by its [`Pass`]; one that is dropped says nothing, and a probe that is
//! dropped leaves its place to another.
//!
//! Not here: what counts as a fault and whom a change is told (see `dispatch`).

mod window;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::window::CallWindow;
use crate::config::{BreakerConfig, OPEN_AT_MOST};

/// How far the time that it is open may be off, so that breakers that opened together do not probe together.
const JITTER: std::ops::RangeInclusive<f64> = 0.8..=1.2;

/// The breaker of one operation.
pub struct Breaker {
    rules: BreakerConfig,
    /// The phase in the two lowest bits, above them how often it has changed: a call that was let in before a change
    /// says nothing about what came after.
    state: AtomicU64,
    consecutive: AtomicU32,
    window: CallWindow,
    /// Locked by whoever changes the phase, and while it is not closed.
    open: Mutex<Open>,
}

struct Open {
    /// When a probe may try.
    until: Instant,
    /// How long it was opened for the last time, before jitter.
    delay: Duration,
    /// Whether a probe is under way.
    is_probing: bool,
}

/// What a breaker does with calls; the greater the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Lets them through.
    Closed,
    /// Lets one through, to see.
    HalfOpen,
    /// Refuses them.
    Open,
}

/// A change of phase, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It opened after that many faults one after the other.
    OpenedByRow(u32),
    /// It opened because too many of the last calls were faults.
    OpenedByShare {
        /// The faults.
        faults: u64,
        /// All calls of the window.
        calls: u64,
    },
    /// It opened again: the probe was a fault.
    OpenedByProbe,
    /// A probe may try.
    HalfOpened,
    /// The probe ended well.
    Closed,
}

/// The right to run one call, and the duty to say how it ended.
#[must_use = "a pass that is dropped says nothing about its call"]
pub struct Pass<'b> {
    breaker: &'b Breaker,
    /// What the breaker's was when it let the call in.
    state: u64,
    is_told: bool,
}

// === impl Breaker ===

impl Breaker {
    /// Makes a closed one.
    pub(super) fn new(rules: BreakerConfig, now: Instant) -> Self {
        let open = Open { until: now, delay: rules.open_for, is_probing: false };
        Self {
            rules,
            state: AtomicU64::new(0),
            consecutive: AtomicU32::new(0),
            window: CallWindow::new(rules.window, now),
            open: Mutex::new(open),
        }
    }

    /// Says how long a call would be refused for, letting none in.
    pub fn refuses(&self, now: Instant) -> Option<Duration> {
        if phase(self.state.load(Ordering::Acquire)) == Phase::Closed {
            return None;
        }
        let open = self.lock();
        self.refuses_locked(&open, now)
    }

    /// Lets a call in, or says when it is worth trying again. It may be the probe, which is a change to tell.
    ///
    /// # Errors
    /// When calls are kept away, with the time to wait.
    pub fn enter(&self, now: Instant) -> Result<(Pass<'_>, Option<Change>), Duration> {
        let state = self.state.load(Ordering::Acquire);
        if phase(state) == Phase::Closed {
            return Ok((self.pass(state), None));
        }
        let mut open = self.lock();
        if let Some(wait) = self.refuses_locked(&open, now) {
            return Err(wait);
        }
        let state = self.state.load(Ordering::Acquire);
        match phase(state) {
            // Somebody has closed it just now.
            Phase::Closed => Ok((self.pass(state), None)),
            Phase::HalfOpen => {
                open.is_probing = true;
                Ok((self.pass(state), None))
            }
            Phase::Open => {
                open.is_probing = true;
                Ok((self.pass(self.turn(state, Phase::HalfOpen)), Some(Change::HalfOpened)))
            }
        }
    }

    /// Returns the phase that a call would find now.
    pub fn phase(&self, now: Instant) -> Phase {
        if phase(self.state.load(Ordering::Acquire)) == Phase::Closed {
            return Phase::Closed;
        }
        let open = self.lock();
        match phase(self.state.load(Ordering::Acquire)) {
            Phase::Open if now >= open.until => Phase::HalfOpen,
            phase => phase,
        }
    }

    fn refuses_locked(&self, open: &Open, now: Instant) -> Option<Duration> {
        match phase(self.state.load(Ordering::Acquire)) {
            Phase::Closed => None,
            Phase::HalfOpen => open.is_probing.then_some(open.delay),
            Phase::Open => Some(open.until.saturating_duration_since(now)).filter(|wait| !wait.is_zero()),
        }
    }

    fn pass(&self, state: u64) -> Pass<'_> {
        Pass { breaker: self, state, is_told: false }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the phase; the lock is held, so nobody else does.
    fn turn(&self, from: u64, to: Phase) -> u64 {
        let next = (((from >> 2) + 1) << 2) | bits(to);
        self.state.store(next, Ordering::Release);
        next
    }

    /// Counts a call of the closed breaker that ended well.
    fn count(&self, now: Instant) {
        self.window.count(now, false);
        // Read first: as a rule there is nothing to write, and the line stays in every core's cache.
        if self.consecutive.load(Ordering::Relaxed) != 0 {
            self.consecutive.store(0, Ordering::Relaxed);
        }
    }

    /// Counts a fault of the closed breaker, and opens it if that was too many.
    fn count_fault(&self, state: u64, now: Instant) -> Option<Change> {
        let row = self.consecutive.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let (calls, faults) = self.window.count(now, true);
        let enough = calls >= u64::from(self.rules.calls);
        let change = if row >= self.rules.consecutive {
            Change::OpenedByRow(row)
        } else if enough && faults * 100 >= calls * u64::from(self.rules.share) {
            Change::OpenedByShare { faults, calls }
        } else {
            return None;
        };
        self.open(state, now, |_| self.rules.open_for).then_some(change)
    }

    /// Opens it, unless its phase has changed since; says whether it did.
    fn open(&self, state: u64, now: Instant, delay: impl FnOnce(Duration) -> Duration) -> bool {
        let mut open = self.lock();
        if self.state.load(Ordering::Acquire) != state {
            return false;
        }
        let delay = delay(open.delay);
        *open = Open { until: now + delay.mul_f64(rand::random_range(JITTER)), delay, is_probing: false };
        self.turn(state, Phase::Open);
        true
    }

    fn close(&self, state: u64) -> Option<Change> {
        let mut open = self.lock();
        if self.state.load(Ordering::Acquire) != state {
            return None;
        }
        open.is_probing = false;
        self.consecutive.store(0, Ordering::Relaxed);
        self.window.clear();
        self.turn(state, Phase::Closed);
        Some(Change::Closed)
    }

    /// Gives the place of a probe that says nothing to the next call.
    fn free(&self, state: u64) {
        let mut open = self.lock();
        if self.state.load(Ordering::Acquire) == state {
            open.is_probing = false;
        }
    }
}

// === impl Pass ===

impl Pass<'_> {
    /// Says that the call ended well; returns what that changed.
    pub fn succeed(mut self, now: Instant) -> Option<Change> {
        self.is_told = true;
        if phase(self.state) == Phase::HalfOpen {
            return self.breaker.close(self.state);
        }
        if self.counts() {
            self.breaker.count(now);
        }
        None
    }

    /// Says that the call ended in a fault; returns what that changed.
    pub fn fail(mut self, now: Instant) -> Option<Change> {
        self.is_told = true;
        if phase(self.state) == Phase::HalfOpen {
            let opened = self.breaker.open(self.state, now, |delay| (delay * 2).min(OPEN_AT_MOST));
            return opened.then_some(Change::OpenedByProbe);
        }
        if self.counts() { self.breaker.count_fault(self.state, now) } else { None }
    }

    /// Says whether the breaker is as it was when the call was let in, and counts at all.
    fn counts(&self) -> bool {
        self.breaker.rules.enabled && self.breaker.state.load(Ordering::Acquire) == self.state
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.is_told && phase(self.state) == Phase::HalfOpen {
            self.breaker.free(self.state);
        }
    }
}

// === impl Phase ===

impl Phase {
    /// Returns the name that operators see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

fn phase(state: u64) -> Phase {
    match state & 3 {
        0 => Phase::Closed,
        1 => Phase::HalfOpen,
        _ => Phase::Open,
    }
}

fn bits(phase: Phase) -> u64 {
    match phase {
        Phase::Closed => 0,
        Phase::HalfOpen => 1,
        Phase::Open => 2,
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OpenedByRow(1) => f.write_str("opened: 1 fault"),
            Self::OpenedByRow(row) => write!(f, "opened: {row} consecutive faults"),
            Self::OpenedByShare { faults, calls } => write!(f, "opened: {faults} of {calls} calls were faults"),
            Self::OpenedByProbe => f.write_str("opened: its probe was a fault"),
            Self::HalfOpened => f.write_str("half-open: one call may try"),
            Self::Closed => f.write_str("closed: its probe ended well"),
        }
    }
}

#[cfg(test)]
mod tests;
