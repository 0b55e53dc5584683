//! What operators look at: services, revisions, the audit trail.
//!
//! What lives is known here. What databases know besides is waited for a short time, and is unknown without them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use tokio::time::timeout;

use super::Admin;
use super::backlog::ServiceView;
use super::problem::Problem;
use super::query;
use super::request::Service;
use crate::events::SURVEY_TIMEOUT;
use crate::registry::{AuditEntry, Refusal, RevisionStatus, ServiceStatus};

/// `GET /v1/services`.
pub(super) async fn services(State(admin): State<Arc<Admin>>) -> Json<Vec<ServiceView>> {
    Json(complete(&admin, admin.registry.services()).await)
}

/// `GET /v1/services/{name}`.
pub(super) async fn service(
    State(admin): State<Arc<Admin>>,
    Service(name): Service,
) -> Result<Json<ServiceView>, Problem> {
    let unknown = || Problem::from(Refusal::UnknownService(name.to_string()));
    let status = admin.registry.service(&name).ok_or_else(unknown)?;
    complete(&admin, vec![status]).await.pop().map(Json).ok_or_else(unknown)
}

/// Adds what databases know: runs of tasks, and what waits of events.
async fn complete(admin: &Admin, mut services: Vec<ServiceStatus>) -> Vec<ServiceView> {
    let runs = timeout(SURVEY_TIMEOUT, admin.registry.fill_in_runs(&mut services));
    let (runs, found) = futures::join!(runs, admin.letters.survey.take());
    if runs.is_err() {
        tracing::warn!("the database does not say in time when tasks have run");
    }
    services.into_iter().map(|status| ServiceView::new(status, &found)).collect()
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
