//! What operators change: deploy, check, split traffic, roll back, remove.
//!
//! Each goes on to its end on the tracker of [`Admin`], also a check: it holds a component in memory, and what bounds
//! these must count it for as long as it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::Admin;
use super::problem::Problem;
use super::query;
use super::request::{self, Service, Upload};
use crate::names::RevisionNumber;
use crate::registry::{Actor, Checked, Deployed, Moved};

/// `POST /v1/services/{name}/revisions[?activate=false|canary=10]`.
pub(super) async fn deploy(
    State(admin): State<Arc<Admin>>,
    Service(name): Service,
    actor: Actor,
    request: Request,
) -> Result<(StatusCode, Json<Deployed>), Problem> {
    let activation = query::activation(request.uri())?;
    let Upload { bytes, permit } = admin.receive(request).await?;
    let registry = Arc::clone(&admin.registry);
    let deploy = async move {
        let outcome = registry.deploy(&name, bytes, activation, &actor).await;
        drop(permit);
        outcome
    };
    Ok((StatusCode::CREATED, Json(admin.to_its_end(deploy).await?)))
}

/// `POST /v1/services/{name}/check`: what a deploy would say, changing nothing.
pub(super) async fn check(
    State(admin): State<Arc<Admin>>,
    Service(name): Service,
    actor: Actor,
    request: Request,
) -> Result<Json<Checked>, Problem> {
    let Upload { bytes, permit } = admin.receive(request).await?;
    let registry = Arc::clone(&admin.registry);
    let check = async move {
        let outcome = registry.check(&name, bytes, &actor).await;
        drop(permit);
        outcome
    };
    Ok(Json(admin.to_its_end(check).await?))
}

/// Body of `PUT …/traffic`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Traffic {
    weights: BTreeMap<RevisionNumber, u8>,
}

/// `PUT /v1/services/{name}/traffic`.
pub(super) async fn traffic(
    State(admin): State<Arc<Admin>>,
    Service(name): Service,
    actor: Actor,
    request: Request,
) -> Result<Json<Moved>, Problem> {
    let Traffic { weights } = request::parse(&request::small_body(request).await?)?;
    let registry = Arc::clone(&admin.registry);
    let change = async move { registry.set_traffic(&name, &weights, &actor).await };
    Ok(Json(admin.to_its_end(change).await?))
}

/// Body of `POST …/rollback`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    to: Option<RevisionNumber>,
}

/// `POST /v1/services/{name}/rollback`; without a body it goes to the revision that served before.
pub(super) async fn roll_back(
    State(admin): State<Arc<Admin>>,
    Service(name): Service,
    actor: Actor,
    request: Request,
) -> Result<Json<Moved>, Problem> {
    let body = request::small_body(request).await?;
    let Rollback { to } = if body.is_empty() { Rollback::default() } else { request::parse(&body)? };
    let registry = Arc::clone(&admin.registry);
    let change = async move { registry.roll_back(&name, to, &actor).await };
    Ok(Json(admin.to_its_end(change).await?))
}

/// `DELETE /v1/services/{name}`.
pub(super) async fn remove(
    State(admin): State<Arc<Admin>>,
    Service(name): Service,
    actor: Actor,
) -> Result<StatusCode, Problem> {
    let registry = Arc::clone(&admin.registry);
    admin.to_its_end(async move { registry.remove(&name, &actor).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_by_revision() {
        let Traffic { weights } = request::parse(br#"{"weights": {"7": 10, "6": 90}}"#).expect("valid");
        assert_eq!(weights, BTreeMap::from([(RevisionNumber(6), 90), (RevisionNumber(7), 10)]));
        for bad in [r#"{}"#, r#"{"weights": {"x": 1}}"#, r#"{"weights": {"1": 300}}"#, r#"{"weights": {}, "a": 1}"#] {
            assert!(request::parse::<Traffic>(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rollback_may_name_a_revision() {
        let to = |text: &str| request::parse::<Rollback>(text.as_bytes()).map(|rollback| rollback.to);
        assert_eq!(to("{}").expect("valid"), None);
        assert_eq!(to(r#"{"to": 6}"#).expect("valid"), Some(RevisionNumber(6)));
        assert!(to(r#"{"revision": 6}"#).is_err());
    }
}
