//! The state machine, step by step and over every short interleaving; time is what the tests say it is.

use std::collections::VecDeque;

use super::*;

const RULES: BreakerConfig = BreakerConfig {
    enabled: true,
    consecutive: 3,
    share: 50,
    calls: 8,
    window: Duration::from_secs(10),
    open_for: Duration::from_secs(1),
};

/// The shortest and the longest time that jitter makes of a second, and a bit.
const TOO_SOON: Duration = Duration::from_millis(799);
const LATE_ENOUGH: Duration = Duration::from_millis(1201);

fn closed(rules: BreakerConfig) -> (Breaker, Instant) {
    let now = Instant::now();
    (Breaker::new(rules, now), now)
}

fn enter(breaker: &Breaker, now: Instant) -> Pass<'_> {
    breaker.enter(now).expect("it lets calls in").0
}

fn fail(breaker: &Breaker, now: Instant) -> Option<Change> {
    enter(breaker, now).fail(now)
}

fn succeed(breaker: &Breaker, now: Instant) -> Option<Change> {
    enter(breaker, now).succeed(now)
}

/// Opens a breaker by a row of faults.
fn opened() -> (Breaker, Instant) {
    let (breaker, now) = closed(RULES);
    assert_eq!([fail(&breaker, now), fail(&breaker, now)], [None, None]);
    assert_eq!(fail(&breaker, now), Some(Change::OpenedByRow(3)));
    (breaker, now)
}

#[test]
fn a_row_of_faults_opens_it_and_a_good_call_begins_a_new_row() {
    let (breaker, now) = closed(RULES);
    for _ in 0..2 {
        assert_eq!(fail(&breaker, now), None);
        assert_eq!(fail(&breaker, now), None);
        assert_eq!(succeed(&breaker, now), None);
    }
    assert_eq!(breaker.phase(now), Phase::Closed);
    let (breaker, now) = opened();
    assert_eq!(breaker.phase(now), Phase::Open);
    assert!(breaker.enter(now).is_err() && breaker.refuses(now).is_some());
}

#[test]
fn a_share_of_faults_opens_it_once_there_are_enough_calls_in_the_window() {
    let (breaker, now) = closed(RULES);
    for n in 0..6 {
        let change = if n % 2 == 0 { succeed(&breaker, now) } else { fail(&breaker, now) };
        assert_eq!(change, None, "call {n}");
    }
    assert_eq!(succeed(&breaker, now), None);
    assert_eq!(fail(&breaker, now), Some(Change::OpenedByShare { faults: 4, calls: 8 }));

    let (breaker, now) = closed(RULES);
    for n in 0..100 {
        // Every third one is less than half of them.
        let change = if n % 3 == 0 { fail(&breaker, now) } else { succeed(&breaker, now) };
        assert_eq!(change, None, "call {n}");
    }

    let (breaker, now) = closed(RULES);
    for n in 0..40 {
        // Half of them, but never eight within ten seconds.
        let at = now + Duration::from_secs(2 * n);
        let change = if n % 2 == 0 { fail(&breaker, at) } else { succeed(&breaker, at) };
        assert_eq!(change, None, "call {n}");
    }
}

#[test]
fn an_open_one_lets_one_probe_in_when_its_time_has_passed() {
    let (breaker, now) = opened();
    let wait = breaker.enter(now + TOO_SOON).map(drop).expect_err("it is open");
    assert!(wait <= LATE_ENOUGH - TOO_SOON, "{wait:?}");
    let later = now + LATE_ENOUGH;
    assert_eq!(breaker.phase(later), Phase::HalfOpen);
    assert_eq!(breaker.refuses(later), None);
    let (probe, change) = breaker.enter(later).expect("a probe may try");
    assert_eq!(change, Some(Change::HalfOpened));
    assert_eq!(breaker.enter(later).map(drop).expect_err("one is enough"), RULES.open_for);
    assert_eq!(probe.succeed(later), Some(Change::Closed));
    assert_eq!(breaker.phase(later), Phase::Closed);
    // What opened it is forgotten.
    assert_eq!([fail(&breaker, later), fail(&breaker, later)], [None, None]);
    assert_eq!(fail(&breaker, later), Some(Change::OpenedByRow(3)));
}

#[test]
fn each_failed_probe_doubles_the_time_up_to_a_bound() {
    let (breaker, mut now) = opened();
    for seconds in [1, 2, 4, 8, 16, 30, 30, 30] {
        let delay = Duration::from_secs(seconds);
        assert!(breaker.enter(now + delay.mul_f64(0.79)).is_err(), "after {seconds} s");
        now += delay.mul_f64(1.21);
        assert_eq!(fail(&breaker, now), Some(Change::OpenedByProbe), "after {seconds} s");
    }
    now += OPEN_AT_MOST.mul_f64(1.21);
    assert_eq!(succeed(&breaker, now), Some(Change::Closed));
    for _ in 0..3 {
        let _ = fail(&breaker, now);
    }
    assert!(breaker.enter(now + LATE_ENOUGH).is_ok(), "the first time is short again");
}

