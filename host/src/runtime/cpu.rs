//! Shares the processor between services: a guest that computes for long pays for it out of its service's share.
//!
//! A guest is looked at on each tick of the engine. One that has just come back from a wait goes on, one that has run
//! for a while makes room for others, and one that has run for longer than a tick altogether waits from then on until
//! its service has earned what it takes. Waiting for a database or a peer costs nothing, and neither does waiting for
//! a core: who runs for long is charged by the clock of its thread. One that is long by that clock, too, goes on in the
//! background, see `background`, once its service has used up what it may take at the side of all others.
//!
//! A [`CpuShare`] belongs to a service: both sides of a swap share it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Time between two looks at a running guest: short enough that a few endless loops, one after the other on a thread,
/// are not felt by those who wait behind them, and long enough that the looks cost nothing.
pub(super) const TICK: Duration = Duration::from_millis(2);

/// The same while a call is in the background. The system may notice only when such a thread enters the kernel
/// that another one waits for its core, and at each look it does.
pub(super) const SHORT_TICK: Duration = Duration::from_micros(500);

/// What a guest may have run since its last wait and still go on at a look: it has just come back to its thread.
const JUST_BACK: Duration = Duration::from_micros(500);

/// Idle time that a service is credited with, so that one long request in an idle service is not held up.
const CREDIT: Duration = Duration::from_millis(10);

/// Most that a service can owe: a flood of guests whose clients have gone leaves no more than this behind.
const MAX_DEBT: Duration = Duration::from_secs(1);

/// The timer's unit: a shorter wait would become this long, so it is owed instead.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The part of a core that a service's long guests may take before they go on in the background, one of so many. It is
/// what they can count on when others want all cores, and so little that few neighbours notice.
const FRONT: u32 = 200;

/// Time for which a service saves that up: one that rarely computes for long does it at once.
const FRONT_SAVED: Duration = Duration::from_secs(5);

/// How much of the processor the guests of one service may take that run for longer than a tick.
pub struct CpuShare {
    /// Of one core.
    percent: AtomicU32,
    earned: Mutex<Earned>,
}

/// When all that was taken will have been earned; none before the first charge.
#[derive(Default)]
struct Earned {
    whole: Option<Instant>,
    /// The same of what it took outside the background.
    front: Option<Instant>,
}

/// How long one invocation has run on a thread.
///
/// As a rule by the wall clock, which costs next to nothing and counts what the system gives to others, too. Once that
/// says that it has run for long, by the clock of the thread, which is exact and costs a system call.
pub(super) struct Meter {
    made: Instant,
    exact: AtomicBool,
    /// Whether it runs for long, by the clock of the thread.
    long: AtomicBool,
    /// What the clock said, in nanoseconds, when the guest came to its thread.
    since: AtomicU64,
    /// Nanoseconds that it had run until then.
    ran: AtomicU64,
}

/// The processor time of one invocation.
pub(super) struct Cpu {
    share: Arc<CpuShare>,
    meter: Arc<Meter>,
    /// What its service has been charged for, once it has run for long.
    charged: Option<Duration>,
    /// What of its exact time was counted as run at the side of all others.
    fronted: Duration,
}

/// What a running guest does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It goes on.
    GoOn,
    /// It makes room for whoever is ready to run.
    Yield,
    /// It waits until then.
    WaitUntil(Instant),
}

// === impl CpuShare ===

impl CpuShare {
    /// Makes a share of a number of percent of one core.
    pub fn new(percent: u32) -> Self {
        Self { percent: AtomicU32::new(percent), earned: Mutex::default() }
    }

    /// Changes its size; what is owed stays.
    pub fn set_percent(&self, percent: u32) {
        self.percent.store(percent, Ordering::Relaxed);
    }

    /// Charges for a time that a guest has run until now, and returns when that will have been earned.
    fn charge(&self, now: Instant, ran: Duration) -> Instant {
        let percent = self.percent.load(Ordering::Relaxed).max(1);
        let cost = ran.saturating_mul(100) / percent;
        // It earned while it ran, and for a while before.
        let idle = now.checked_sub(ran + CREDIT).unwrap_or(now);
        let mut earned = self.lock();
        let from = earned.whole.map_or(idle, |earned| earned.max(idle));
        let until = (from + cost).min(now + MAX_DEBT);
        earned.whole = Some(until);
        until
    }

    /// Counts what a long guest has run until now at the side of all others, and says whether that was its service's to
    /// take.
    fn takes_front(&self, now: Instant, ran: Duration) -> bool {
        let saved_from = now.checked_sub(FRONT_SAVED).unwrap_or(now);
        let mut earned = self.lock();
        let from = earned.front.map_or(saved_from, |earned| earned.max(saved_from));
        let until = from + ran.saturating_mul(FRONT);
        earned.front = Some(until.min(now + MAX_DEBT));
        until <= now
    }

