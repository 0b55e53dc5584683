//! The demo as a native server: the routes, statements, JSON, pool sizes and log lines of the host with its four
//! services, written with axum and sqlx in the way one would write it without components.
//!
//! It answers from the databases that a host has made, and admits the tokens that this host signs. What all of it
//! has in common is the host's own: the listener, the log, the defaults of the configuration. So what differs is how
//! a request is answered.
//!
//! Not here: who starts it (see `compare`), log-ins and everything else that is not measured.

mod access;
mod answer;
mod database;
mod inventory;
mod orders;
mod products;
mod users;
mod values;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use provesi::config::{GatewayConfig, Limits, LogConfig};
use provesi::listener::Server;
use provesi::names::RequestId;
use serde::Serialize;
use tokio::sync::Semaphore;

use self::access::Tokens;
use self::answer::{Answer, ApiError, Operation};
use self::database::Database;

/// First argument of a process that is the twin.
pub(crate) const MODE: &str = "twin";

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

static HELLO: Operation = Operation::new("hello", "hello");

/// Everything that is counted.
static OPERATIONS: [&Operation; 5] = [&HELLO, &inventory::LIST, &orders::CREATE, &products::GET, &products::LIST];

/// What every request needs.
struct App {
    auth: Database,
    products: Database,
    inventory: Database,
    orders: Database,
    tokens: Tokens,
    limits: Limits,
    running: Semaphore,
}

/// The answer of `GET /api/hello/`.
#[derive(Serialize)]
struct Hello {
    message: &'static str,
}

/// Serves on a free port, which the log names, until SIGTERM; `data` and `url` are the host's.
///
/// # Errors
/// When the host's databases or keys cannot be used.
pub(crate) fn run(data: &Path, url: &str) -> anyhow::Result<()> {
    provesi::telemetry::install(&LogConfig::default().filter)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = provesi::shutdown::on_signal()?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let gateway = GatewayConfig { listen, ..GatewayConfig::default() };
        let max_body = usize::try_from(gateway.max_body.as_u64())?;
        let app = Arc::new(App::open(data, url).await?);
        let server = Server::bind(&gateway).await?;
        let address = server.address()?;
        tracing::info!(%address, "serving");
        server.serve(router(app, max_body), stop).await;
        Ok(())
    })
}

impl App {
    async fn open(data: &Path, url: &str) -> anyhow::Result<Self> {
        let limits = Limits::default();
        let running = Semaphore::new(usize::try_from(limits.concurrency)?);
        Ok(Self {
            auth: Database::open(data, url, "auth").await?,
            products: Database::open(data, url, "products").await?,
            inventory: Database::open(data, url, "inventory").await?,
            orders: Database::open(data, url, "orders").await?,
            tokens: Tokens::load(data)?,
            limits,
            running,
        })
    }
}

fn router(app: Arc<App>, max_body: usize) -> Router {
    Router::new()
        .route("/api/hello/", get(hello))
        .route("/api/products/", get(products::list))
        .route("/api/products/{id}/", get(products::get))
        .route("/api/inventory/{product_name}/", get(inventory::list))
        .route("/api/orders/{product_name}/", post(orders::create))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(max_body))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), observe))
        .with_state(app)
}

/// Keeps a request within its limits, counts it, and gives it its id and its line in the log.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let given = request.headers().get(&X_REQUEST_ID).and_then(|value| value.to_str().ok());
    let id = given.and_then(RequestId::accept).unwrap_or_else(RequestId::generate);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answering = async {
        let _permit = app.running.acquire().await.expect("the semaphore is never closed");
        next.run(request).await
    };
    let answered = tokio::time::timeout(app.limits.deadline, answering).await;
    let mut response = answered.unwrap_or_else(|_| ApiError::late().into_response());
    let value = HeaderValue::from_str(id.as_str()).expect("an id has only letters, digits and '-_.'");
    response.headers_mut().insert(X_REQUEST_ID.clone(), value);
    let operation = response.extensions().get::<&'static Operation>().copied();
    if let Some(operation) = operation {
        operation.count(response.status(), started.elapsed());
    }
    tracing::info!(
        request.id = %id,
        http.method = %method,
        http.path = path,
        http.status = response.status().as_u16(),
        service.name = operation.map(|operation| operation.service),
        service.operation = operation.map(|operation| operation.name),
        revision.number = operation.map(|_| 1_u32),
        duration_ms = started.elapsed().as_secs_f64() * 1000.0,
        "request"
    );
    response
}

async fn hello() -> Answer {
    Answer::json(&HELLO, StatusCode::OK, &Hello { message: "hello" })
}

async fn metrics() -> String {
    OPERATIONS.iter().map(|operation| operation.render()).collect()
}
