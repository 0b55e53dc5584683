//! The pointer of a service: split, moved and rolled back, with what every view says of it.

use serde_json::{Value, json};

use super::revisions::notes;
use super::{Ground, LABEL, answering, assert_refused, columns, look, roll_back, serving, set_traffic, start_notes};
use crate::support::{Backend, TestApp};

on_each_database!(a_rollback_goes_to_what_served_before_and_outlives_a_restart);

async fn deploy(app: &TestApp, label: &str) {
    let answer = app.upload("notes", "", notes(&[("label", label)])).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
}

/// Rolls back and returns which revisions have the traffic then.
async fn rolled_back(app: &TestApp, body: &Value) -> Value {
    let answer = roll_back(app, "notes", body).await;
    assert_eq!((answer.status, &answer.body["service"]), (200, &json!("notes")), "{:?}", answer.body);
    columns(&answer.body["traffic"], ["revision", "weight"])
}

async fn a_rollback_goes_to_what_served_before_and_outlives_a_restart(backend: Backend) {
    let Some(ground) = Ground::new(backend) else { return };
    let app = ground.start_notes().await;
    deploy(&app, "2").await;
    deploy(&app, "3").await;
    assert_eq!(rolled_back(&app, &json!({})).await, json!([[2, 100]]));
    assert_eq!(answering(&app, LABEL).await, "notes@2");
    // The one before is now the third: going back twice is where it began.
    assert_eq!(rolled_back(&app, &json!({})).await, json!([[3, 100]]));
    assert_eq!(rolled_back(&app, &json!({ "to": 1 })).await, json!([[1, 100]]));
    assert_eq!(app.get(LABEL, "").await.body, "1");

    let revisions = look(&app, "/v1/services/notes/revisions").await;
    let states = columns(&revisions, ["revision", "state", "weight"]);
    assert_eq!(states, json!([[3, "retired", 0], [2, "retired", 0], [1, "active", 100]]));
    let audit = look(&app, "/v1/audit?service=notes&limit=3").await;
    let seen = columns(&audit, ["action", "outcome", "revision", "reason"]);
    let expected = json!([
        ["rollback", "done", 1, "1:100%"],
        ["rollback", "done", 3, "3:100%"],
        ["rollback", "done", 2, "2:100%"],
    ]);
    assert_eq!(seen, expected);
    app.stop().await;

    let app = ground.start_notes().await;
    assert_eq!(answering(&app, LABEL).await, "notes@1");
    assert_eq!(rolled_back(&app, &json!({})).await, json!([[3, 100]]), "the way back was kept too");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_is_split_as_asked_and_every_view_says_so() {
    let app = start_notes().await;
    deploy(&app, "2").await;
    deploy(&app, "3").await;
    let moved = set_traffic(&app, "notes", &json!({ "1": 20, "2": 0, "3": 80 })).await;
    let split = json!([[3, 80], [1, 20]]);
    assert_eq!((moved.status, columns(&moved.body["traffic"], ["revision", "weight"])), (200, split.clone()));
    let service = look(&app, "/v1/services/notes").await;
    assert_eq!(columns(&service["traffic"], ["revision", "weight"]), split);
    assert_eq!(service["canary"], Value::Null, "a split by hand is nobody's to take back");
    let revisions = look(&app, "/v1/services/notes/revisions").await;
    let states = columns(&revisions, ["revision", "state", "weight"]);
    assert_eq!(states, json!([[3, "active", 80], [2, "retired", 0], [1, "active", 20]]));
    let audit = look(&app, "/v1/audit?service=notes&limit=1").await;
    assert_eq!(columns(&audit, ["action", "outcome", "reason"]), json!([["traffic", "done", "3:80% 1:20%"]]));

    let before = serving(&app).await;
    let canary = app.upload("notes", "?canary=10", notes(&[("label", "4")])).await;
    let reason = assert_refused(&canary, 422, "invalid-request");
    assert!(reason.contains("split already"), "{reason}");
    assert_eq!(serving(&app).await, before);
    assert_eq!(rolled_back(&app, &json!({})).await, json!([[3, 100]]));
    app.stop().await;
}
