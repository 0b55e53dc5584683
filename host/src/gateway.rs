//! The public listener: HTTP in, HTTP out.
//!
//! id → route → access → body → dispatch → answer. Knows JSON and status codes, and no service by name. The one
//! place that turns an outcome into a status code is `error`.
//!
//! Not here: what runs a request (see `dispatch`), tokens (see `identity`).

mod access;
mod body;
mod error;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod health;
mod request;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;

use self::body::Bodies;
use self::error::ApiError;
use crate::config::{AccessMode, GatewayConfig, Sticky};
use crate::dispatch::{Answer, Dispatch, View};
use crate::identity::Identity;
use crate::listener::{self, Bounds, Panicked, Peer, Timeouts};
use crate::names::RequestId;
use crate::registry::{MatchedRoute, Method, Registry, RouteMatch, Snapshot, Ticket};

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static X_PROVESI_REVISION: HeaderName = HeaderName::from_static("x-provesi-revision");

/// What every request needs.
pub struct Gateway {
    registry: Arc<Registry>,
    dispatch: Arc<Dispatch>,
    identity: Arc<Identity>,
    access: AccessMode,
    behind_tls: bool,
    bodies: Bodies,
    revision_header: bool,
    sticky: Sticky,
    health: tokio::sync::Mutex<Option<health::Known>>,
}

impl From<&GatewayConfig> for Bounds {
    fn from(config: &GatewayConfig) -> Self {
        Self {
            key: "gateway.listen",
            address: config.listen,
            max_head: usize::try_from(config.max_head.as_u64()).unwrap_or(usize::MAX),
            max_headers: config.max_headers,
            timeouts: Timeouts { head: config.head_timeout, idle: config.idle_timeout, write: config.write_timeout },
            max_connections: config.max_connections,
            drain: config.drain,
        }
    }
}

impl Gateway {
    /// Serves what a registry holds.
    pub fn new(
        config: &GatewayConfig,
        registry: Arc<Registry>,
        dispatch: Arc<Dispatch>,
        identity: Arc<Identity>,
    ) -> Self {
        Self {
            registry,
            dispatch,
            identity,
            access: config.access,
            behind_tls: config.behind_tls,
            bodies: Bodies::new(config.max_body, config.body_memory, config.body_timeout),
            revision_header: config.revision_header,
            sticky: config.sticky.clone(),
            health: tokio::sync::Mutex::default(),
        }
    }

    /// Makes the routes of the listener.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/health/", get(health::gateway))
            .route("/health/services/", get(health::services))
            .route("/.well-known/jwks.json", get(health::jwks))
            .method_not_allowed_fallback(async || ApiError::MethodNotAllowed(vec![Method::Get]))
            .fallback(service)
            .with_state(self)
            .layer(axum::middleware::from_fn(observe))
    }
}

/// Gives each request its id and its line in the log; a panic is an answer, too.
async fn observe(mut request: Request<Body>, next: axum::middleware::Next) -> Response<Body> {
    let started = Instant::now();
    let given = request.headers().get(&X_REQUEST_ID).and_then(|value| value.to_str().ok());
    let id = given.and_then(RequestId::accept).unwrap_or_else(RequestId::generate);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(id.clone());
    let mut response = match listener::guard(Some(id.as_str()), next.run(request)).await {
        Ok(response) => response,
        Err(Panicked) => axum::response::IntoResponse::into_response(ApiError::Panic),
    };
    let value = HeaderValue::from_str(id.as_str()).expect("an id has only letters, digits and '-_.'");
    response.headers_mut().insert(X_REQUEST_ID.clone(), value);
    let answered = response.extensions().get::<AnsweredBy>();
    tracing::info!(
        request.id = %id,
        http.method = %method,
        http.path = path,
        http.status = response.status().as_u16(),
        service.name = answered.map(|by| by.service.as_str()),
        service.operation = answered.map(|by| by.operation.as_str()),
        revision.number = answered.map(|by| by.revision),
        duration_ms = started.elapsed().as_secs_f64() * 1000.0,
        "request"
    );
    response
}

