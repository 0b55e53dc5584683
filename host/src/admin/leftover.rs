//! What a refused client still sends is read, within bounds: if the connection ended under it, it would never get to
//! read why it was refused.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};

/// What is read of a body that nobody wants, in bytes and in time.
const MAX_DISCARDED: usize = 1 << 20;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// A body that is still there when who was to read it has dropped it.
#[derive(Clone)]
pub(super) struct Leftover(Arc<Mutex<Body>>);

impl Leftover {
    /// Keeps the body of a request, and gives the request with it.
    pub(super) fn keep(request: Request) -> (Request, Self) {
        let (head, body) = request.into_parts();
        let kept = Self(Arc::new(Mutex::new(body)));
        (Request::from_parts(head, Body::new(kept.clone())), kept)
    }

    /// Reads what nobody has read.
    pub(super) async fn discard(self) {
        let _ = tokio::time::timeout(DISCARD_TIMEOUT, Limited::new(self, MAX_DISCARDED).collect()).await;
    }

    fn with<R>(&self, act: impl FnOnce(&mut Body) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HttpBody for Leftover {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::StreamExt as _;

    use super::*;

    /// A request whose body counts the pieces that were read of it.
    fn request(pieces: usize, size: usize) -> (Request, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&read);
        let stream = futures::stream::iter(0..pieces).map(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from(vec![0; size]))
        });
        (Request::new(Body::from_stream(stream)), read)
    }

    #[tokio::test]
    async fn what_its_reader_has_dropped_is_read_to_its_end() {
        let (request, read) = request(10, 8);
        let (request, leftover) = Leftover::keep(request);
        let mut body = request.into_body();
        body.frame().await.expect("it has frames").expect("it is whole");
        drop(body);
        assert_eq!(read.load(Ordering::Relaxed), 1);
        leftover.discard().await;
        assert_eq!(read.load(Ordering::Relaxed), 10);
    }

    #[tokio::test]
    async fn what_has_no_end_is_read_up_to_a_bound() {
        let (request, read) = request(usize::MAX, MAX_DISCARDED / 4);
        let (_, leftover) = Leftover::keep(request);
        leftover.discard().await;
        assert_eq!(read.load(Ordering::Relaxed), 5, "the last one is over the bound");
    }

    #[tokio::test]
    async fn who_sends_nothing_is_waited_for_a_bounded_time() {
        let body = Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>());
        let (_, leftover) = Leftover::keep(Request::new(body));
        tokio::time::timeout(Duration::from_secs(60), leftover.discard()).await.expect("it gives up long before");
    }
}
