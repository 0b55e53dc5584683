//! Shares, meters and turns, by clocks that the tests set.

use super::*;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Lets a guest run and wait in turn, and returns how long it has run within a time.
fn runs_within(share: &CpuShare, start: Instant, whole: Duration) -> Duration {
    let (mut now, mut ran) = (start, Duration::ZERO);
    while now < start + whole {
        now += TICK;
        ran += TICK;
        now = now.max(share.charge(now, TICK));
    }
    ran
}

#[test]
fn an_endless_loop_gets_the_share_of_its_service_and_no_more() {
    for percent in [1, 10, 50, 100] {
        let share = CpuShare::new(percent);
        let ran = runs_within(&share, Instant::now(), Duration::from_secs(10));
        let fair = ms(100) * percent;
        assert!(ran >= fair && ran <= fair + CREDIT + TICK, "{percent} %: {ran:?} of {fair:?}");
    }
}

#[test]
fn guests_of_one_service_share_what_it_has() {
    let (share, start) = (CpuShare::new(50), Instant::now());
    // Two loops on two threads, both looked at after each tick that they run.
    let mut next = [start; 2];
    let mut ran = Duration::ZERO;
    while next.iter().any(|at| *at < start + ms(1000)) {
        let turn = usize::from(next[1] < next[0]);
        let now = next[turn] + TICK;
        ran += TICK;
        next[turn] = now.max(share.charge(now, TICK));
    }
    assert!(ran >= ms(490) && ran <= ms(500) + CREDIT + 2 * TICK, "{ran:?} of half a second");
}

#[test]
fn more_than_a_core_holds_one_loop_up_never() {
    let (share, start) = (CpuShare::new(200), Instant::now());
    let mut now = start;
    for _ in 0..1000 {
        now += TICK;
        assert!(share.charge(now, TICK) <= now);
    }
}

#[test]
fn a_long_request_in_an_idle_service_is_not_held_up() {
    let (share, start) = (CpuShare::new(50), Instant::now());
    let now = start + ms(10);
    assert!(share.charge(now, ms(10)) <= now, "ten milliseconds are credited");
    let now = now + ms(2);
    assert!(share.charge(now, ms(2)) > now, "they are used up");
    let later = now + ms(1000);
    assert!(share.charge(later, ms(10)) <= later, "and earned again");
}

#[test]
fn who_rarely_computes_for_long_stays_in_front_and_who_always_does_not() {
    let (share, start) = (CpuShare::new(100), Instant::now() + FRONT_SAVED);
    let looks =
        |from: Instant, count: u32| (1..=count).filter(|look| share.takes_front(from + TICK * *look, TICK)).count();
    let saved = looks(start, 100);
    assert!((12..=14).contains(&saved), "25 ms were saved up: {saved} looks");
    let spent = start + ms(200);
    assert!(share.owes_front(spent));
    assert_eq!(looks(spent, 500), 0, "who goes on owes");
    let paid = spent + ms(1000) + MAX_DEBT + TICK;
    assert!(!share.owes_front(paid), "what is owed is bounded, and paid");
    assert_eq!(looks(paid + 2 * FRONT_SAVED, 12), 12, "and saved up again");
}

#[test]
fn the_guests_of_a_service_that_owes_turn_long_by_the_clock_of_their_thread() {
    let (share, now) = (Arc::new(CpuShare::new(100)), Instant::now() + FRONT_SAVED);
    // What each look finds that it has run; from when it is counted exactly on, that begins anew.
    let turns = |looks: &[Duration]| {
        let mut cpu = Cpu::new(Arc::clone(&share));
        for ran in looks {
            cpu.look(now, *ran, *ran);
        }
        cpu.meter.is_long()
    };
    assert!(!turns(&[JUST_BACK, JUST_BACK, 2 * TICK, TICK]), "it owes nothing");
    share.takes_front(now, ms(100));
    assert!(!turns(&[JUST_BACK]), "it may have waited for a core");
    assert!(turns(&[JUST_BACK, JUST_BACK]), "it has run, by the clock of its thread");
    assert!(!turns(&[JUST_BACK / 2, JUST_BACK / 2]), "a short one is left alone");
    assert!(!turns(&[2 * TICK, JUST_BACK / 2]), "so is one that was kept waiting for a core");
}

#[test]
fn a_flood_leaves_no_more_than_the_greatest_debt_behind() {
    let (share, now) = (CpuShare::new(1), Instant::now() + ms(100));
    for _ in 0..10_000 {
        share.charge(now, ms(2));
    }
    assert_eq!(share.charge(now, ms(2)), now + MAX_DEBT);
    share.set_percent(100);
    let later = now + MAX_DEBT + ms(1000);
    assert!(share.charge(later, ms(2)) <= later, "it is paid");
}

#[test]
fn the_first_tick_is_free_and_what_follows_is_paid() {
    let (mut cpu, now) = (Cpu::new(Arc::new(CpuShare::new(1))), Instant::now());
    let mut decide = |ran_us, at: Instant| {
        let ran = Duration::from_micros(ran_us);
        cpu.decide(at, ran, ran)
    };
    assert_eq!(decide(10, now), Turn::GoOn);
    assert_eq!(decide(1000, now), Turn::Yield);
    assert_eq!(decide(2000, now), Turn::Yield);
    assert_eq!(decide(2001, now), Turn::Yield, "from now on it is counted exactly, and paid for");
    // A millisecond costs a hundred; it was earned for that long, and for the credit.
    assert_eq!(decide(1000, now), Turn::WaitUntil(now + ms(100) - ms(1) - CREDIT));
    assert_eq!(decide(2000, now), Turn::WaitUntil(now + ms(200) - ms(1) - CREDIT), "each is charged for once");
}

#[test]
fn a_guest_that_is_back_from_a_wait_goes_on() {
    let (mut cpu, now) = (Cpu::new(Arc::new(CpuShare::new(100))), Instant::now());
    assert_eq!(cpu.decide(now, Duration::from_micros(20), ms(1)), Turn::GoOn);
    assert_eq!(cpu.decide(now, ms(1), ms(3)), Turn::Yield);
    assert_eq!(cpu.decide(now, Duration::from_micros(20), ms(4)), Turn::GoOn, "its service can pay");
}

#[test]
fn waiting_costs_nothing() {
    let meter = Meter::new();
    let clock = |ms: u64| ms * 1_000_000;
    for round in 0..100_u32 {
        let at = 50 * u64::from(round);
        meter.start(clock(at));
        assert_eq!(meter.read(clock(at + 1)), (ms(1), ms(1) + ms(1) * round));
        meter.stop(clock(at + 1));
    }
}

#[tokio::test]
async fn what_is_left_out_belongs_to_somebody_else() {
    let busy = || {
        let until = Instant::now() + ms(20);
        while Instant::now() < until {}
    };
    for exact in [false, true] {
        let (outer, inner) = (Meter::new(), Meter::new());
        if exact {
            outer.go_exact();
            inner.go_exact();
        }
        {
            let mut call = pin!(outer.leave_out(async { inner.count(busy) }));
            std::future::poll_fn(|context| outer.count(|| call.as_mut().poll(context))).await;
        }
        let [outer, inner] = [outer, inner].map(|meter| Duration::from_nanos(meter.ran.load(Ordering::Relaxed)));
        assert!(inner > Duration::ZERO && outer < inner, "{outer:?} and {inner:?}");
        assert!(exact || inner >= ms(20), "{inner:?}");
    }
}
