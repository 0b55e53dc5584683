//! Clients that are slow, greedy or dishonest below the level of requests, on sockets of their own.

mod http2;
mod raw;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use provesi::listener::{Bounds, Server, Timeouts};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::raw::Raw;
use crate::support::{Setup, TestApp, eventually};

/// Longest wait for anything that a bound of the host brings about.
const WAIT: Duration = Duration::from_secs(20);

/// Starts a host without services and with further keys of `[gateway]`.
async fn bounds(gateway: &str) -> TestApp {
    TestApp::start_as(&Setup { services: &[], gateway, ..Setup::default() }).await
}

/// Starts a host that has a route with a body.
async fn with_bodies(gateway: &str) -> TestApp {
    TestApp::start_as(&Setup { services: &["auth"], gateway, ..Setup::default() }).await
}

/// The head of a request with a body, without the header that says how long it is.
const POST: &str = "POST /api/auth/login/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";

/// Sends bytes on a connection of their own and reads until the host closes it.
async fn send(app: &TestApp, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut raw = Raw::open(app).await;
    raw.send(bytes).await;
    raw.rest().await
}

async fn text_of(app: &TestApp, bytes: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(&send(app, bytes).await).into_owned()
}

/// How many answers there are in what was read.
fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_send_a_whole_head_is_cut_off() {
    let app = bounds("head-timeout = \"300ms\"\nidle-timeout = \"10m\"").await;
    for begin in ["", "GET /hea", "GET /health/ HTTP/1.1\r\nHost: a\r\n", "PRI * HT"] {
        assert_eq!(text_of(&app, begin).await, "", "{begin:?}");
    }
    send(&app, http2::preface(&[])).await;
    let mut slow = Raw::open(&app).await;
    slow.send("GET /health/ HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
    assert_eq!(slow.rest_while_sending(b"a").await, "");
    let request = async || app.request("GET", "/health/").send().await.is_ok_and(|answer| answer.status() == 200);
    eventually("others are answered", WAIT, request).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_connection_is_closed_when_no_request_comes() {
    let app = bounds("head-timeout = \"10m\"\nidle-timeout = \"300ms\"\nwrite-timeout = \"300ms\"").await;
    for next in ["", "GET /health/ HTTP/1.1\r\nHo"] {
        let mut raw = Raw::open(&app).await;
        raw.send("GET /health/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = raw.answer().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        raw.send(next).await;
        assert_eq!(raw.rest_as_text().await, "", "{next:?}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_trickles_is_ended_at_its_bound() {
    let app = with_bodies("body-timeout = \"300ms\"").await;
    let mut slow = Raw::open(&app).await;
    slow.send(format!("{POST}Content-Length: 100000\r\n\r\n")).await;
    let answer = slow.rest_while_sending(b" ").await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("El cuerpo no llegó a tiempo."), "{answer}");
    assert_eq!(app.get("/health/", "").await.status, 200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_take_its_answer_is_cut_off() {
    let large = async || vec![b'x'; 64 << 20];
    let router: Router = Router::new().route("/large", get(large)).route("/small", get(async || "small"));
    let bounds = Bounds {
        key: "test",
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        max_head: 32 << 10,
        max_headers: 100,
        timeouts: Timeouts { head: WAIT, idle: 10 * WAIT, write: Duration::from_millis(300) },
        max_connections: 1,
        drain: WAIT,
    };
    let server = Server::bind(bounds).await.expect("a free port");
    let address = server.address().expect("an address").to_string();
    let stop = CancellationToken::new();
    let running = TaskTracker::new().spawn(server.serve(router, stop.clone()));
    let http1 = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    for request in [http1, http2::get_with_closed_windows("/large")] {
        let mut idle = Raw::narrow(&address).await;
        idle.send(request).await;
        // It holds the only connection until then.
        let mut next = Raw::connect(&address).await;
        next.send("GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(next.rest_as_text().await.ends_with("\r\n\r\nsmall"));
        drop(idle);
    }
    stop.cancel();
    tokio::time::timeout(WAIT, running).await.expect("it stops in time").expect("it does not panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_connection_waits_for_another_to_end() {
    let app = bounds("max-connections = 2").await;
    let request = "GET /health/ HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut served = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::open(&app).await;
        raw.send(request).await;
        assert!(raw.answer().await.starts_with("HTTP/1.1 200 "));
        served.push(raw);
    }
    let mut third = Raw::open(&app).await;
    third.send(request).await;
    assert!(third.is_silent().await);
    served.pop();
    assert!(third.answer().await.starts_with("HTTP/1.1 200 "));
    drop((third, served));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_too_large_or_has_too_many_headers_is_431() {
    let app = bounds("max-headers = 50").await;
    let head = |more: String| format!("GET /health/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{more}\r\n");
    let fits = text_of(&app, head("A: b\r\n".repeat(48))).await;
    assert!(fits.starts_with("HTTP/1.1 200 "), "{fits}");
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(40 << 10));
    for request in [
        head("A: b\r\n".repeat(49)),
        // More than hyper has room for.
        head("A: b\r\n".repeat(200)),
        head(format!("A: {}\r\n", "b".repeat(40 << 10))),
        target,
    ] {
        let answer = text_of(&app, &request).await;
        assert!(answer.starts_with("HTTP/1.1 431 ") && answers(&answer) == 1, "{answer}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hides_behind_a_request_of_two_lengths_is_never_answered() {
    let app = with_bodies("").await;
    let hidden = "GET /health/ HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = format!("Content-Length: {}\r\n", 5 + hidden.len());
    let chunked = "Transfer-Encoding: chunked\r\n";
    // By their chunks these bodies are empty, by their lengths they have a request in them.
    for both in [format!("{length}{chunked}"), format!("{chunked}{length}")] {
        let answer = text_of(&app, format!("{POST}{both}Connection: keep-alive\r\n\r\n0\r\n\r\n{hidden}")).await;
        assert_eq!(answers(&answer), 1, "{answer}");
        assert!(!answer.contains("api-gateway") && answer.to_lowercase().contains("connection: close"), "{answer}");
    }
    for wrong in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
    ] {
        let answer = text_of(&app, format!("{POST}{wrong}\r\n0\r\n\r\n{hidden}")).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answers(&answer) == 1, "{wrong}: {answer}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_names_one_host_and_a_path() {
    let app = bounds("").await;
    for (request, status) in [
        ("GET /health/ HTTP/1.1\r\n\r\n", 400),
        ("GET /health/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET /health/\r\n\r\n", 400),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
        ("GET /health/ HTTP/1.0\r\n\r\n", 200),
        ("GET http://a/health/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
    ] {
        let answer = text_of(&app, request).await;
        let found = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        assert_eq!((found, answers(&answer.replace("HTTP/1.0", "HTTP/1.1"))), (Some(status), 1), "{request}: {answer}");
    }
    let mut raw = Raw::open(&app).await;
    raw.send("GET /health/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert!(raw.answer().await.starts_with("HTTP/1.1 200 "), "no protocol is changed");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_whether_to_send_its_body_is_told() {
    let app = with_bodies("").await;
    let body = r#"{"username": "admin", "password": "admin123"}"#;
    let mut raw = Raw::open(&app).await;
    raw.send(format!("{POST}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", body.len())).await;
    assert_eq!(raw.answer().await, "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send(body).await;
    assert!(raw.answer().await.starts_with("HTTP/1.1 200 "));
    let mut raw = Raw::open(&app).await;
    raw.send(format!("{POST}Expect: 100-continue\r\nContent-Length: 2097152\r\n\r\n")).await;
    assert!(raw.rest_as_text().await.starts_with("HTTP/1.1 413 "));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_being_read_share_a_bounded_memory() {
    let app = with_bodies("max-body = \"64KiB\"\nbody-memory = \"64KiB\"\nbody-timeout = \"10m\"").await;
    let mut first = Raw::open(&app).await;
    first.send(format!("{POST}Content-Length: 60000\r\n\r\n{}", " ".repeat(50_000))).await;
    let second = format!("{POST}Connection: close\r\nContent-Length: 30000\r\n\r\n{}", " ".repeat(30_000));
    eventually("the first body fills the memory", WAIT, async || {
        let answer = text_of(&app, &second).await;
        let refused = answer.starts_with("HTTP/1.1 503 ");
        assert!(refused || answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(!refused || answer.to_lowercase().contains("retry-after: 1\r\n"), "{answer}");
        refused
    })
    .await;
    assert_eq!(app.token("admin").await.split('.').count(), 3, "a small body has room");
    first.send(" ".repeat(10_000)).await;
    assert!(first.answer().await.starts_with("HTTP/1.1 400 "), "the first body is read whole");
    let answer = text_of(&app, &second).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panics_of_the_host_are_counted_among_the_metrics() {
    let app = bounds("").await;
    let response = app.operate("GET", "/metrics").send().await.expect("an answer");
    let text = response.text().await.expect("a text");
    assert!(text.contains("# TYPE provesi_host_panics_total counter\nprovesi_host_panics_total "), "{text}");
    app.stop().await;
}
