//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them, each within its bounds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Gateway, Peer};
use crate::config::GatewayConfig;

/// Pause after an error of `accept`, which most often is a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// HTTP/2 streams of one connection.
const MAX_STREAMS: u32 = 128;

/// A bound listener.
pub struct Server {
    listener: TcpListener,
    connections: Arc<Semaphore>,
    http: Builder<TokioExecutor>,
    drain: Duration,
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on gateway.listen = {address}")]
pub struct ServerError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

impl Server {
    /// Binds the configured address.
    ///
    /// # Errors
    /// When it is taken or not allowed.
    pub async fn bind(config: &GatewayConfig) -> Result<Self, ServerError> {
        let address = config.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| ServerError { address, source })?;
        let head = usize::try_from(config.max_head.as_u64()).unwrap_or(usize::MAX);
        let mut http = Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(config.head_timeout).max_buf_size(head.max(8192));
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(config.head_timeout))
            .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
            .max_concurrent_streams(MAX_STREAMS);
        Ok(Self { listener, connections: Arc::new(Semaphore::new(config.max_connections)), http, drain: config.drain })
    }

    /// Returns the address that was bound.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until told to stop, then lets running requests end, within the drain time.
    pub async fn serve(self, gateway: Arc<Gateway>, stop: CancellationToken) {
        let router = gateway.router();
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

    async fn accept(&self) -> (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit) {
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
