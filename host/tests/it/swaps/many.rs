//! Thousands of swaps, after which a host holds no more than before.

use std::time::Duration;

use futures::future::join_all;

use super::Form;
use super::connection::{Ask, Connection};
use super::operator::Operator;
use super::variants::{component, variant};
use crate::support::soak::say;
use crate::support::{Backend, Process, Usage, send};

/// Longest wait for a deploy.
const DEPLOY: Duration = Duration::from_secs(60);

/// One swap in so many is a deploy.
const FRESH: u64 = 50;

/// Instances that the tests' hosts have room for: `runtime.max-instances`, and eight that no request gets.
const SLOTS: u64 = 72;

/// Connections that open all that a host opens by and by: more than any of its pools has.
const BURST: usize = 16;

/// Requests on each of them.
const EACH: usize = 8;

/// Descriptors and threads that may come and go by chance: a connection of ours, a thread that reads a file.
const CHANCE: u64 = 2;

/// What SQLite may still come to hold: its page cache is 2 MiB a connection, and of the registry's four only those
/// are full that have carried components; nothing says which one is taken next.
const PAGE_CACHES_KIB: u64 = 4 * 2048;

/// Pieces of code that may be alive: each service's live revision, and the one before of the service that moves.
const MOST_CODES: u64 = 5;

/// Swaps between two revisions, with a fresh one now and then.
pub(super) async fn run(form: &Form) {
    let process = Process::start_with_own_cache(Backend::Sqlite).await.expect("SQLite needs nothing");
    let operator = Operator::of(&process);
    let original = component("products");
    let fresh = async |tag: String| operator.deploy("products/revisions", variant(&original, &tag), DEPLOY).await;

    let first_revision = operator.live("products").await;
    let later = variant(&original, "the other one");
    let pair = [first_revision, operator.deploy("products/revisions?activate=false", later, DEPLOY).await];
    // A new component takes a slot that no other had as long as there is one, and what instances touched stays in
    // it: memory is only level once every slot had its turn.
    for n in 0..form.pick(0, SLOTS) {
        serves(&process, fresh(format!("slot {n}")).await).await;
    }
    open_everything(&process, &operator).await;

    let (swaps, early) = form.pick((60, 10), (5000, 100));
    let mut looks = Vec::new();
    for n in 1..=swaps {
        let revision = if n % FRESH == 0 {
            fresh(format!("swap {n}")).await
        } else {
            let [even, odd] = pair;
            let revision = if n % 2 == 0 { even } else { odd };
            operator.turn("products", revision).await;
            revision
        };
        serves(&process, revision).await;
        if n == early || n == swaps {
            looks.push(Usage::at_rest(&process).await);
        }
    }
    let [before, after] = looks[..] else { panic!("two looks, not {looks:?}") };
    say(&format!("many swaps: after {early} {before:?}, after {swaps} {after:?}"));
    check(form, before, after);
}

fn check(form: &Form, before: Usage, after: Usage) {
    for look in [before, after] {
        assert!((4..=MOST_CODES).contains(&look.codes), "at most two revisions of a service are alive: {look:?}");
    }
    // Fewer is no leak: threads of the start end after some idle seconds.
    assert!(after.threads <= before.threads + CHANCE, "threads pile up: {before:?}, {after:?}");
    assert!(after.descriptors <= before.descriptors + CHANCE, "descriptors pile up: {before:?}, {after:?}");
    if form.is_full {
        let most = before.rss_kib * 105 / 100 + PAGE_CACHES_KIB;
        assert!(after.rss_kib <= most, "memory piles up: {before:?}, {after:?}");
    }
}

/// Checks that a swap has its effect at once.
async fn serves(process: &Process, revision: u64) {
    let answer = send(process.request("GET", "/api/products/1/")).await;
    let seen = (answer.status, answer.header("x-provesi-revision"));
    assert_eq!(seen, (200, format!("products@{revision}").as_str()), "{:?}", answer.body);
}

/// Opens what a host opens when many ask at once, so that nothing of it is taken for a leak later.
async fn open_everything(process: &Process, operator: &Operator) {
    let public = process.base().strip_prefix("http://").expect("plain HTTP");
    let (admin, token) = operator.door();
    let ask = |path: &str, token: &str| Ask {
        method: "GET",
        path: path.to_owned(),
        token: token.to_owned(),
        ..Ask::default()
    };
    let (products, revisions) = (ask("/api/products/", ""), ask("/v1/services/products/revisions", token));
    let all = (0..BURST).flat_map(|_| [(public, &products), (admin, &revisions)]);
    join_all(all.map(|(host, ask)| async move {
        let mut connection = Connection::open(host).await.expect("the host listens");
        for _ in 0..EACH {
            let reply = connection.ask(ask).await.expect("an answer");
            assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        }
    }))
    .await;
}
