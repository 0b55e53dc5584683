//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them, each within its bounds.
//!
//! Knows no route: who listens brings its own router. Each request carries its [`Peer`].
//!
//! Some requests never reach a router, and their answers have no body: 400 for a head that is none, for two lengths
//! that differ and for none or several hosts, 431 for too many or too large headers, 414, 501 for CONNECT. A request
//! with `Transfer-Encoding` and `Content-Length` is read by the former alone, and its connection ends with the answer
//! (RFC 9112 §6.1): what a client hides behind it is never read as a request. `Upgrade` is passed over.
//!
//! Not here: the bounds of a body (see the routers).

mod activity;
mod panics;
mod refusal;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

pub use self::activity::Timeouts;
use self::activity::{Activity, Answer, Overdue, Serving};
pub use self::panics::{Panicked, count as panic_count, guard};

/// Pause after an error of `accept`, which most often is a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Headers for which hyper has room on its stack; more cost each request an allocation.
const HEADERS_ON_STACK: usize = 100;

/// Smallest buffer of HTTP/1.1, in bytes; hyper takes no less.
const MIN_BUFFER: usize = 8 << 10;

/// HTTP/2 streams of one connection.
const MAX_STREAMS: u32 = 128;

/// HTTP/2 streams that a client may reset before they are served, and that it may make the host reset by breaking the
/// protocol, until its connection ends (CVE-2023-44487, RUSTSEC-2024-0003).
const MAX_EARLY_RESETS: usize = 20;
const MAX_ERROR_RESETS: usize = 128;

/// What an HTTP/2 client may send before it is read, in bytes, on one stream and on all of a connection.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;

/// Largest frame of HTTP/2, in bytes; the protocol allows no less.
const MAX_FRAME: u32 = 16 << 10;

/// What is kept for an HTTP/2 client until it takes it, in bytes, for one stream.
const MAX_SEND_BUFFER: usize = 64 << 10;

/// Time after which an HTTP/2 client is asked whether it is there, and time it has to say so.
const PING: Duration = Duration::from_secs(20);

/// What one listener may take.
pub struct Bounds {
    /// The configuration's key of the address, for errors.
    pub key: &'static str,
    /// Address and port.
    pub address: SocketAddr,
    /// Largest request head, in bytes.
    pub max_head: usize,
    /// Headers of one request.
    pub max_headers: usize,
    /// How long clients may keep their connections waiting.
    pub timeouts: Timeouts,
    /// Connections served at once; further ones wait in the kernel's backlog.
    ///
    /// They cost nothing there, and their turn comes, because those that are served have their bounds.
    pub max_connections: usize,
    /// Time that running requests have after the stop.
    pub drain: Duration,
}

/// The client's address, put on each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A bound listener.
pub struct Server {
    listener: TcpListener,
    connections: Arc<Semaphore>,
    http: Builder<TokioExecutor>,
    max_headers: usize,
    timeouts: Timeouts,
    drain: Duration,
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {key} = {address}")]
pub struct ServerError {
    key: &'static str,
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

impl Server {
    /// Binds the address.
    ///
    /// # Errors
    /// When it is taken or not allowed.
    pub async fn bind(bounds: impl Into<Bounds>) -> Result<Self, ServerError> {
        let bounds: Bounds = bounds.into();
        let Bounds { key, address, max_headers, timeouts, max_connections, drain, .. } = bounds;
        let http = protocols(&bounds);
        let listener = TcpListener::bind(address).await.map_err(|source| ServerError { key, address, source })?;
        Ok(Self {
            listener,
            connections: Arc::new(Semaphore::new(max_connections)),
            http,
            max_headers,
            timeouts,
            drain,
        })
    }

    /// Returns the address that was bound.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until told to stop, then lets running requests end, within the drain time; what answers is always ready.
    pub async fn serve<S>(self, router: S, stop: CancellationToken)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        let tasks = TaskTracker::new();
        while let Some((stream, peer, permit)) = stop.run_until_cancelled(self.accept()).await {
            // Answers are small and complete: waiting to fill a packet only costs time.
            let _ = stream.set_nodelay(true);
            let activity = Activity::new(self.timeouts);
            let (router, seen, max_headers) = (router.clone(), Arc::clone(&activity), self.max_headers);
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                answer(router.clone(), seen.request(), max_headers, request)
            });
            let connection = self.http.serve_connection(TokioIo::new(stream), service).into_owned();
            let stop = stop.child_token();
            tasks.spawn(async move {
                attend(connection, &activity, &stop).await;
                drop(permit);
            });
        }
        drop(self.listener);
        tasks.close();
        if tokio::time::timeout(self.drain, tasks.wait()).await.is_err() {
            tracing::warn!(connections = tasks.len(), "not all requests ended in time");
        }
    }

    async fn accept(&self) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        let permit = Arc::clone(&self.connections).acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, permit),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Sets what both protocols take.
fn protocols(bounds: &Bounds) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    // hyper's own bound of a head counts from the end of the answer before, so it would be one for idle connections,
    // too; and it begins with the first byte, so it would be none for those that send nothing.
    http.http1().header_read_timeout(None::<Duration>).max_buf_size(bounds.max_head.max(MIN_BUFFER));
    if bounds.max_headers > HEADERS_ON_STACK {
        http.http1().max_headers(bounds.max_headers);
    }
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(PING))
        .keep_alive_timeout(PING)
        .max_header_list_size(u32::try_from(bounds.max_head).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_EARLY_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_send_buf_size(MAX_SEND_BUFFER);
    http
}

/// Answers one request.
async fn answer<S>(
    mut router: S,
    serving: Serving,
    max_headers: usize,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let response = match refusal::of(&request, max_headers) {
        Some(status) => refusal::answer(status, request.version()),
        None => {
            // A body that is none takes no place on the heap.
            let request = request.map(|body| if body.is_end_stream() { Body::empty() } else { Body::new(body) });
            router.call(request).await?
        }
    };
    Ok(serving.answer(response))
}

/// Serves a connection to its end: the client's, the stop, or a bound that has passed.
async fn attend(connection: impl GracefulConnection, activity: &Activity, stop: &CancellationToken) {
    let mut connection = std::pin::pin!(connection);
    let overdue = tokio::select! {
        // What can go on does, before anybody asks for how long it has not.
        biased;
        // A client that breaks off is no event worth a line.
        _ = connection.as_mut() => return,
        overdue = activity.overdue() => overdue,
        () = stop.cancelled() => Overdue::Idle,
    };
    if overdue == Overdue::Stalled {
        return;
    }
    activity.close();
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ = connection.as_mut() => {}
        _ = activity.overdue() => {}
    }
}
