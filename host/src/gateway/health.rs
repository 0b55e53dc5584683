//! What the gateway says of itself and of the services, and its public keys.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

use super::Gateway;

/// The paths below which this module answers.
pub(super) const PATHS: [&str; 2] = ["/health/", "/health/services/"];

/// `GET /health/`.
pub(super) async fn gateway() -> impl IntoResponse {
    Json(json!({ "service": "api-gateway", "status": "ok" }))
}

/// `GET /health/services/`: 503 when a service's database does not answer.
pub(super) async fn services(State(gateway): State<Arc<Gateway>>) -> impl IntoResponse {
    let snapshot = gateway.registry.snapshot();
    let mut services = Vec::new();
    let mut all_up = true;
    for (_, live) in snapshot.services() {
        let revision = live.main();
        let started = Instant::now();
        let up = match revision.linked.database() {
            Some(database) => database.query("SELECT 1", &[]).await.is_ok(),
            None => true,
        };
        all_up &= up;
        services.push(json!({
            "service": revision.service.as_str(),
            "status": if up { "ok" } else { "down" },
            "revision": revision.number.0,
            "latency_ms": (started.elapsed().as_secs_f64() * 1e6).round() / 1e3,
        }));
    }
    let status = if all_up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(services))
}

/// `GET /.well-known/jwks.json`.
pub(super) async fn jwks(State(gateway): State<Arc<Gateway>>) -> impl IntoResponse {
    Json(gateway.identity.jwks().clone())
}
