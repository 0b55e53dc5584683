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

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::get;
use http_body::Body as _;
use tower::{Service, ServiceExt as _};

use self::body::Bodies;
use self::error::ApiError;
use crate::config::{AccessMode, GatewayConfig, Sticky};
use crate::dispatch::{Answer, Dispatch, View};
use crate::identity::Identity;
use crate::listener::{self, Bounds, Panicked, Peer, Timeouts};
use crate::names::RequestId;
use crate::registry::{MatchedRoute, Method, Registry, Revision, RouteMatch, Snapshot, Ticket};

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

    /// Makes what answers on the listener; it is always ready.
    ///
    /// Only the host's own paths go through a router: nearly every request is one for a service, whose route the
    /// snapshot knows.
    pub fn service(
        self: Arc<Self>,
    ) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + 'static {
        let [gateway, services, jwks] = health::PATHS;
        let own: Router = Router::new()
            .route(gateway, get(health::gateway))
            .route(services, get(health::services))
            .route(jwks, get(health::jwks))
            .method_not_allowed_fallback(async || ApiError::MethodNotAllowed(vec![Method::Get]))
            .with_state(Arc::clone(&self));
        tower::service_fn(move |request: Request<Body>| {
            let gateway = Arc::clone(&self);
            let own = health::PATHS.contains(&request.uri().path()).then(|| own.clone());
            let answer = move |request: Request<Body>, id: RequestId| -> Answering {
                let Some(own) = own else { return Box::pin(gateway.serve(id, request)) };
                Box::pin(async move {
                    let Ok(response) = own.oneshot(request).await;
                    Answered { response, by: None }
                })
            };
            async move { Ok::<_, Infallible>(observe(request, answer).await) }
        })
    }
}

/// An answer, and who gave it.
struct Answered {
    response: Response<Body>,
    /// The revision and the place of its route; none when no service was asked.
    by: Option<(Arc<Revision>, usize)>,
}

/// An answer that is being made. On the heap from the start: on its way into a connection it would be moved several
/// times.
type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

impl From<ApiError> for Answered {
    fn from(error: ApiError) -> Self {
        Self { response: error.into_response(), by: None }
    }
}

/// Gives each request its id and its line in the log; a panic is an answer, too.
async fn observe<F>(request: Request<Body>, answer: impl FnOnce(Request<Body>, RequestId) -> F) -> Response<Body>
where
    F: Future<Output = Answered>,
{
    let started = Instant::now();
    let given = request.headers().get(&X_REQUEST_ID).and_then(|value| value.to_str().ok());
    let id = given.and_then(RequestId::accept).unwrap_or_else(RequestId::generate);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let answered = listener::guard(Some(id.as_str()), answer(request, id.clone())).await;
    let Answered { mut response, by } = answered.unwrap_or_else(|Panicked| ApiError::Panic.into());
    let value = HeaderValue::from_str(id.as_str()).expect("an id has only letters, digits and '-_.'");
    response.headers_mut().insert(X_REQUEST_ID.clone(), value);
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    if method == axum::http::Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    let by = by.as_ref();
    tracing::info!(
        request.id = id.as_str(),
        http.method = method.as_str(),
        http.path = uri.path(),
        http.status = response.status().as_u16(),
        service.name = by.map(|(revision, _)| revision.service.as_str()),
        service.operation = by.map(|(revision, route)| revision.description.routes[*route].operation.as_str()),
        revision.number = by.map(|(revision, _)| revision.number.0),
        duration_ms = started.elapsed().as_secs_f64() * 1000.0,
        "request"
    );
    response
}

/// Finds the route of a request.
fn find<'s>(snapshot: &'s Snapshot, request: &Request<Body>, ticket: Ticket) -> Result<MatchedRoute<'s>, ApiError> {
    let path = request.uri().path();
    let method = match request.method().as_str() {
        "GET" | "HEAD" => Some(Method::Get),
        "POST" => Some(Method::Post),
        "PUT" => Some(Method::Put),
        "PATCH" => Some(Method::Patch),
        "DELETE" => Some(Method::Delete),
        _ => None,
    };
    let found = match method {
        Some(method) => snapshot.routes().find(method, path, ticket),
        None => match snapshot.routes().methods(path) {
            none if none.is_empty() => RouteMatch::NotFound,
            methods => RouteMatch::OtherMethods(methods),
        },
    };
    match found {
        RouteMatch::Found(matched) => Ok(matched),
        RouteMatch::OtherMethods(methods) => Err(ApiError::MethodNotAllowed(methods)),
        RouteMatch::BadText => Err(ApiError::BadPath),
        RouteMatch::NotFound => Err(ApiError::NotFound),
    }
}

impl Gateway {
    /// Answers what the services' routes cover.
    async fn serve(self: Arc<Self>, id: RequestId, request: Request<Body>) -> Answered {
        let snapshot = self.registry.snapshot();
        if !request.uri().path().ends_with('/') {
            return Answered { response: with_slash(&snapshot, &request).into_response(), by: None };
        }
        let ticket = self.ticket(&request);
        let matched = match find(&snapshot, &request, ticket) {
            Ok(matched) => matched,
            Err(error) => return error.into(),
        };
        let (revision, route) = (Arc::clone(matched.revision), matched.index);
        let view = View { snapshot: Arc::clone(&snapshot), ticket, entry: Arc::clone(&revision) };
        let mut response = match self.answer(view, matched, id, request).await {
            Ok(answer) => self.send(answer),
            Err(error) => error.into_response(),
        };
        if self.revision_header {
            response.headers_mut().insert(X_PROVESI_REVISION.clone(), revision.header());
        }
        Answered { response, by: Some((revision, route)) }
    }

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
        // On the heap: it is the largest of the futures, and each around it would be moved with it.
        Ok(Box::pin(self.dispatch.handle(view, id, Arc::new(request))).await?)
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
fn with_slash(snapshot: &Snapshot, request: &Request<Body>) -> Result<Response<Body>, ApiError> {
    let path = format!("{}/", request.uri().path());
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
