//! An event that a subscriber cannot handle: the others go on, and an operator decides about it.

use std::process::{Command, Stdio};

use serde_json::json;

use super::{SOON, heard, letters, listener, metric, said, start, texts, until_heard};
use crate::support::{Backend, TestApp, eventually, send};

async fn an_event_that_traps_is_buried_and_replayed(backend: Backend) {
    let Some((app, _tables)) = start(backend, &[("trap", "bad")], 2).await else { return };
    said(&app, "broken", "bad").await;
    said(&app, "broken", "behind").await;
    said(&app, "whole", "beside").await;
    until_heard(&app, "beside").await;
    until_heard(&app, "behind").await;
    let listed = letters(&app, "?service=listener").await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    let letter = &listed[0];
    assert_eq!(
        (&letter["topic"], &letter["key"], &letter["attempts"]),
        (&json!("emitter.said"), &json!("broken"), &json!(2))
    );
    assert!(letter["reason"].as_str().is_some_and(|reason| reason.contains("trapped")), "{letter}");
    assert!(letter.get("payload").is_none(), "{letter}");
    assert!(letters(&app, "?service=emitter").await.is_empty());
    let path = format!("/v1/dead-letters/{}", letter["id"]);
    let shown = send(app.operate("GET", &path)).await;
    assert_eq!(shown.body["payload"], json!({ "key": "broken", "n": 1, "text": "bad" }));
    assert_eq!(metric(&app, "provesi_events_dead_total", "listener").await, 1.0);

    let deployed = app.upload("listener", "", listener(&[])).await;
    assert_eq!(deployed.status, 201, "{:?}", deployed.body);
    let replayed = send(app.operate("POST", &format!("{path}/replay"))).await;
    assert_eq!((replayed.status, &replayed.body["id"]), (200, &letter["id"]), "{:?}", replayed.body);
    let all = until_heard(&app, "bad").await;
    assert_eq!(all.iter().filter(|heard| heard.text == "bad").count(), 1, "{all:?}");
    assert!(letters(&app, "").await.is_empty());
    let audit = send(app.operate("GET", "/v1/audit?service=listener&limit=1")).await.body;
    assert_eq!((&audit[0]["action"], &audit[0]["outcome"]), (&json!("replay"), &json!("done")), "{audit}");
    for (method, path) in [("GET", path.clone()), ("POST", format!("{path}/replay")), ("DELETE", path)] {
        let gone = send(app.operate(method, &path)).await;
        assert_eq!(
            (gone.status, &gone.body["type"]),
            (404, &json!("urn:provesi:problem:unknown-dead-letter")),
            "{path}"
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_traps_is_buried_and_replayed_on_sqlite() {
    an_event_that_traps_is_buried_and_replayed(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_traps_is_buried_and_replayed_on_postgres() {
    an_event_that_traps_is_buried_and_replayed(Backend::Postgres).await;
}

/// Runs the program as an operator does and returns what it says; it must do what it is asked to.
fn operate(app: &TestApp, line: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provesi"));
    command.arg("events").args(line).args(["--by", "ana", "--admin", app.admin(), "--token", app.admin_token()]);
    let output = command.stdin(Stdio::null()).output().expect("the binary can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("a text");
    assert!(output.status.success(), "{line:?}: {}", text(output.stderr));
    text(output.stdout)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_lists_shows_and_discards_on_the_command_line() {
    let (app, _tables) = start(Backend::Sqlite, &[("fail", "bad")], 1).await.expect("SQLite needs nothing");
    assert_eq!(operate(&app, &["list"]), "no dead letters\n");
    said(&app, "k", "bad").await;
    said(&app, "k", "good").await;
    until_heard(&app, "good").await;
    let list = operate(&app, &["list", "listener"]);
    assert!(list.contains("emitter.said") && list.contains("on purpose"), "{list}");
    let id = letters(&app, "").await[0]["id"].to_string();
    let shown = operate(&app, &["show", &id]);
    assert!(shown.contains(r#""text": "bad""#), "{shown}");
    let replayed = operate(&app, &["replay", &id]);
    assert!(replayed.contains("goes to listener again"), "{replayed}");
    // It fails again, and is another letter.
    eventually("it is buried again", SOON, async || !letters(&app, "").await.is_empty()).await;
    let id = letters(&app, "").await[0]["id"].to_string();
    assert_eq!(operate(&app, &["discard", &id]), format!("dead letter {id} is discarded\n"));
    assert!(letters(&app, "").await.is_empty());
    let audit = send(app.operate("GET", "/v1/audit?service=listener&limit=2")).await.body;
    let told = |at: usize| (audit[at]["action"].as_str(), audit[at]["by"].as_str());
    assert_eq!((told(0), told(1)), ((Some("discard"), Some("ana")), (Some("replay"), Some("ana"))), "{audit}");
    assert_eq!(texts(&heard(&app).await), ["good"]);
    app.stop().await;
}
