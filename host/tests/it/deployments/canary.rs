//! Canaries: their share of the traffic, what stays on one revision, and how a bad one loses its traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};

use super::events::Events;
use super::revisions::notes;
use super::{LABEL, REVISION, columns, look, notes_table, set_traffic};
use crate::support::{Setup, TestApp, send};

/// On a busy machine a good canary may well be slower than what serves beside it.
const NOT_JUDGED_BY_SPEED: &str = "[canary]\nmax-p99-ratio = 1000000.0\n";

/// In which a bad canary is gone after its first bad answers.
const RETURNED: Duration = Duration::from_secs(10);

/// Connections that ask at the same time.
const CONNECTIONS: usize = 8;

async fn start(gateway: &str) -> TestApp {
    let more = notes_table() + NOT_JUDGED_BY_SPEED;
    TestApp::start_as(&Setup { services: &[], gateway, more: &more, ..Setup::default() }).await
}

async fn deploy_canary(app: &TestApp, percent: u8, settings: &[(&str, &str)]) -> Value {
    let answer = app.upload("notes", &format!("?canary={percent}"), notes(settings)).await;
    assert_eq!((answer.status, &answer.body["state"]), (201, &json!("canary")), "{:?}", answer.body);
    answer.body
}

/// Asks again and again over one connection, and counts which revisions answer.
async fn ask(app: &TestApp, requests: usize) -> BTreeMap<String, usize> {
    let connection = reqwest::Client::new();
    let mut seen = BTreeMap::new();
    for _ in 0..requests {
        let answer = send(connection.get(format!("{}{LABEL}", app.base()))).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        *seen.entry(answer.header(REVISION).to_owned()).or_default() += 1;
    }
    seen
}

/// Counts which revisions answer ten thousand requests.
///
/// Even a fair split is off by more than one percent in one of a thousand runs; four times as many requests decide
/// then, of which it never is.
async fn assert_split(app: &TestApp, expected: &[(&str, usize)]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for requests in [10_000, 30_000] {
        for counted in join_all((0..CONNECTIONS).map(|_| ask(app, requests / CONNECTIONS))).await {
            for (revision, count) in counted {
                *seen.entry(revision).or_default() += count;
            }
        }
        let total: usize = seen.values().sum();
        assert_eq!(seen.len(), expected.len(), "{seen:?}");
        let fits = |(revision, percent): &(&str, usize)| {
            let count = seen.get(*revision).copied().unwrap_or_default();
            count.abs_diff(total * percent / 100) <= total / 100
        };
        if expected.iter().all(fits) {
            return;
        }
    }
    panic!("{seen:?}, not {expected:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_gets_its_share_within_one_percent_of_all_requests() {
    let app = start("").await;
    let deployed = deploy_canary(&app, 10, &[("label", "2")]).await;
    assert_eq!((&deployed["revision"], &deployed["replaced"]), (&json!(2), &json!(1)));
    let service = look(&app, "/v1/services/notes").await;
    assert_eq!(columns(&service["traffic"], ["revision", "weight"]), json!([[2, 10], [1, 90]]));
    assert_eq!(service["canary"]["revision"], 2);
    assert_split(&app, &[("notes@1", 90), ("notes@2", 10)]).await;
    assert_eq!(look(&app, "/v1/services/notes").await["canary"]["revision"], 2, "a good canary stays");

    assert_eq!(set_traffic(&app, "notes", &json!({ "2": 100 })).await.status, 200);
    assert_eq!(ask(&app, 100).await, BTreeMap::from([("notes@2".to_owned(), 100)]));
    assert_eq!(look(&app, "/v1/services/notes").await["canary"], Value::Null, "it is no canary any more");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_stick_by_a_header_stay_on_one_revision() {
    let app = start("sticky = \"header:X-Tenant\"").await;
    deploy_canary(&app, 50, &[("label", "2")]).await;
    let mut all = BTreeSet::new();
    for tenant in 0..40 {
        let mut seen = BTreeSet::new();
        for _ in 0..5 {
            let answer = send(app.request("GET", LABEL).header("x-tenant", format!("tenant-{tenant}"))).await;
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            seen.insert(answer.header(REVISION).to_owned());
        }
        assert_eq!(seen.len(), 1, "tenant {tenant}: {seen:?}");
        all.append(&mut seen);
    }
    assert_eq!(all.len(), 2, "both have tenants: {all:?}");
    // Without the header there is nothing to stick to.
    assert_eq!(ask(&app, 100).await.len(), 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_fails_loses_its_traffic_by_itself() {
    let app = start("").await;
    for (number, fault, status) in [(2, "trap", 502), (3, "fail", 500)] {
        let mut events = Events::follow(&app).await;
        deploy_canary(&app, 50, &[("handle", fault)]).await;
        let mut first_bad = None;
        while look(&app, "/v1/services/notes").await["traffic"][0]["revision"] != 1 {
            let answer = app.get(LABEL, "").await;
            let is_bad = answer.header(REVISION) != "notes@1";
            // What its breaker keeps away counts against it, too.
            let is_kept_away = fault == "trap" && answer.status == 503;
            let expected = if is_bad { status } else { 200 };
            assert!(answer.status == expected || is_bad && is_kept_away, "{fault}: {:?}", answer.body);
            if is_bad {
                first_bad.get_or_insert_with(Instant::now);
            }
            assert!(first_bad.is_none_or(|at: Instant| at.elapsed() < RETURNED), "{fault}: it still has traffic");
        }
        assert!(first_bad.is_some(), "{fault}: it went without a bad answer");
        assert_eq!(ask(&app, 50).await, BTreeMap::from([("notes@1".to_owned(), 50)]));
        assert_returned(&app, &mut events, number).await;
        let again = send(app.operate("POST", "/v1/services/notes/rollback")).await;
        assert_eq!(again.status, 409, "a roll back brings no canary again: {:?}", again.body);
    }
    app.stop().await;
}

/// Checks that audit trail, events and revisions say that a canary was taken back, and why.
async fn assert_returned(app: &TestApp, events: &mut Events, number: u32) {
    let service = look(app, "/v1/services/notes").await;
    assert_eq!(columns(&service["traffic"], ["revision", "weight"]), json!([[1, 100]]));
    assert_eq!(service["canary"], Value::Null);
    let audit = look(app, "/v1/audit?service=notes&limit=1").await;
    let seen = columns(&audit, ["action", "outcome", "by", "from"]);
    assert_eq!(seen, json!([["canary-return", "done", "canary watch", "host"]]));
    let reason = audit[0]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("1:100%: ") && reason.contains("requests failed"), "{reason}");
    let told = events.until("canary.returned").await;
    let told = told.last().expect("it was waited for");
    assert_eq!(columns(&json!([told]), ["service", "revision", "by"]), json!([["notes", number, "canary watch"]]));
    let detail = told["detail"].as_str().expect("a reason");
    assert!(reason.ends_with(detail), "{detail:?} is not the end of {reason:?}");
    let revisions = look(app, "/v1/services/notes/revisions").await;
    assert_eq!(columns(&json!([revisions[0]]), ["revision", "state"]), json!([[number, "retired"]]));
}
