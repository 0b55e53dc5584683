//! What operators look at: services, revisions, the audit trail.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;

use super::Admin;
use super::problem::Problem;
use super::query;
use super::request::Service;
use crate::registry::{AuditEntry, Refusal, RevisionStatus, ServiceStatus};

/// `GET /v1/services`.
pub(super) async fn services(State(admin): State<Arc<Admin>>) -> Json<Vec<ServiceStatus>> {
    let mut services = admin.registry.services();
    admin.registry.fill_in_runs(&mut services).await;
    Json(services)
}

/// `GET /v1/services/{name}`.
pub(super) async fn service(
    State(admin): State<Arc<Admin>>,
    Service(name): Service,
) -> Result<Json<ServiceStatus>, Problem> {
    let mut status = admin.registry.service(&name).ok_or_else(|| Refusal::UnknownService(name.to_string()))?;
    admin.registry.fill_in_runs(std::slice::from_mut(&mut status)).await;
    Ok(Json(status))
}

/// `GET /v1/services/{name}/revisions`, newest first.
pub(super) async fn revisions(
    State(admin): State<Arc<Admin>>,
    Service(name): Service,
) -> Result<Json<Vec<RevisionStatus>>, Problem> {
    Ok(Json(admin.registry.revisions(&name).await?))
}

/// `GET /v1/audit`, newest first.
pub(super) async fn audit(State(admin): State<Arc<Admin>>, uri: Uri) -> Result<Json<Vec<AuditEntry>>, Problem> {
    let (service, limit) = query::audit(&uri)?;
    Ok(Json(admin.registry.audit(service.as_ref(), limit).await?))
}