/// Who answered, for the log line.
#[derive(Clone)]
struct AnsweredBy {
    service: crate::names::ServiceName,
    operation: String,
    revision: u32,
}

/// Answers what the services' routes cover.
async fn service(
    State(gateway): State<Arc<Gateway>>,
    Extension(id): Extension<RequestId>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let snapshot = gateway.registry.snapshot();
    let path = request.uri().path().to_owned();
    let method = match request.method().as_str() {
        "GET" | "HEAD" => Some(Method::Get),
        "POST" => Some(Method::Post),
        "PUT" => Some(Method::Put),
        "PATCH" => Some(Method::Patch),
        "DELETE" => Some(Method::Delete),
        _ => None,
    };
    if !path.ends_with('/') {
        return with_slash(&snapshot, &request, &path);
    }
    let ticket = gateway.ticket(&request);
    let found = match method {
        Some(method) => snapshot.routes().find(method, &path, ticket),
        None => match snapshot.routes().methods(&path) {
            none if none.is_empty() => RouteMatch::NotFound,
            methods => RouteMatch::OtherMethods(methods),
        },
    };
    let matched = match found {
        RouteMatch::Found(matched) => matched,
        RouteMatch::OtherMethods(methods) => return Err(ApiError::MethodNotAllowed(methods)),
        RouteMatch::BadText => return Err(ApiError::BadPath),
        RouteMatch::NotFound => return Err(ApiError::NotFound),
    };
    let by = AnsweredBy {
        service: matched.revision.service.clone(),
        operation: matched.revision.description.routes[matched.index].operation.clone(),
        revision: matched.revision.number.0,
    };
    let header = matched.revision.header();
    let view = View { snapshot: Arc::clone(&snapshot), ticket, entry: Arc::clone(matched.revision) };
    let mut response = match gateway.answer(view, matched, id, request).await {
        Ok(answer) => gateway.send(answer),
        Err(error) => axum::response::IntoResponse::into_response(error),
    };
    if gateway.revision_header {
        response.headers_mut().insert(X_PROVESI_REVISION.clone(), header);
    }
    response.extensions_mut().insert(by);
    Ok(response)
}

impl Gateway {
    async fn answer(
        &self,
        view: View,
        matched: MatchedRoute<'_>,
        id: RequestId,
        request: Request<Body>,
    ) -> Result<Answer, ApiError> {
        let route = &matched.revision.description.routes[matched.index];
        let (head, body) = request.into_parts();
        let caller = access::admit(route, &head, &self.identity, self.access)?;
        let mut read = self.bodies.read(&head, body, route).await?;
        let body = std::mem::take(&mut read.bytes);
        let request = request::build(route, &head, matched.params, caller, &id, body)?;
        Ok(self.dispatch.handle(view, id, &request).await?)
    }

    /// Draws the ticket by which a request meets its revisions.
    fn ticket(&self, request: &Request<Body>) -> Ticket {
        let text = match &self.sticky {
            Sticky::Request => None,
            Sticky::Caller => access::caller_key(request, &self.identity),
            Sticky::Header(name) => {
                request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            }
        };
        text.map_or_else(Ticket::draw, |text| Ticket::of(&text))
    }

    fn send(&self, answer: Answer) -> Response<Body> {
        let mut response = Response::new(Body::from(answer.body));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        if !response.headers().contains_key(CONTENT_TYPE) && response.status() != StatusCode::NO_CONTENT {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if self.behind_tls {
            access::secure_cookies(response.headers_mut());
        }
        response
    }
}

/// Redirects to the path with a slash, if something answers there.
fn with_slash(snapshot: &Snapshot, request: &Request<Body>, path: &str) -> Result<Response<Body>, ApiError> {
    let path = format!("{path}/");
    if snapshot.routes().methods(&path).is_empty() && !health::PATHS.contains(&path.as_str()) {
        return Err(ApiError::NotFound);
    }
    let location = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let location = HeaderValue::from_str(&location).map_err(|_| ApiError::BadPath)?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

#[cfg(test)]
mod tests;
