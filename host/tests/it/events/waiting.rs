//! What operators see of events that wait, and of those that nobody could handle.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{SOON, backlog, letters, listener, metric, said, start, until_heard};
use crate::support::{Backend, TestApp, eventually, send};

/// Columns that everything for a person fits into.
const WIDTH: usize = 80;

async fn events_that_wait_for_a_service_are_seen_with_their_age(backend: Backend) {
    // More attempts than it makes in the time of a test.
    let Some((app, _tables)) = start(backend, &[("fail", "bad")], 100).await else { return };
    said(&app, "k", "bad").await;
    said(&app, "k", "behind").await;
    said(&app, "other", "beside").await;
    until_heard(&app, "beside").await;
    let two_wait = async || backlog(&app, "listener").await["deliveries"]["waiting"] == 2;
    eventually("what is behind waits, too", SOON, two_wait).await;
    let has_aged = async || {
        let deliveries = backlog(&app, "listener").await["deliveries"].clone();
        deliveries["waiting"] == 2 && deliveries["oldest_seconds"].as_u64().is_some_and(|age| age > 0)
    };
    eventually("the oldest becomes older", SOON, has_aged).await;
    let seen = backlog(&app, "listener").await;
    let broker = json!({ "kind": "embedded", "state": "connected", "away_since": null });
    assert_eq!((&seen["broker"], &seen["outbox"]), (&broker, &Value::Null), "it publishes nothing: {seen}");
    assert_eq!((&seen["deliveries"]["more"], &seen["dead_letters"]), (&json!(false), &json!(0)), "{seen}");
    let empty = json!({ "waiting": 0, "more": false, "oldest_seconds": null });
    eventually("the outbox is empty", SOON, async || backlog(&app, "emitter").await["outbox"] == empty).await;
    assert_eq!(backlog(&app, "emitter").await["deliveries"], Value::Null, "it subscribes to nothing");
    assert_told(&app).await;

    let deployed = app.upload("listener", "", listener(&[])).await;
    assert_eq!(deployed.status, 201, "{:?}", deployed.body);
    until_heard(&app, "behind").await;
    let none_wait = async || backlog(&app, "listener").await["deliveries"] == empty;
    eventually("nothing waits any more", SOON, none_wait).await;
    app.stop().await;
}

/// Checks that the list of all services and the command line tell the same.
async fn assert_told(app: &TestApp) {
    let services = send(app.operate("GET", "/v1/services")).await.body;
    let services = services.as_array().expect("a list");
    let found = services.iter().find(|service| service["name"] == "listener").expect("it serves");
    assert_eq!(found["events"]["deliveries"]["waiting"], 2, "{found}");
    let list = status(app, &[]);
    let (_, below) = list.split_once("\n\n").expect("a second table");
    let row = below.lines().find(|line| line.starts_with("listener ")).expect("a row");
    let cells: Vec<&str> = row.split_whitespace().collect();
    // Service, outbox and its oldest, deliveries and the seconds of their oldest, dead letters.
    let [_, "-", "-", "2", _, "s", "0"] = cells[..] else { panic!("other cells: {list}") };
    assert!(list.ends_with("\nbroker      embedded, connected\n"), "{list}");
    let one = status(app, &["listener"]);
    assert!(one.contains("\ndeliveries  2 waiting, the oldest for "), "{one}");
    assert!(one.contains("\noutbox      -\n") && one.contains("\nletters     0 dead\n"), "{one}");
}

/// Runs `provesi status` as an operator does, and returns what it says.
fn status(app: &TestApp, line: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provesi"));
    command.arg("status").args(line).args(["--admin", app.admin(), "--token", app.admin_token()]);
    let output = command.stdin(Stdio::null()).output().expect("the binary can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("a text");
    assert!(output.status.success(), "{line:?}: {}", text(output.stderr));
    let said = text(output.stdout);
    assert!(said.lines().all(|line| line.chars().count() <= WIDTH), "over {WIDTH} columns:\n{said}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_wait_for_a_service_are_seen_with_their_age_on_sqlite() {
    events_that_wait_for_a_service_are_seen_with_their_age(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_wait_for_a_service_are_seen_with_their_age_on_postgres() {
    events_that_wait_for_a_service_are_seen_with_their_age(Backend::Postgres).await;
}

async fn dead_letters_are_counted_until_they_are_discarded(backend: Backend) {
    let Some((app, _tables)) = start(backend, &[("trap", "bad")], 1).await else { return };
    said(&app, "k", "bad").await;
    said(&app, "k", "worse").await;
    until_heard(&app, "worse").await;
    let one = async || backlog(&app, "listener").await["dead_letters"] == 1;
    eventually("the dead letter is counted", SOON, one).await;
    let counted = async |count: f64| metric(&app, "provesi_events_dead_letters", "listener").await == count;
    eventually("it is a metric", SOON, async || counted(1.0).await).await;
    let metrics = reqwest::get(format!("{}/metrics", app.admin())).await.expect("an answer");
    let metrics = metrics.text().await.expect("a text");
    assert!(metrics.contains("\nprovesi_events_broker_up{broker=\"embedded\"} 1\n"), "{metrics}");

    let id = letters(&app, "").await[0]["id"].clone();
    assert_eq!(send(app.operate("DELETE", &format!("/v1/dead-letters/{id}"))).await.status, 204);
    let none = async || backlog(&app, "listener").await["dead_letters"] == 0;
    eventually("it is gone", SOON, none).await;
    eventually("it is gone from the metrics", SOON, async || counted(0.0).await).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_counted_until_they_are_discarded_on_sqlite() {
    dead_letters_are_counted_until_they_are_discarded(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_counted_until_they_are_discarded_on_postgres() {
    dead_letters_are_counted_until_they_are_discarded(Backend::Postgres).await;
}