    /// Says whether the service has taken more of that than it has earned.
    fn owes_front(&self, now: Instant) -> bool {
        self.lock().front.is_some_and(|earned| earned > now)
    }

    fn lock(&self) -> MutexGuard<'_, Earned> {
        self.earned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Meter ===

impl Meter {
    pub(super) fn new() -> Self {
        let (exact, long) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { made: Instant::now(), exact, long, since: AtomicU64::new(0), ran: AtomicU64::new(0) }
    }

    /// Lets it run on this thread for once, and counts that time.
    pub(super) fn count<R>(&self, poll: impl FnOnce() -> R) -> R {
        self.start(self.clock());
        let polled = poll();
        self.stop(self.clock());
        polled
    }

    /// Says whether it runs for long, and not only waits for a core.
    pub(super) fn is_long(&self) -> bool {
        self.long.load(Ordering::Relaxed)
    }

    /// Lets it be one that runs for long.
    pub(super) fn turn_long(&self) {
        self.long.store(true, Ordering::Relaxed);
    }

    /// Runs a future within a counted one without counting its time: it is somebody else's.
    pub(super) async fn leave_out<R>(&self, call: impl Future<Output = R>) -> R {
        let mut call = pin!(call);
        std::future::poll_fn(|context| {
            self.stop(self.clock());
            let polled = call.as_mut().poll(context);
            self.start(self.clock());
            polled
        })
        .await
    }

    /// Begins anew, and exactly.
    fn go_exact(&self) {
        self.exact.store(true, Ordering::Relaxed);
        self.ran.store(0, Ordering::Relaxed);
        self.start(self.clock());
    }

    fn start(&self, clock: u64) {
        self.since.store(clock, Ordering::Relaxed);
    }

    fn stop(&self, clock: u64) {
        let stretch = clock.saturating_sub(self.since.load(Ordering::Relaxed));
        self.ran.fetch_add(stretch, Ordering::Relaxed);
    }

    /// Returns how long the running guest has been on its thread, and how long it has run altogether.
    fn read(&self, clock: u64) -> (Duration, Duration) {
        let stretch = clock.saturating_sub(self.since.load(Ordering::Relaxed));
        let ran = self.ran.load(Ordering::Relaxed).saturating_add(stretch);
        (Duration::from_nanos(stretch), Duration::from_nanos(ran))
    }

    /// Reads the clock that counts. It is that of one thread, but a stretch of running lies on one.
    fn clock(&self) -> u64 {
        if self.exact.load(Ordering::Relaxed) {
            let time = clock_gettime(ClockId::ThreadCPUTime);
            let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
            seconds.unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(nanoseconds.unwrap_or(0))
        } else {
            u64::try_from(self.made.elapsed().as_nanos()).unwrap_or(u64::MAX)
        }
    }
}

// === impl Cpu ===

impl Cpu {
    /// Begins an invocation of a service.
    pub(super) fn new(share: Arc<CpuShare>) -> Self {
        Self { share, meter: Arc::new(Meter::new()), charged: None, fronted: Duration::ZERO }
    }

    /// Returns what its running time is counted with.
    pub(super) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Looks at a running guest, on its thread. The first [`TICK`] of an invocation is free.
    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        let (stretch, ran) = self.meter.read(self.meter.clock());
        self.look(now, stretch, ran)
    }

    fn look(&mut self, now: Instant, stretch: Duration, ran: Duration) -> Turn {
        let was_charged = self.charged.is_some();
        let turn = self.decide(now, stretch, ran);
        let is_exact = self.meter.exact.load(Ordering::Relaxed);
        if is_exact && ran >= JUST_BACK && !self.meter.is_long() {
            let taken = ran.saturating_sub(std::mem::replace(&mut self.fronted, ran));
            if !self.share.takes_front(now, taken) {
                self.meter.turn_long();
            }
        }
        // A service that has had its part of long guests is looked at more closely.
        let is_suspect = !is_exact && ran >= JUST_BACK && self.share.owes_front(now);
        if is_suspect || !was_charged && self.charged.is_some() {
            self.meter.go_exact();
            self.fronted = Duration::ZERO;
        }
        turn
    }

    fn decide(&mut self, now: Instant, stretch: Duration, ran: Duration) -> Turn {
        match self.charged {
            None if ran > TICK => {
                self.charged = Some(Duration::ZERO);
                return Turn::Yield;
            }
            None => {}
            Some(charged) => {
                let earned = self.share.charge(now, ran.saturating_sub(charged));
                self.charged = Some(ran);
                if earned >= now + SHORTEST_WAIT {
                    return Turn::WaitUntil(earned);
                }
            }
        }
        if stretch < JUST_BACK { Turn::GoOn } else { Turn::Yield }
    }
}

#[cfg(test)]
mod tests;
