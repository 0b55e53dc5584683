//! The one place that turns a refusal into an answer: RFC 9457, `application/problem+json`, with a stable `type`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};
use axum::middleware::Next;
use axum::response::IntoResponse;
use bytesize::ByteSize;

use crate::listener::{self, Panicked};
use crate::registry::Refusal;

/// Why an operator does not get what was asked for. Shown as the problem's `detail`.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// The registry refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No token came, or another one.
    #[error("send the token of DATA/admin-token as `Authorization: Bearer`")]
    Unauthorized,
    /// Nothing is there.
    #[error("nothing is at this path")]
    NotFound,
    /// Something is there, for other methods; the router names them in `Allow`.
    #[error("this path does not take this method")]
    MethodNotAllowed,
    /// The query or the body cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// The body is no component by its type.
    #[error("a component is sent as application/wasm")]
    UnsupportedMediaType,
    /// The body is too large.
    #[error("at most {0} are taken")]
    TooLarge(ByteSize),
    /// The body did not come in time.
    #[error("the body did not come within {0:?}")]
    Timeout(Duration),
    /// As many components as may be are held in memory.
    #[error("other components are being deployed or checked")]
    UploadsBusy,
    /// There is no dead letter of that number.
    #[error("there is no dead letter {0}")]
    NoDeadLetter(String),
    /// Events cannot be read or handed on now.
    #[error("{0}")]
    EventsUnavailable(String),
    /// The change panicked.
    #[error("the change broke off; the log says where")]
    BrokeOff,
    /// The host panicked at the request.
    #[error("the host failed at this request; the log says where")]
    Panic,
}

impl Problem {
    /// Returns the status, the last part of the `type`, and the title.
    fn parts(&self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::Refused(refusal) => {
                let (status, title) = refused(refusal);
                (status, refusal.kind(), title)
            }
            Self::Unauthorized => (S::UNAUTHORIZED, "unauthorized", "The admin token is needed"),
            Self::NotFound => (S::NOT_FOUND, "not-found", "There is no such path"),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed"),
            Self::Malformed(_) => (S::BAD_REQUEST, "malformed", "The request cannot be read"),
            Self::UnsupportedMediaType => {
                (S::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body has the wrong type")
            }
            Self::TooLarge(_) => (S::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Self::Timeout(_) => (S::REQUEST_TIMEOUT, "timeout", "The body came too slowly"),
            Self::UploadsBusy => (S::SERVICE_UNAVAILABLE, "uploads-busy", "Too many uploads are under way"),
            Self::NoDeadLetter(_) => (S::NOT_FOUND, "unknown-dead-letter", "There is no such dead letter"),
            Self::EventsUnavailable(_) => {
                (S::SERVICE_UNAVAILABLE, "events-unavailable", "The events cannot be reached now")
            }
            Self::BrokeOff | Self::Panic => (S::INTERNAL_SERVER_ERROR, "internal", "The host failed"),
        }
    }

    /// Returns the seconds after which it makes sense to try again.
    fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Refused(Refusal::Busy { .. } | Refusal::Storage { .. }) | Self::EventsUnavailable(_) => Some(1),
            Self::UploadsBusy => Some(5),
            _ => None,
        }
    }
}

