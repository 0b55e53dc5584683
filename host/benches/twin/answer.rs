//! What goes back to a client, and what is counted of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;

/// What a route does: its names in the log, and its counters.
pub(super) struct Operation {
    pub(super) service: &'static str,
    pub(super) name: &'static str,
    requests: AtomicU64,
    failed: AtomicU64,
    micros: AtomicU64,
}

/// A JSON body and who made it.
pub(super) struct Answer {
    operation: &'static Operation,
    status: StatusCode,
    body: Vec<u8>,
}

/// Why there is no answer.
pub(super) struct ApiError {
    status: StatusCode,
    key: &'static str,
    message: String,
}

impl Operation {
    pub(super) const fn new(service: &'static str, name: &'static str) -> Self {
        let (requests, failed, micros) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { service, name, requests, failed, micros }
    }

    /// Counts a request that has ended.
    pub(super) fn count(&self, status: StatusCode, took: Duration) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(status.is_server_error()), Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Writes the counters in the format of Prometheus.
    pub(super) fn render(&self) -> String {
        let labels = format!("{{service=\"{}\",operation=\"{}\"}}", self.service, self.name);
        let counters = [("requests", &self.requests), ("failures", &self.failed), ("microseconds", &self.micros)];
        let line = |(name, counter): (&str, &AtomicU64)| {
            format!("twin_{name}_total{labels} {}\n", counter.load(Ordering::Relaxed))
        };
        counters.map(line).concat()
    }
}

impl Answer {
    pub(super) fn json<T: Serialize>(operation: &'static Operation, status: StatusCode, value: &T) -> Self {
        let body = serde_json::to_vec(value).expect("an answer has only keys that are text");
        Self { operation, status, body }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response<Body> {
        let mut response = json(self.status, self.body);
        response.extensions_mut().insert(self.operation);
        response
    }
}

impl ApiError {
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, key: "error", message: message.into() }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, key: "error", message: message.into() }
    }

    pub(super) fn unauthenticated() -> Self {
        let message = "Las credenciales de autenticación no se proveyeron.".to_owned();
        Self { status: StatusCode::UNAUTHORIZED, key: "detail", message }
    }

    pub(super) fn forbidden() -> Self {
        let message = "Usted no tiene permiso para realizar esta acción.".to_owned();
        Self { status: StatusCode::FORBIDDEN, key: "detail", message }
    }

    pub(super) fn late() -> Self {
        let message = "El servicio no respondió a tiempo".to_owned();
        Self { status: StatusCode::GATEWAY_TIMEOUT, key: "error", message }
    }

    pub(super) fn unavailable() -> Self {
        let message = "El servicio no está disponible".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, key: "error", message }
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(error = format!("{error:#}"), "the database failed");
        Self::unavailable()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let body = serde_json::json!({ self.key: self.message });
        json(self.status, body.to_string().into_bytes())
    }
}

fn json(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
