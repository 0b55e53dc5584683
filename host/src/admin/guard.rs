//! Lets in who shows the token; who does not is noted, in the log and in the audit trail.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;

use super::Admin;
use super::leftover::Leftover;
use super::problem::Problem;
use crate::registry::Actor;

/// Longest part of a path that is noted.
const MAX_NOTED: usize = 200;

/// Admits a request or refuses it, and gives it its line in the log.
pub(super) async fn admit(
    State(admin): State<Arc<Admin>>,
    actor: Actor,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(MAX_NOTED).collect();
    let (request, leftover) = Leftover::keep(request);
    if !bearer(request.headers()).is_some_and(|token| admin.token.matches(token)) {
        tracing::warn!(http.method = %method, http.path = path, actor.by, actor.from, "no admin token, or a wrong one");
        admin.registry.note_denied(&actor, &format!("{method} {path}")).await;
        leftover.discard().await;
        return Err(Problem::Unauthorized);
    }
    let response = next.run(request).await;
    tracing::info!(
        http.method = %method,
        http.path = path,
        http.status = response.status().as_u16(),
        actor.by,
        actor.from,
        duration_ms = started.elapsed().as_secs_f64() * 1000.0,
        "admin request"
    );
    if !response.status().is_success() {
        leftover.discard().await;
    }
    Ok(response)
}

/// Finds the token of `Authorization: Bearer …` (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_behind_the_scheme_bearer_only() {
        let found = |value: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, axum::http::HeaderValue::from_static(value))]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(found("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(found("bearer  abc").as_deref(), Some("abc"));
        for bad in ["", "abc", "Bearer", "Basic abc"] {
            assert_eq!(found(bad), None, "{bad:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
