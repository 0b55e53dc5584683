//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them, each within its bounds.
//!
//! Knows no route: who listens brings its own router. Each request carries its [`Peer`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause after an error of `accept`, which most often is a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// HTTP/2 streams of one connection.
const MAX_STREAMS: u32 = 128;

/// What one listener may take.
pub struct Bounds {
    /// The configuration's key of the address, for errors.
    pub key: &'static str,
    /// Address and port.
    pub address: SocketAddr,
    /// Largest request head, in bytes.
    pub max_head: usize,
    /// Time a client has for sending the head.
    pub head_timeout: Duration,
    /// Connections served at once; further ones wait in the kernel's backlog.
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
        let Bounds { key, address, max_head, head_timeout, max_connections, drain } = bounds.into();
        let listener = TcpListener::bind(address).await.map_err(|source| ServerError { key, address, source })?;
        let mut http = Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(max_head.max(8192));
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(head_timeout))
            .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX))
            .max_concurrent_streams(MAX_STREAMS);
        Ok(Self { listener, connections: Arc::new(Semaphore::new(max_connections)), http, drain })
    }

    /// Returns the address that was bound.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until told to stop, then lets running requests end, within the drain time.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let graceful = GracefulShutdown::new();
        let tasks = TaskTracker::new();
        while let Some(accepted) = stop.run_until_cancelled(self.accept()).await {
            let (stream, peer, permit) = accepted;
            // Answers are small and complete: waiting to fill a packet only costs time.
            let _ = stream.set_nodelay(true);
            let router = router.clone();
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                tower::Service::call(&mut router.clone(), request)
            });
            let connection = self.http.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
            let connection = graceful.watch(connection);
            tasks.spawn(async move {
                // A client that breaks off is no event worth a line.
                let _ = connection.await;
                drop(permit);
            });
        }
        drop(self.listener);
        tasks.close();
        let drained = async {
            graceful.shutdown().await;
            tasks.wait().await;
        };
        if tokio::time::timeout(self.drain, drained).await.is_err() {
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
