//! What operators are told as it happens, over server-sent events.

use std::time::Duration;

use provesi::names::ComponentDigest;
use serde_json::{Value, json};

use super::revisions::{notes, variant};
use super::{LABEL, assert_refused, columns, roll_back, set_traffic, start_notes};
use crate::support::{TestApp, send};

/// Longest wait for an event that must come.
const BOUND: Duration = Duration::from_secs(30);

const STEPS: [&str; 6] = ["compile", "link", "describe", "contract", "migrate", "activate"];

/// A follower of the events.
pub(super) struct Events {
    response: reqwest::Response,
    /// What has come of an event that is not whole yet.
    text: String,
}

impl Events {
    /// Follows what happens from now on.
    pub(super) async fn follow(app: &TestApp) -> Self {
        let response = app.operate("GET", "/v1/events").send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// Waits for the next event.
    pub(super) async fn next(&mut self) -> Value {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                let found = field("data: ").map(|data| serde_json::from_str::<Value>(data).expect("JSON"));
                if let Some(found) = &found {
                    assert_eq!(field("event: ").map(Value::from).as_ref(), Some(&found["type"]), "{event}");
                    assert_eq!(field("id: "), Some(found["id"].to_string().as_str()), "{event}");
                }
                self.text = rest.to_owned();
                if let Some(found) = found {
                    return found;
                }
            }
            let chunk = tokio::time::timeout(BOUND, self.response.chunk()).await.expect("an event in time");
            let chunk = chunk.expect("the stream is whole").expect("the stream goes on");
            self.text.push_str(std::str::from_utf8(&chunk).expect("a text"));
        }
    }

    /// Waits for an event of a kind, and returns what came, that one last.
    pub(super) async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await;
            let is_last = event["type"] == kind;
            events.push(event);
            if is_last {
                return events;
            }
        }
    }
}

/// Checks that a deploy was told step by step, as far as it came, and with which component.
fn assert_steps(events: &[Value], digest: &str, steps: &[&str], last: Value) {
    let mut expected: Vec<Value> = steps.iter().map(|step| json!(["deploy.step", digest, null, step])).collect();
    expected.push(last);
    assert_eq!(columns(&json!(events), ["type", "digest", "revision", "detail"]), json!(expected));
    assert!(events.iter().all(|event| event["service"] == "notes"), "{events:?}");
}

/// Joins the lines of a compiler, as problems do.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_is_told_step_by_step_and_then_what_became_of_it() {
    let app = start_notes().await;
    let mut events = Events::follow(&app).await;
    let good = variant(&notes(&[]), 1);
    let digest = ComponentDigest::of(&good).to_string();
    let request = app.operate("POST", "/v1/services/notes/revisions").header("x-provesi-by", "ana");
    let deployed = send(request.header("content-type", "application/wasm").body(good)).await;
    assert_eq!(deployed.status, 201, "{:?}", deployed.body);
    let accepted = events.until("deploy.accepted").await;
    assert_steps(&accepted, &digest, &STEPS, json!(["deploy.accepted", digest, 2, "active"]));
    let last = accepted.last().expect("it was waited for");
    assert_eq!(last["by"], "ana");
    assert!(last["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{last}");
    let ids: Vec<u64> = accepted.iter().map(|event| event["id"].as_u64().expect("a number")).collect();
    assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ids:?}");

    for (bytes, steps) in [
        (b"garbage".to_vec(), &STEPS[..1]),
        (notes(&[("version", "x.y.z")]), &STEPS[..3]),
        (notes(&[("again", "list-again")]), &STEPS[..4]),
        (notes(&[("second", "COMMIT")]), &STEPS[..5]),
    ] {
        let digest = ComponentDigest::of(&bytes).to_string();
        let refused = app.upload("notes", "", bytes).await;
        let reason = refused.body["detail"].as_str().expect("a reason");
        let mut told = events.until("deploy.refused").await;
        let detail = &mut told.last_mut().expect("it was waited for")["detail"];
        *detail = one_line(detail.as_str().expect("a reason")).into();
        assert_steps(&told, &digest, steps, json!(["deploy.refused", digest, null, reason]));
    }
    drop(events);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_move_and_every_fault_is_told() {
    let app = start_notes().await;
    let trapping = app.upload("notes", "", notes(&[("handle", "trap")])).await;
    assert_eq!(trapping.status, 201, "{:?}", trapping.body);
    let mut events = Events::follow(&app).await;
    assert_eq!(app.get(LABEL, "").await.status, 502);
    // A GET is made again, and breaks again.
    let (fault, again) = (events.next().await, events.next().await);
    assert_eq!((&again["type"], &again["detail"]), (&fault["type"], &fault["detail"]));
    let seen = columns(&json!([fault]), ["type", "service", "revision", "digest"]);
    assert_eq!(seen, json!([["fault", "notes", 2, trapping.body["digest"]]]));
    assert!(fault["detail"].as_str().is_some_and(|detail| detail.starts_with("trapped")), "{fault}");

    let refused = set_traffic(&app, "notes", &json!({ "1": 1 })).await;
    assert_refused(&refused, 422, "invalid-request");
    assert_eq!(set_traffic(&app, "notes", &json!({ "1": 75, "2": 25 })).await.status, 200);
    assert_eq!(roll_back(&app, "notes", &json!({ "to": 1 })).await.status, 200);
    assert_eq!(send(app.operate("DELETE", "/v1/services/notes")).await.status, 204);
    let told = events.until("service.removed").await;
    let seen = columns(&json!(told), ["type", "service", "detail"]);
    let moves = json!([
        ["traffic.changed", "notes", "2:25% 1:75%"],
        ["rollback", "notes", "1:100%"],
        ["service.removed", "notes", ""],
    ]);
    assert_eq!(seen, moves);
    drop(events);
    app.stop().await;
}