#[test]
fn a_probe_that_is_dropped_leaves_its_place() {
    let (breaker, now) = opened();
    let later = now + LATE_ENOUGH;
    for _ in 0..3 {
        drop(enter(&breaker, later));
        assert_eq!(breaker.phase(later), Phase::HalfOpen);
    }
    let _probe = enter(&breaker, later);
    assert!(breaker.enter(later).is_err());
}

#[test]
fn a_call_that_was_let_in_before_a_change_says_nothing_after_it() {
    let (breaker, now) = closed(RULES);
    let early: Vec<Pass<'_>> = (0..20).map(|_| enter(&breaker, now)).collect();
    let mut early = early.into_iter();
    let mut next = || early.next().expect("there are twenty");
    assert_eq!([next().fail(now), next().fail(now)], [None, None]);
    assert_eq!(next().fail(now), Some(Change::OpenedByRow(3)));
    assert_eq!([next().fail(now), next().succeed(now)], [None, None], "it is open");
    let later = now + LATE_ENOUGH;
    let probe = enter(&breaker, later);
    assert_eq!([next().fail(later), next().succeed(later)], [None, None], "it is half-open");
    drop(next());
    assert!(breaker.enter(later).is_err(), "the place of the probe is still taken");
    assert_eq!(probe.succeed(later), Some(Change::Closed));
    for pass in early {
        assert_eq!(pass.fail(later), None);
    }
    assert_eq!(breaker.phase(later), Phase::Closed);
}

#[test]
fn one_that_is_switched_off_never_opens() {
    let (breaker, now) = closed(BreakerConfig { enabled: false, ..RULES });
    assert!((0..100).all(|_| fail(&breaker, now).is_none()));
    assert_eq!(breaker.phase(now), Phase::Closed);
}

/// What can happen to a breaker.
#[derive(Clone, Copy, Debug)]
enum Step {
    Enter,
    Succeed,
    Fail,
    Drop,
    Wait,
}

const STEPS: [Step; 5] = [Step::Enter, Step::Succeed, Step::Fail, Step::Drop, Step::Wait];

/// Plays steps, and checks after each what always holds.
fn play(steps: &[Step]) {
    let (breaker, mut now) = closed(BreakerConfig { consecutive: 2, ..RULES });
    let mut inside: VecDeque<Pass<'_>> = VecDeque::new();
    for (n, step) in steps.iter().enumerate() {
        let before = phase(breaker.state.load(Ordering::Acquire));
        let change = match step {
            Step::Enter => match breaker.enter(now) {
                Ok((pass, change)) => {
                    inside.push_back(pass);
                    change
                }
                Err(wait) => {
                    assert!(before != Phase::Closed && !wait.is_zero(), "{n} of {steps:?}");
                    None
                }
            },
            Step::Succeed => inside.pop_front().and_then(|pass| pass.succeed(now)),
            Step::Fail => inside.pop_front().and_then(|pass| pass.fail(now)),
            Step::Drop => {
                drop(inside.pop_front());
                None
            }
            Step::Wait => {
                now += OPEN_AT_MOST.mul_f64(1.21);
                None
            }
        };
        let after = phase(breaker.state.load(Ordering::Acquire));
        let allowed = match change {
            None => before == after,
            Some(Change::OpenedByRow(row)) => (row, before, after) == (2, Phase::Closed, Phase::Open),
            Some(Change::OpenedByShare { .. }) => false,
            Some(Change::OpenedByProbe) => (before, after) == (Phase::HalfOpen, Phase::Open),
            Some(Change::HalfOpened) => (before, after) == (Phase::Open, Phase::HalfOpen),
            Some(Change::Closed) => (before, after) == (Phase::HalfOpen, Phase::Closed),
        };
        assert!(allowed, "{change:?} from {before:?} to {after:?} at {n} of {steps:?}");
        let state = breaker.state.load(Ordering::Acquire);
        let probes = inside.iter().filter(|pass| pass.state == state && after == Phase::HalfOpen).count();
        assert_eq!(probes, usize::from(breaker.lock().is_probing), "at {n} of {steps:?}");
    }
    // Whatever has happened, it lets a call in once nobody is inside and time has passed.
    inside.clear();
    now += OPEN_AT_MOST.mul_f64(1.21);
    let closed = succeed(&breaker, now);
    assert!(closed.is_none_or(|change| change == Change::Closed) && breaker.phase(now) == Phase::Closed, "{steps:?}");
}

#[test]
fn every_interleaving_of_eight_steps_keeps_the_rules() {
    for mut number in 0..STEPS.len().pow(8) {
        let mut steps = [Step::Enter; 8];
        for step in &mut steps {
            *step = STEPS[number % STEPS.len()];
            number /= STEPS.len();
        }
        play(&steps);
    }
}

#[test]
fn at_most_one_of_many_threads_is_the_probe() {
    let (breaker, now) = opened();
    let later = now + LATE_ENOUGH;
    for _ in 0..200 {
        let passes: Vec<Option<Pass<'_>>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| breaker.enter(later).ok().map(|(pass, _)| pass))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(passes.iter().flatten().count(), 1);
    }
}