fn refused(refusal: &Refusal) -> (StatusCode, &'static str) {
    use StatusCode as S;
    match refusal {
        Refusal::InvalidComponent { .. } => (S::UNPROCESSABLE_ENTITY, "The component cannot run here"),
        Refusal::ImportDenied { .. } => (S::UNPROCESSABLE_ENTITY, "An import is not granted"),
        Refusal::Contract { .. } => (S::CONFLICT, "Live services would not fit together"),
        Refusal::Collision { .. } => (S::CONFLICT, "Two services would answer for the same"),
        Refusal::Migration { .. } => (S::UNPROCESSABLE_ENTITY, "A migration failed"),
        Refusal::SchemaAhead { .. } => (S::CONFLICT, "The schema is ahead of the revision"),
        Refusal::Invalid { .. } => (S::UNPROCESSABLE_ENTITY, "The request makes no sense"),
        Refusal::UnknownService { .. } => (S::NOT_FOUND, "There is no such service"),
        Refusal::UnknownRevision { .. } => (S::NOT_FOUND, "There is no such revision"),
        Refusal::NothingBefore { .. } => (S::CONFLICT, "There is nothing to roll back to"),
        Refusal::Imported { .. } => (S::CONFLICT, "Live services import this one"),
        Refusal::Busy { .. } => (S::CONFLICT, "Another change is under way"),
        Refusal::Configuration { .. } => (S::UNPROCESSABLE_ENTITY, "The configuration does not fit"),
        Refusal::Storage { .. } => (S::SERVICE_UNAVAILABLE, "The database does not answer"),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let (status, kind, title) = self.parts();
        if let Self::Refused(refusal @ Refusal::Storage { .. }) = &self {
            tracing::error!(error = %refusal, "the registry's database does not answer");
        }
        let mut body = serde_json::json!({
            "type": format!("urn:provesi:problem:{kind}"),
            "title": title,
            "status": status.as_u16(),
            "detail": one_line(&self.to_string()),
        });
        if let Self::Refused(refusal) = &self
            && !refusal.details().is_empty()
        {
            body["breaches"] = serde_json::to_value(refusal.details()).unwrap_or_default();
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if matches!(self, Self::Unauthorized) {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Makes a problem of a panic.
pub(super) async fn contain(request: Request, next: Next) -> Response<Body> {
    match listener::guard(None, next.run(request)).await {
        Ok(response) => response,
        Err(Panicked) => Problem::Panic.into_response(),
    }
}

/// Joins the lines of compilers and databases.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn answer(problem: impl Into<Problem>) -> (Response<()>, serde_json::Value) {
        let (head, body) = problem.into().into_response().into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (Response::from_parts(head, ()), serde_json::from_slice(&body).expect("JSON"))
    }

    #[tokio::test]
    async fn a_refusal_is_a_problem_with_a_stable_type() {
        let (response, body) = answer(Refusal::Invalid("weights add up to 90\n  not to 100".to_owned())).await;
        assert_eq!(response.status().as_u16(), 422);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let expected = serde_json::json!({
            "type": "urn:provesi:problem:invalid-request",
            "title": "The request makes no sense",
            "status": 422,
            "detail": "weights add up to 90 not to 100",
        });
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn a_client_is_told_how_to_go_on() {
        let (response, body) = answer(Problem::Unauthorized).await;
        assert_eq!(response.status().as_u16(), 401);
        assert_eq!(body["type"], "urn:provesi:problem:unauthorized");
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        let busy = Refusal::Busy("reviews".parse().expect("a name"));
        for (problem, status, seconds) in [(Problem::from(busy), 409, "1"), (Problem::UploadsBusy, 503, "5")] {
            let (response, _) = answer(problem).await;
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()["retry-after"], seconds);
        }
        let (response, body) = answer(Problem::TooLarge(ByteSize::mib(64))).await;
        assert_eq!(response.status().as_u16(), 413);
        assert_eq!(body["detail"], "at most 64.0 MiB are taken");
        assert!(!response.headers().contains_key("retry-after"));
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_that_does_not_say_what_broke() {
        let broken = async || -> StatusCode { panic!("a secret of the host") };
        let router: axum::Router = axum::Router::new().route("/", axum::routing::get(broken));
        let router = router.layer(axum::middleware::from_fn(contain));
        let request = axum::http::Request::builder().uri("/").body(Body::empty()).expect("a request");
        let response = tower::ServiceExt::oneshot(router, request).await.expect("an answer");
        assert_eq!(response.status().as_u16(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["type"], "urn:provesi:problem:internal");
        assert!(!body.to_string().contains("secret"), "{body}");
    }
}
