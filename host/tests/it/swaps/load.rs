//! Each service is swapped again and again while clients read, write and order: nobody notices.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;

use super::Form;
use super::activations::{Answered, Log};
use super::clients::{Client, Record, Tokens};
use super::operator::Operator;
use super::variants::{component, variant};
use crate::support::soak::say;
use crate::support::{Backend, Process, Usage};

const SERVICES: [&str; 4] = ["auth", "inventory", "orders", "products"];

/// Longest wait for a deploy: it compiles behind everything that serves, and waits for the three others.
const DEPLOY: Duration = Duration::from_secs(120);

/// Time between two deploys of a service, in milliseconds.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 0..=1000;

/// How long requests count as those after a swap.
const AFTER: Duration = Duration::from_secs(1);

/// Longest list of failures that is shown.
const SHOWN: usize = 20;

/// Swaps, under requests of all kinds.
pub(super) async fn run(form: &Form) {
    let process = Process::start_with_own_cache(Backend::Sqlite).await.expect("SQLite needs nothing");
    say(&format!("swaps under load: seed {}", form.seed));
    let mut rng = StdRng::seed_from_u64(form.seed);
    let tokens = Arc::new(Tokens::of(&process).await);
    tokens.fill(&process).await;
    let operator = Operator::of(&process);
    let first = Usage::of(&process);

    let (over, is_over) = watch::channel(false);
    let clients: Vec<Client> = (0..form.pick(16, 64))
        .map(|n| Client::new(n, process.base(), Arc::clone(&tokens), StdRng::seed_from_u64(rng.random())))
        .collect();
    let asking = join_all(clients.into_iter().map(|client| client.ask_until(is_over.clone())));
    let started = Instant::now();
    // What a host is like that nobody changes, to compare with: at the beginning, and with all that was stored since.
    let calm = form.pick(Duration::from_millis(1500), Duration::from_secs(10));
    let swapping = async {
        tokio::time::sleep(calm).await;
        let begun = Instant::now();
        let until = started + form.pick(Duration::from_secs(8), Duration::from_secs(60));
        let swaps = SERVICES.map(|service| {
            let (least, rng) = (form.pick(2, 20), StdRng::seed_from_u64(rng.random()));
            swap_again_and_again(&operator, service, started..until, least, rng)
        });
        let logs = join_all(swaps).await;
        let ended = Instant::now();
        tokio::time::sleep(AFTER + calm).await;
        over.send_replace(true);
        (begun..ended, logs)
    };
    let (records, (swapped, logs)) = tokio::join!(asking, swapping);
    report(form, &records, &logs, &swapped, first, Usage::of(&process));
    check(&records, &logs);
}

/// Deploys one variant after the other, for a time and at least a number of times.
async fn swap_again_and_again(
    operator: &Operator,
    service: &'static str,
    time: Range<Instant>,
    least: usize,
    mut rng: StdRng,
) -> Log {
    let original = component(service);
    let mut log = Log::new(service, operator.live(service).await, time.start);
    while Instant::now() < time.end || log.swaps() < least {
        let next = variant(&original, format!("{service}, {}", log.swaps()));
        let sent = Instant::now();
        let revision = operator.deploy(&format!("{service}/revisions"), next, DEPLOY).await;
        log.activated(revision, sent, Instant::now());
        tokio::time::sleep(Duration::from_millis(rng.random_range(PAUSE_MS))).await;
    }
    log
}

/// Checks that no request failed, and that who answered was live.
fn check(records: &[Record], logs: &[Log]) {
    let failed: usize = records.iter().map(|record| record.failed).sum();
    let shown: Vec<&String> = records.iter().flat_map(|record| &record.failures).take(SHOWN).collect();
    assert_eq!(failed, 0, "requests failed, among them {shown:#?}");
    for answered in answers(records) {
        let fits = logs.iter().find_map(|log| log.fits(answered));
        assert_eq!(fits, Some(true), "{} answered and was not live", answered.revision);
    }
    for log in logs {
        let service = log.service();
        let is_asked = answers(records).any(|answered| answered.revision.starts_with(service));
        assert!(is_asked, "nobody has asked {service}");
    }
}

fn report(form: &Form, records: &[Record], logs: &[Log], swapped: &Range<Instant>, first: Usage, last: Usage) {
    let mut swaps: Vec<Instant> = logs.iter().flat_map(Log::instants).collect();
    swaps.sort_unstable();
    let follows_a_swap = |answered: &&Answered| {
        let next = swaps.partition_point(|swap| *swap <= answered.sent);
        next.checked_sub(1).is_some_and(|last| answered.sent - swaps[last] <= AFTER)
    };
    let ratio = |name: &str, counts: &dyn Fn(&&Answered) -> bool| {
        let counted = || answers(records).filter(counts);
        let is_before = |answered: &&Answered| answered.received < swapped.start;
        let is_behind = |answered: &&Answered| answered.sent > swapped.end + AFTER;
        let steady = p99(counted().filter(|answered| is_before(answered) || is_behind(answered)));
        let (before, behind) = (p99(counted().filter(is_before)), p99(counted().filter(is_behind)));
        let after = p99(counted().filter(follows_a_swap));
        let ratio = after / steady;
        format!(
            "{name} {steady:.1} ms ({before:.1} before all, {behind:.1} behind) and {after:.1} ms (ratio {ratio:.2})"
        )
    };
    let p99s = [
        ratio("all", &|_| true),
        ratio("what reads", &|answered| !answered.changes),
        ratio("what changes", &|answered| answered.changes),
    ];
    let each: Vec<String> = logs.iter().map(|log| format!("{} {}", log.service(), log.swaps())).collect();
    say(&format!(
        "swaps under load: {} requests, {} swaps ({}); p99 steady and in the second after a swap: {}; RSS {} MiB at \
         the start and {} MiB at the end, seed {}",
        answers(records).count() + records.iter().map(|record| record.failed).sum::<usize>(),
        swaps.len(),
        each.join(", "),
        p99s.join(", "),
        first.rss_mib(),
        last.rss_mib(),
        form.seed
    ));
}

fn answers(records: &[Record]) -> impl Iterator<Item = &Answered> {
    records.iter().flat_map(|record| &record.answered)
}

/// Returns the milliseconds that 99 of 100 requests stayed below.
fn p99<'a>(answered: impl Iterator<Item = &'a Answered>) -> f64 {
    let mut all: Vec<Duration> = answered.map(|answered| answered.received - answered.sent).collect();
    all.sort_unstable();
    all.get(all.len() * 99 / 100).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
}
