//! What the gateway says of itself and of the services, and its public keys.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::Gateway;
use crate::registry::Revision;

/// How long what was found is told again: probes come more often, and from several.
const FRESH: Duration = Duration::from_millis(500);

/// How long a database may take that is well.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was found the last time.
pub(super) struct Known {
    at: Instant,
    status: StatusCode,
    services: Value,
}

/// The paths at which this module answers: of the gateway itself, of the services, and of the keys.
pub(super) const PATHS: [&str; 3] = ["/health/", "/health/services/", "/.well-known/jwks.json"];

/// `GET /health/`.
pub(super) async fn gateway() -> impl IntoResponse {
    Json(json!({ "service": "api-gateway", "status": "ok" }))
}

/// `GET /health/services/`: 503 when a service's database does not answer.
pub(super) async fn services(State(gateway): State<Arc<Gateway>>) -> impl IntoResponse {
    // One at a time, however many ask: the connections are for the services.
    let mut last = gateway.health.lock().await;
    if let Some(known) = last.as_ref().filter(|known| known.at.elapsed() < FRESH) {
        return (known.status, Json(known.services.clone()));
    }
    let snapshot = gateway.registry.snapshot();
    let found = futures::future::join_all(snapshot.services().map(|(_, live)| check(live.main()))).await;
    let all_up = found.iter().all(|(up, _)| *up);
    let status = if all_up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let services = Value::Array(found.into_iter().map(|(_, service)| service).collect());
    *last = Some(Known { at: Instant::now(), status, services: services.clone() });
    (status, Json(services))
}

async fn check(revision: &Revision) -> (bool, Value) {
    let started = Instant::now();
    let up = match revision.linked.database() {
        Some(database) => {
            let asked = tokio::time::timeout(PATIENCE, database.query("SELECT 1", &[])).await;
            asked.is_ok_and(|answer| answer.is_ok())
        }
        None => true,
    };
    let service = json!({
        "service": revision.service.as_str(),
        "status": if up { "ok" } else { "down" },
        "revision": revision.number.0,
        "latency_ms": (started.elapsed().as_secs_f64() * 1e6).round() / 1e3,
    });
    (up, service)
}

/// `GET /.well-known/jwks.json`.
pub(super) async fn jwks(State(gateway): State<Arc<Gateway>>) -> impl IntoResponse {
    Json(gateway.identity.jwks().clone())
}
