//! Who gets to the operators' listener, and what a name in a path can reach: nothing but a service.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::revisions::notes;
use super::{LABEL, answering, assert_refused, columns, look, serving, start_notes};
use crate::support::{Answer, TestApp, send};

/// Every request that an operator can make.
const REQUESTS: [(&str, &str); 14] = [
    ("GET", "/v1/services"),
    ("GET", "/v1/services/notes"),
    ("DELETE", "/v1/services/notes"),
    ("GET", "/v1/services/notes/revisions"),
    ("POST", "/v1/services/notes/revisions"),
    ("POST", "/v1/services/notes/check"),
    ("PUT", "/v1/services/notes/traffic"),
    ("POST", "/v1/services/notes/rollback"),
    ("GET", "/v1/audit"),
    ("GET", "/v1/events"),
    ("GET", "/v1/dead-letters"),
    ("GET", "/v1/dead-letters/1"),
    ("POST", "/v1/dead-letters/1/replay"),
    ("DELETE", "/v1/dead-letters/1"),
];

/// Makes a request with whatever it says of who asks.
async fn ask(app: &TestApp, method: &str, path: &str, authorization: Option<&str>) -> Answer {
    let method: reqwest::Method = method.parse().expect("a method");
    let mut request = reqwest::Client::new().request(method, format!("{}{path}", app.admin()));
    request = request.header("x-provesi-by", "mallory").header("content-type", "application/wasm");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    send(request.body(notes(&[]))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_told_or_changed_without_the_token_and_the_attempt_is_kept() {
    let app = start_notes().await;
    let before = serving(&app).await;
    let token = app.admin_token();
    let (short, other) = (format!("Bearer {}", &token[1..]), format!("Bearer {}", "0".repeat(token.len())));
    let basic = format!("Basic {token}");
    let nothing_there = ("GET", "/v1/nothing");
    for (method, path) in REQUESTS.into_iter().chain([nothing_there]) {
        for given in [
            None,
            Some(""),
            Some("Bearer "),
            Some(token),
            Some(basic.as_str()),
            Some(short.as_str()),
            Some(other.as_str()),
        ] {
            let answer = ask(&app, method, path, given).await;
            let reason = assert_refused(&answer, 401, "unauthorized");
            assert!(!reason.contains(token), "{reason}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
        let audit = look(&app, "/v1/audit?limit=1").await;
        let seen = columns(&audit, ["service", "action", "outcome", "by", "reason"]);
        assert_eq!(seen, json!([["", "access", "refused", "mallory", format!("{method} {path}")]]));
        assert!(audit[0]["from"].as_str().is_some_and(|from| from.starts_with("127.0.0.1:")), "{audit}");
    }
    assert_eq!(serving(&app).await, before);
    assert_eq!(answering(&app, LABEL).await, "notes@1");
    let admitted = ask(&app, "GET", "/v1/services/notes", Some(&format!("bearer {token}"))).await;
    assert_eq!((admitted.status, &admitted.body["name"]), (200, &json!("notes")));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_and_metrics_need_no_token_and_the_public_port_has_none_of_them() {
    let app = start_notes().await;
    let open = async |base: &str, path: &str| {
        let answer = reqwest::get(format!("{base}{path}")).await.expect("an answer");
        let media_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default().to_owned();
        (answer.status().as_u16(), media_type, answer.text().await.expect("a text"))
    };
    for (path, expected) in [("/healthz", json!({ "status": "ok" })), ("/readyz", json!({ "status": "ready" }))] {
        let (status, _, text) = open(app.admin(), path).await;
        let body: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((status, body), (200, expected));
    }
    assert_eq!(answering(&app, LABEL).await, "notes@1");
    let (status, media_type, text) = open(app.admin(), "/metrics").await;
    assert_eq!((status, media_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "# TYPE provesi_dispatch_invocations_total counter",
        "provesi_dispatch_invocations_total{service=\"notes\"} 1",
        "provesi_dispatch_faults_total{service=\"notes\"} 0",
        "provesi_registry_links_total{service=\"notes\"} 1",
        "provesi_registry_weight_percent{service=\"notes\",revision=\"1\"} 100",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    for path in ["/healthz", "/readyz", "/metrics", "/v1/services", "/v1/events"] {
        assert_eq!(open(app.base(), path).await.0, 404, "{path} on the public port");
    }
    app.stop().await;
}

/// Sends a request as it is written, because a client would tidy its path.
async fn raw(app: &TestApp, method: &str, path: &str) -> (u16, Value) {
    const BOUND: Duration = Duration::from_secs(30);
    let address = app.admin().strip_prefix("http://").expect("plain HTTP");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Content-Type: application/wasm\r\nContent-Length: 2\r\n\r\n{{}}",
        app.admin_token()
    );
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("the host reads");
    let mut answer = String::new();
    tokio::time::timeout(BOUND, stream.read_to_string(&mut answer)).await.expect("in time").expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).expect("JSON"))
}

/// Returns all files below a folder but those that a database makes and removes as it runs.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let passing =
            path.extension().is_some_and(|end| ["sqlite3-wal", "sqlite3-shm"].iter().any(|name| end == *name));
        if path.is_dir() {
            found.extend(files(&path));
        } else if !passing {
            found.insert(path);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_no_service_can_have_reaches_nothing() {
    let app = start_notes().await;
    let (before, there) = (serving(&app).await, files(app.folder()));
    let long = "a".repeat(41);
    for name in [
        "..",
        ".",
        "../etc",
        "../../etc/passwd",
        "%2e%2e",
        "..%2fetc",
        "%2fetc%2fpasswd",
        "NOTES",
        "Notes",
        "notes%00",
        "notes%20",
        "notes.wasm",
        "1notes",
        "-notes",
        "%FF",
        "%",
        "*",
        "no_tes",
        "%F0%9F%93%9D",
        "",
        &long,
    ] {
        for (method, rest) in [
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/revisions"),
            ("POST", "/revisions"),
            ("POST", "/check"),
            ("PUT", "/traffic"),
            ("POST", "/rollback"),
        ] {
            let (status, body) = raw(&app, method, &format!("/v1/services/{name}{rest}")).await;
            let kind = body["type"].as_str().unwrap_or_default();
            let known = ["urn:provesi:problem:unknown-service", "urn:provesi:problem:not-found"];
            assert!(status == 404 && known.contains(&kind), "{method} {name}{rest}: {status} {body}");
        }
    }
    assert_eq!((serving(&app).await, files(app.folder())), (before, there));
    assert_eq!(answering(&app, LABEL).await, "notes@1");
    app.stop().await;
}
