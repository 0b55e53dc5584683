//! What a component reaches outside of the host: listed destinations, and nothing that nobody listed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Response, Uri};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::support::{Answer, Setup, TestApp, fixture, service};

/// A server of somebody else, and how many requests it has seen.
struct Outside {
    address: SocketAddr,
    seen: Arc<AtomicUsize>,
}

impl Outside {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&seen);
        let app = axum::Router::new().fallback(move |uri: Uri| {
            counted.fetch_add(1, Ordering::Relaxed);
            answer(uri)
        });
        drop(TaskTracker::new().spawn(async move { axum::serve(listener, app).await.expect("it serves") }));
        Self { address, seen }
    }

    /// Returns a URL of it.
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::Relaxed)
    }
}

async fn answer(uri: Uri) -> Response<Body> {
    match uri.path() {
        "/never/" => std::future::pending().await,
        "/half/" => {
            let begun = futures::stream::iter([Ok::<_, std::convert::Infallible>("half")]);
            Response::new(Body::from_stream(futures::StreamExt::chain(begun, futures::stream::pending())))
        }
        "/huge/" => Response::new(Body::from(vec![b'x'; 9 << 20])),
        "/elsewhere/" => {
            Response::builder().status(302).header("location", "/hello/").body(Body::empty()).expect("valid")
        }
        _ => Response::new(Body::from("hola")),
    }
}

/// Starts a host with the fixture, which may send requests to some destinations.
async fn start(destinations: &[String]) -> TestApp {
    let http = destinations.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
    let more = service("outbound", &fixture("outbound"), "\"http\"")
        + &format!("http = [{http}]\nlimits = {{ deadline = \"2s\", memory = \"32MiB\" }}\n");
    TestApp::start_as(&Setup { services: &[], more: &more, ..Setup::default() }).await
}

async fn fetch(app: &TestApp, url: &str) -> Answer {
    let url = percent_encoding::utf8_percent_encode(url, percent_encoding::NON_ALPHANUMERIC);
    app.get(&format!("/api/outbound/?url={url}"), "").await
}

/// Fetches what must fail and returns the standard's reason.
async fn refused(app: &TestApp, url: &str) -> String {
    let answer = fetch(app, url).await;
    assert_eq!(answer.status, 200, "{url}: {:?}", answer.body);
    answer.body["Err"].as_str().unwrap_or_else(|| panic!("{url} was reached: {:?}", answer.body)).to_owned()
}

fn reached(status: u16, body: &str) -> Value {
    json!({ "Ok": [status, body] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_grant_nothing_that_sends_requests_is_deployed() {
    let more = service("notes", &fixture("notes"), "\"sql\"");
    let app = TestApp::start_as(&Setup { services: &[], more: &more, ..Setup::default() }).await;
    let component = std::fs::read(fixture("outbound")).expect("a component");
    for name in ["notes", "outbound"] {
        let answer = app.upload(name, "", component.clone()).await;
        let kind = answer.body["type"].as_str();
        assert_eq!((answer.status, kind), (422, Some("urn:provesi:problem:import-denied")), "{:?}", answer.body);
        let detail = answer.body["detail"].as_str().expect("a reason");
        assert!(detail.contains("wasi:http/") && detail.contains("\"http\""), "{detail}");
    }
    assert_eq!(app.get("/api/notes/label/", "").await.status, 200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_listed_destinations_are_reached() {
    let (listed, other) = (Outside::start().await, Outside::start().await);
    let app = start(&[listed.url("")]).await;
    let port = listed.address.port();
    for url in [
        other.url("/hello/"),
        format!("https://127.0.0.1:{port}/hello/"),
        format!("http://localhost:{port}/hello/"),
        format!("http://127.1:{port}/hello/"),
        format!("http://2130706433:{port}/hello/"),
        format!("http://127.0.0.1:{port}@{}/hello/", other.address),
        format!("http://user@127.0.0.1:{port}/hello/"),
        "http://127.0.0.1/hello/".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://example.com/".to_owned(),
    ] {
        let reason = refused(&app, &url).await;
        assert!(reason.contains("HttpRequestDenied"), "{url}: {reason}");
    }
    assert_eq!((listed.seen(), other.seen()), (0, 0), "what is denied is not sent");
    let answer = fetch(&app, &listed.url("/hello/?a=b")).await;
    assert_eq!((answer.status, answer.body), (200, reached(200, "hola")));
    assert_eq!((listed.seen(), other.seen()), (1, 0));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listed_name_does_not_open_the_hosts_own_network() {
    let outside = Outside::start().await;
    let port = outside.address.port();
    let by_name = format!("http://localhost:{port}");
    let app = start(std::slice::from_ref(&by_name)).await;
    let reason = refused(&app, &by_name).await;
    assert!(reason.contains("DestinationIpProhibited"), "{reason}");
    assert_eq!(outside.seen(), 0);
    app.stop().await;
    let app = start(&[by_name.clone(), outside.url("")]).await;
    assert_eq!(fetch(&app, &format!("{by_name}/hello/")).await.body, reached(200, "hola"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_bounded_and_no_redirect_is_followed() {
    let outside = Outside::start().await;
    let app = start(&[outside.url("")]).await;
    assert_eq!(fetch(&app, &outside.url("/elsewhere/")).await.body, reached(302, ""));
    assert_eq!(outside.seen(), 1);
    let reason = refused(&app, &outside.url("/huge/")).await;
    assert!(reason.contains("body size exceeds limit"), "{reason}");
    let many = app.get(&format!("/api/outbound/?times=33&url={}", outside.url("/hello/")), "").await;
    let reason = many.body["Err"].as_str().expect("the last one fails");
    assert!(reason.contains("ConnectionLimitReached"), "{reason}");
    assert_eq!(outside.seen(), 2 + 32);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_answers_is_not_waited_for_longer_than_the_deadline() {
    let outside = Outside::start().await;
    let app = start(&[outside.url("")]).await;
    for path in ["/never/", "/half/"] {
        let answer = fetch(&app, &outside.url(path)).await;
        assert_eq!(answer.status, 504, "{path}: {:?}", answer.body);
    }
    assert_eq!(fetch(&app, &outside.url("/hello/")).await.body, reached(200, "hola"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wasi_has_nothing_for_a_guest_and_no_end_of_it() {
    let app = start(&[]).await;
    let surroundings = app.get("/api/outbound/surroundings/", "").await;
    assert_eq!((surroundings.status, surroundings.body), (200, json!([[], 0, false, false, false])));
    for (path, status) in [("sleep/", 504), ("hoard/", 502), ("exit/", 502)] {
        let answer = app.get(&format!("/api/outbound/{path}"), "").await;
        assert_eq!(answer.status, status, "{path}: {:?}", answer.body);
        assert_eq!(app.get("/api/outbound/surroundings/", "").await.status, 200, "after {path}");
    }
    app.stop().await;
}
