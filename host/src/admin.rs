//! The operators' listener: deploy, watch, split traffic, roll back.
//!
//! Everything below `/v1/` needs the token of `DATA/admin-token`, also what does not exist there. A change that has
//! begun goes on to its end when its client goes away: a state that nobody knows is worse than either.
//!
//! Not here: what a change does and its audit trail (see `registry`), the socket (see `listener`).

mod backlog;
mod changes;
mod events;
mod guard;
mod health;
mod leftover;
mod letters;
mod problem;
mod query;
mod request;
mod state;
mod token;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post, put};
use bytesize::ByteSize;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::letters::Letters;
use self::problem::Problem;
pub use self::token::{AdminToken, TokenError};
use crate::config::AdminConfig;
use crate::feed::Feed;
use crate::listener::{Bounds, Timeouts};
use crate::registry::Registry;

/// Components held in memory at once: with 64 MiB each, and twice that while one arrives, half a GiB at most.
const UPLOADS: usize = 4;

/// Connections at once: people, scripts, probes, and each follower of the events.
const MAX_CONNECTIONS: usize = 128;

/// Largest request head, in bytes.
const MAX_HEAD: usize = 32 << 10;

/// Headers of one request.
const MAX_HEADERS: usize = 100;

/// How long a client may keep its connection waiting; a follower of the events is sent something twice in `write`.
const TIMEOUTS: Timeouts =
    Timeouts { head: Duration::from_secs(10), idle: Duration::from_secs(75), write: Duration::from_secs(30) };

/// Renders the text of `/metrics`.
pub type Metrics = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// What every request of an operator needs.
pub struct Admin {
    registry: Arc<Registry>,
    feed: Arc<Feed>,
    letters: Letters,
    token: AdminToken,
    metrics: Metrics,
    max_component: ByteSize,
    upload_timeout: Duration,
    drain: Duration,
    uploads: Arc<Semaphore>,
    work: TaskTracker,
}

impl From<&AdminConfig> for Bounds {
    fn from(config: &AdminConfig) -> Self {
        Self {
            key: "admin.listen",
            address: config.listen,
            max_head: MAX_HEAD,
            max_headers: MAX_HEADERS,
            timeouts: TIMEOUTS,
            max_connections: MAX_CONNECTIONS,
            drain: config.drain,
        }
    }
}

impl Admin {
    /// Serves a registry to whoever has the token.
    pub fn new(
        registry: Arc<Registry>,
        feed: Arc<Feed>,
        letters: Letters,
        token: AdminToken,
        config: &AdminConfig,
        metrics: Metrics,
    ) -> Self {
        Self {
            registry,
            feed,
            letters,
            token,
            metrics,
            max_component: config.max_component,
            upload_timeout: config.upload_timeout,
            drain: config.drain,
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            work: TaskTracker::new(),
        }
    }

    /// Makes the routes; streams of events end when told to stop.
    pub fn router(self: Arc<Self>, stop: CancellationToken) -> Router {
        let follow = move |State(admin): State<Arc<Self>>| async move { events::answer(admin.feed.subscribe(), stop) };
        let open = Router::new()
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(health::metrics))
            .method_not_allowed_fallback(async || Problem::MethodNotAllowed);
        let guarded = Router::new()
            .route("/v1/services", get(state::services))
            .route("/v1/services/{name}", get(state::service).delete(changes::remove))
            .route("/v1/services/{name}/revisions", get(state::revisions).post(changes::deploy))
            .route("/v1/services/{name}/check", post(changes::check))
            .route("/v1/services/{name}/traffic", put(changes::traffic))
            .route("/v1/services/{name}/rollback", post(changes::roll_back))
            .route("/v1/audit", get(state::audit))
            .route("/v1/events", get(follow))
            .route("/v1/dead-letters", get(letters::list))
            .route("/v1/dead-letters/{id}", get(letters::show).delete(letters::discard))
            .route("/v1/dead-letters/{id}/replay", post(letters::replay))
            .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
            .fallback(async || Problem::NotFound)
            .layer(from_fn_with_state(Arc::clone(&self), guard::admit));
        open.merge(guarded).with_state(self).layer(from_fn(problem::contain))
    }

    /// Waits for changes whose clients have gone, within the drain time; to be called when the listener has ended.
    pub async fn drain(&self) {
        self.work.close();
        if tokio::time::timeout(self.drain, self.work.wait()).await.is_err() {
            tracing::warn!(changes = self.work.len(), "not all changes ended in time");
        }
    }

    /// Runs a change to its end, whether or not somebody still waits for it.
    async fn to_its_end<T: Send + 'static, E: Into<Problem> + Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, Problem> {
        match self.work.spawn(change).await {
            Ok(outcome) => outcome.map_err(Into::into),
            Err(error) => {
                tracing::error!(%error, "a change broke off");
                Err(Problem::BrokeOff)
            }
        }
    }
}
