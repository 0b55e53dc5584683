//! Reads what an operator sends: who asks, which service, and bodies of a bounded size in a bounded time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use bytesize::ByteSize;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;

use super::Admin;
use super::problem::Problem;
use crate::listener::Peer;
use crate::names::ServiceName;
use crate::registry::{Actor, Refusal};

/// The header by which a client says who asks. The token says that somebody may; this is for the audit trail.
const BY: &str = "x-provesi-by";

/// Longest name in that header.
const MAX_BY: usize = 100;

/// Longest wait for one of the other uploads to end.
const UPLOAD_WAIT: Duration = Duration::from_secs(30);

/// Largest JSON body, in bytes.
const MAX_JSON: u64 = 64 << 10;

/// Time an operator has for sending a JSON body.
const JSON_TIMEOUT: Duration = Duration::from_secs(10);

/// A component that has arrived, and the permit to hold it in memory.
pub(super) struct Upload {
    pub(super) bytes: Bytes,
    pub(super) permit: OwnedSemaphorePermit,
}

/// The service that a path names.
pub(super) struct Service(pub(super) ServiceName);

impl<S: Send + Sync> FromRequestParts<S> for Service {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => service_name(&text).map(Self),
            // Not UTF-8, so no name either.
            Err(_) => Err(Refusal::UnknownService("of that name".to_owned()).into()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let given = parts.headers.get(BY).and_then(|value| value.to_str().ok());
        let by = given.filter(|name| is_name(name)).unwrap_or("unknown").to_owned();
        let peer = parts.extensions.get::<Peer>();
        let from = peer.map(|Peer(address)| SocketAddr::new(address.ip().to_canonical(), address.port()).to_string());
        Ok(Self { by, from: from.unwrap_or_else(|| "unknown".to_owned()) })
    }
}

/// Parses a name; one that no service can have is a service that is not there.
pub(super) fn service_name(text: &str) -> Result<ServiceName, Problem> {
    // Quoted and cut: it comes from anywhere and may end on a terminal.
    let shown = || format!("{:?}", text.chars().take(50).collect::<String>());
    text.parse::<ServiceName>().map_err(|_| Refusal::UnknownService(shown()).into())
}

impl Admin {
    /// Receives a component when there is room for it.
    pub(super) async fn receive(&self, request: Request) -> Result<Upload, Problem> {
        let (head, body) = request.into_parts();
        if !is_wasm(&head.headers) {
            return Err(Problem::UnsupportedMediaType);
        }
        if announces_more_than(&head.headers, self.max_component) {
            return Err(Problem::TooLarge(self.max_component));
        }
        let room = tokio::time::timeout(UPLOAD_WAIT, Arc::clone(&self.uploads).acquire_owned());
        let permit = room.await.map_err(|_| Problem::UploadsBusy)?.expect("the semaphore is never closed");
        let bytes = collect(body, self.max_component, self.upload_timeout).await?;
        Ok(Upload { bytes, permit })
    }
}

/// Reads a JSON body, which may be empty.
pub(super) async fn small_body(request: Request) -> Result<Bytes, Problem> {
    collect(request.into_body(), ByteSize::b(MAX_JSON), JSON_TIMEOUT).await
}

/// Parses a JSON body.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::Malformed(format!("the body does not fit: {error}")))
}

fn announces_more_than(headers: &HeaderMap, max: ByteSize) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length > max.as_u64())
}

async fn collect(body: Body, max: ByteSize, timeout: Duration) -> Result<Bytes, Problem> {
    let max_bytes = usize::try_from(max.as_u64()).unwrap_or(usize::MAX);
    let collected = tokio::time::timeout(timeout, Limited::new(body, max_bytes).collect()).await;
    match collected {
        Err(_) => Err(Problem::Timeout(timeout)),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::TooLarge(max)),
        Ok(Err(_)) => Err(Problem::Malformed("the body came incomplete".to_owned())),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
    }
}

fn is_wasm(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/wasm")
}

fn is_name(text: &str) -> bool {
    (1..=MAX_BY).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn actor(by: Option<&str>) -> Actor {
        let mut request = axum::http::Request::builder();
        if let Some(by) = by {
            request = request.header(BY, by.as_bytes());
        }
        let (mut parts, ()) = request.body(()).expect("a request").into_parts();
        parts.extensions.insert(Peer("[::ffff:10.0.0.1]:4711".parse().expect("an address")));
        Actor::from_request_parts(&mut parts, &()).await.expect("never fails")
    }

    #[tokio::test]
    async fn an_actor_is_a_harmless_name_and_an_address() {
        let named = actor(Some("ana, on call")).await;
        assert_eq!((named.by.as_str(), named.from.as_str()), ("ana, on call", "10.0.0.1:4711"));
        assert_eq!(actor(None).await.by, "unknown");
        for bad in ["", "a\tb", "ñ", &"x".repeat(101)] {
            assert_eq!(actor(Some(bad)).await.by, "unknown", "{bad:?}");
        }
    }

    #[test]
    fn a_name_that_no_service_can_have_is_an_unknown_service() {
        assert_eq!(service_name("reviews").expect("valid").as_str(), "reviews");
        for bad in ["", "..", "../../etc/passwd", "a/b", "A", "\u{1b}[2J"] {
            let problem = service_name(bad).expect_err("no name");
            assert!(matches!(problem, Problem::Refused(Refusal::UnknownService(_))), "{bad:?}");
            assert!(!problem.to_string().contains('\u{1b}'));
        }
    }

    #[tokio::test]
    async fn a_body_is_bounded_in_size_and_in_time() {
        let max = ByteSize::b(4);
        let second = Duration::from_secs(1);
        assert_eq!(collect(Body::from("1234"), max, second).await.expect("fits"), "1234");
        assert!(matches!(collect(Body::from("12345"), max, second).await, Err(Problem::TooLarge(_))));
        let endless = Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>());
        assert!(matches!(collect(endless, max, Duration::from_millis(1)).await, Err(Problem::Timeout(_))));
        let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]);
        assert!(matches!(collect(Body::from_stream(broken), max, second).await, Err(Problem::Malformed(_))));
    }

    #[test]
    fn a_component_is_known_by_its_type() {
        let is = |value: &'static str| {
            is_wasm(&HeaderMap::from_iter([(CONTENT_TYPE, axum::http::HeaderValue::from_static(value))]))
        };
        assert!(is("application/wasm") && is("Application/Wasm; x=y"));
        assert!(!is("application/octet-stream") && !is("") && !is_wasm(&HeaderMap::new()));
    }
}
