//! Uploads and orders that make no sense: each is refused with its reason, and nothing changes.

use futures::stream;
use serde_json::json;

use super::revisions::{component, notes, read, variant};
use super::{
    LABEL, answering, assert_refused, check, columns, look, notes_table, roll_back, serving, set_traffic, start_notes,
};
use crate::support::{Answer, Setup, TestApp, send};

/// Sends a component without announcing its length.
async fn upload_in_pieces(app: &TestApp, bytes: Vec<u8>) -> Answer {
    let pieces: Vec<_> = bytes.chunks(1000).map(|piece| Ok::<_, std::convert::Infallible>(piece.to_vec())).collect();
    let body = reqwest::Body::wrap_stream(stream::iter(pieces));
    let request = app.operate("POST", "/v1/services/notes/revisions");
    send(request.header("content-type", "application/wasm").body(body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_component_is_refused_and_named_so() {
    let app = start_notes().await;
    let before = serving(&app).await;
    let whole = notes(&[]);
    let cut = |length: usize| whole[..length].to_vec();
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("a text", b"not WebAssembly".to_vec()),
        ("bytes that are all zero", vec![0; 10_000]),
        ("a head", cut(8)),
        ("half of a component", cut(whole.len() / 2)),
        ("all but the last byte", cut(whole.len() - 1)),
        ("a core module", b"\0asm\x01\0\0\0".to_vec()),
        ("a component without an export", b"\0asm\x0d\0\x01\0".to_vec()),
        ("a component and more", [whole.as_slice(), b"more"].concat()),
    ] {
        for answer in [check(&app, "notes", bytes.clone()).await, app.upload("notes", "", bytes).await] {
            assert_eq!(answer.status, 422, "{what}: {:?}", answer.body);
            assert_refused(&answer, 422, "invalid-component");
        }
        assert_eq!(answering(&app, LABEL).await, "notes@1", "{what}");
    }
    assert_eq!(serving(&app).await, before);
    let revisions = look(&app, "/v1/services/notes/revisions").await;
    assert_eq!(columns(&revisions, ["revision"]), json!([[1]]), "what never could run has no number");
    let audit = look(&app, "/v1/audit?service=notes&limit=2").await;
    assert_eq!(columns(&audit, ["action", "outcome"]), json!([["deploy", "refused"], ["check", "refused"]]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_taken_up_to_the_configured_size() {
    let largest = variant(&notes(&[]), 1);
    let admin = format!("max-component = {}", largest.len());
    let more = notes_table();
    let setup = Setup { services: &[], more: &more, admin: &admin, ..Setup::default() };
    let app = TestApp::start_as(&setup).await;
    let larger = [largest.as_slice(), b"\0"].concat();
    for answer in [app.upload("notes", "", larger.clone()).await, upload_in_pieces(&app, larger).await] {
        assert_refused(&answer, 413, "too-large");
        assert_eq!(answering(&app, LABEL).await, "notes@1");
    }
    let accepted = app.upload("notes", "", largest).await;
    assert_eq!((accepted.status, &accepted.body["revision"]), (201, &json!(2)), "{:?}", accepted.body);
    let streamed = upload_in_pieces(&app, variant(&notes(&[]), 2)).await;
    assert_eq!((streamed.status, &streamed.body["revision"]), (201, &json!(3)), "{:?}", streamed.body);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_cannot_be_meant_is_refused() {
    let app = start_notes().await;
    let before = serving(&app).await;
    let revisions = "/v1/services/notes/revisions";
    for media_type in ["application/octet-stream", "application/json", "text/wasm"] {
        let request = app.operate("POST", revisions).header("content-type", media_type).body(notes(&[]));
        assert_refused(&send(request).await, 415, "unsupported-media-type");
    }
    assert_refused(&send(app.operate("POST", revisions).body(notes(&[]))).await, 415, "unsupported-media-type");
    for (query, status, kind) in [
        ("?canary=0", 422, "invalid-request"),
        ("?canary=100", 422, "invalid-request"),
        ("?canary=ten", 400, "malformed"),
        ("?cannary=10", 400, "malformed"),
        ("?activate=no", 400, "malformed"),
        ("?activate=false&canary=10", 400, "malformed"),
    ] {
        assert_refused(&app.upload("notes", query, notes(&[])).await, status, kind);
    }
    for (method, path, status, kind) in [
        ("PUT", revisions, 405, "method-not-allowed"),
        ("GET", "/v1/services/notes/traffic", 405, "method-not-allowed"),
        ("GET", "/v1/services/notes/check", 405, "method-not-allowed"),
        ("GET", "/v1/nothing", 404, "not-found"),
        ("GET", "/", 404, "not-found"),
        ("GET", "/v1/audit?limit=0", 422, "invalid-request"),
        ("GET", "/v1/audit?since=1", 400, "malformed"),
    ] {
        assert_refused(&send(app.operate(method, path)).await, status, kind);
    }
    // What is refused before anything of it is read gets to read why, too.
    for (method, path, status, kind) in [
        ("POST", "/v1/services/No%20such/revisions", 404, "unknown-service"),
        ("POST", "/v1/services/notes/traffic", 405, "method-not-allowed"),
        ("POST", "/v1/nothing", 404, "not-found"),
    ] {
        assert_refused(&send(app.operate(method, path).body(notes(&[]))).await, status, kind);
    }
    for body in ["", "{", "[]", "{}", r#"{"weights": {"one": 100}}"#, r#"{"weights": {"1": 100}, "force": true}"#] {
        let request = app.operate("PUT", "/v1/services/notes/traffic").body(body);
        assert_refused(&send(request).await, 400, "malformed");
    }
    assert_eq!(serving(&app).await, before);
    assert_eq!(columns(&look(&app, revisions).await, ["revision"]), json!([[1]]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_goes_only_to_what_is_there_and_adds_up() {
    let app = start_notes().await;
    let idle = app.upload("notes", "?activate=false", variant(&notes(&[]), 1)).await;
    assert_eq!((idle.status, &idle.body["state"]), (201, &json!("idle")), "{:?}", idle.body);
    let refused = app.upload("notes", "", notes(&[("second", "CREATE TABLE notes (id BIGINT)")])).await;
    assert_refused(&refused, 422, "migration-failed");
    let before = serving(&app).await;
    for (weights, status, kind) in [
        (json!({}), 422, "invalid-request"),
        (json!({ "1": 99 }), 422, "invalid-request"),
        (json!({ "1": 50, "2": 51 }), 422, "invalid-request"),
        (json!({ "1": 0, "2": 0 }), 422, "invalid-request"),
        (json!({ "1": 200 }), 422, "invalid-request"),
        (json!({ "1": 90, "99": 10 }), 404, "unknown-revision"),
        (json!({ "0": 100 }), 404, "unknown-revision"),
        (json!({ "1": 90, "3": 10 }), 404, "unknown-revision"),
    ] {
        let reason = assert_refused(&set_traffic(&app, "notes", &weights).await, status, kind);
        assert!(kind != "unknown-revision" || reason.contains("notes@"), "{weights}: {reason}");
        assert_eq!(serving(&app).await, before, "{weights}");
    }
    for to in [3, 99] {
        assert_refused(&roll_back(&app, "notes", &json!({ "to": to })).await, 404, "unknown-revision");
    }
    assert_refused(&roll_back(&app, "notes", &json!({})).await, 409, "nothing-to-roll-back-to");
    assert_eq!(serving(&app).await, before);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_not_there_is_unknown_to_every_request() {
    let app = start_notes().await;
    let before = serving(&app).await;
    for path in ["/v1/services/ghost", "/v1/services/ghost/revisions"] {
        assert_refused(&send(app.operate("GET", path)).await, 404, "unknown-service");
    }
    assert_refused(&set_traffic(&app, "ghost", &json!({ "1": 100 })).await, 404, "unknown-service");
    assert_refused(&roll_back(&app, "ghost", &json!({})).await, 404, "unknown-service");
    assert_refused(&send(app.operate("DELETE", "/v1/services/ghost")).await, 404, "unknown-service");
    // It has no table, so it is granted nothing: not even a canary of nothing comes into being.
    let products = read(&component("products"));
    assert_refused(&app.upload("ghost", "?canary=10", products).await, 422, "import-denied");
    assert_eq!(serving(&app).await, before);
    app.stop().await;
}
