//! Two services that import each other: they start, answer, are swapped one by one, and cannot call without end.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;

use super::revisions::{read, set, variant};
use super::{REVISION, add_tables, answering, assert_refused, columns, look};
use crate::support::{Setup, TestApp, fixture, send, service};

/// Depth to which typed calls nest, as `runtime.call-depth` is by default.
const DEPTH: usize = 8;

/// Requests at once: four times those that may run in all services together.
const FLOOD: usize = 128;

async fn start() -> TestApp {
    start_with("").await
}

/// The same with further keys of both services' tables.
async fn start_with(keys: &str) -> TestApp {
    let more = service("ping", &fixture("ping"), "\"fixture:pong/rally\"")
        + keys
        + &service("pong", &fixture("pong"), "\"fixture:ping/rally\"")
        + keys
        + "[canary]\nmax-p99-ratio = 1000000.0\n";
    TestApp::start_as(&Setup { services: &[], more: &more, ..Setup::default() }).await
}

/// Serves a ball from ping and returns the labels of who hit it: ping's own first.
async fn rally(app: &TestApp, hits: usize) -> Vec<String> {
    let answer = app.get(&format!("/api/ping/{hits}/"), "").await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let labels: Vec<String> = serde_json::from_value(answer.body.clone()).expect("labels");
    assert_eq!(labels.len(), hits + 1, "{labels:?}");
    assert_eq!(answer.header(REVISION), format!("ping@{}", labels[0]));
    labels
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circle_of_imports_answers_and_an_endless_one_is_cut_off() {
    let app = start().await;
    for hits in [0, 1, 2, DEPTH] {
        rally(&app, hits).await;
    }
    let invalid = json!({ "error": "El servicio respondió de forma inválida" });
    for path in [format!("/api/ping/{}/", DEPTH + 1), "/api/ping/4000000000/".to_owned(), "/api/pong/9999/".to_owned()]
    {
        let answer = app.get(&path, "").await;
        assert_eq!((answer.status, &answer.body), (502, &invalid), "{path}");
        rally(&app, DEPTH).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circle_answers_while_every_request_that_may_run_does() {
    // One at once in each service, and as many as all services together may have.
    for limits in ["concurrency = 1", "concurrency = 256"] {
        // Nothing else ends late on a busy machine, and who waits for itself does.
        let app = start_with(&format!("limits = {{ {limits}, queue = 1024, deadline = \"20s\" }}\n")).await;
        // Once across, back again, and as deep as it goes, from both sides.
        for paths in [1, 2, DEPTH].map(|hits| ["ping", "pong"].map(|side| format!("/api/{side}/{hits}/"))) {
            let asks = (0..FLOOD).map(|n| app.get(&paths[n % 2], ""));
            for answer in join_all(asks).await {
                assert_eq!(answer.status, 200, "{limits}, {paths:?}: {:?}", answer.body);
            }
        }
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_services_of_a_circle_are_swapped_one_by_one_and_neither_can_go() {
    let app = start().await;
    for name in ["ping", "pong"] {
        let deployed = app.upload(name, "", set(&read(&fixture(name)), &[("label", "2")])).await;
        assert_eq!(deployed.status, 201, "{:?}", deployed.body);
    }
    assert_eq!(rally(&app, 3).await, ["2", "2", "2", "2"]);
    for (name, other) in [("ping", "pong"), ("pong", "ping")] {
        let removed = send(app.operate("DELETE", &format!("/v1/services/{name}"))).await;
        assert_eq!(assert_refused(&removed, 409, "still-imported"), format!("{other} imports what it exports"));
    }
    assert_eq!(answering(&app, "/api/pong/3/").await, "pong@2");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_half_of_a_circle_cannot_be_the_first() {
    let more = service("ping", &fixture("ping"), "\"fixture:pong/rally\"");
    let app = TestApp::start_as(&Setup { services: &["products"], ..Setup::default() }).await;
    add_tables(&app, &more);
    let alone = app.upload("ping", "", variant(&read(&fixture("ping")), 1)).await;
    assert_refused(&alone, 409, "contract-breach");
    let breaches = columns(&alone.body["breaches"], ["consumer", "exporter", "interface"]);
    assert_eq!(breaches, json!([["ping@1", null, "fixture:pong/rally@0.1.0"]]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_never_meets_two_revisions_of_one_service() {
    let app = start().await;
    for name in ["ping", "pong"] {
        let bytes = set(&read(&fixture(name)), &[("label", "2")]);
        let deployed = app.upload(name, "?canary=50", bytes).await;
        assert_eq!((deployed.status, &deployed.body["state"]), (201, &json!("canary")), "{:?}", deployed.body);
    }
    let mut combinations = BTreeSet::new();
    for _ in 0..200 {
        let labels = rally(&app, DEPTH).await;
        let of = |side: usize| labels.iter().skip(side).step_by(2).cloned().collect::<BTreeSet<String>>();
        let (ping, pong) = (of(0), of(1));
        assert_eq!((ping.len(), pong.len()), (1, 1), "{labels:?}");
        combinations.insert((ping, pong));
    }
    assert_eq!(combinations.len(), 4, "the choice for one service is not that for the other: {combinations:?}");
    for name in ["ping", "pong"] {
        let service = look(&app, &format!("/v1/services/{name}")).await;
        assert_eq!(columns(&service["traffic"], ["revision", "weight"]), json!([[2, 50], [1, 50]]));
    }
    app.stop().await;
}
