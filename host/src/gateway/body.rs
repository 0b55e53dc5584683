//! Reads bodies: each of a bounded size and in a bounded time, and all that are being read in a bounded memory.
//!
//! A body counts as it arrives, not as it is announced, so that nobody can take the room by promising to fill it, and
//! until its request is answered.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use bytesize::ByteSize;
use http_body_util::BodyExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::ApiError;
use crate::registry::Route;

/// What reading bodies may take.
pub(super) struct Bodies {
    /// Largest body, in bytes.
    max: usize,
    /// Time a client has for sending the whole body.
    timeout: Duration,
    /// Bytes that further bodies may have while these are being read.
    room: Semaphore,
}

/// A body that has been read, and the room that it takes until it is dropped.
pub(super) struct Read<'b> {
    pub(super) bytes: Vec<u8>,
    _room: SemaphorePermit<'b>,
}

impl Bodies {
    pub(super) fn new(max: ByteSize, memory: ByteSize, timeout: Duration) -> Self {
        let bytes = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        let room = Semaphore::new(bytes(memory).min(Semaphore::MAX_PERMITS));
        Self { max: bytes(max), timeout, room }
    }

    /// Reads a body; anything but JSON is refused.
    pub(super) async fn read(&self, head: &Parts, body: Body, route: &Route) -> Result<Read<'_>, ApiError> {
        let announced = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > self.max as u64) {
            return Err(ApiError::PayloadTooLarge);
        }
        if announced == Some(0) || http_body::Body::is_end_stream(&body) {
            return Ok(Read { bytes: Vec::new(), _room: self.take(0)? });
        }
        let mut read =
            tokio::time::timeout(self.timeout, self.collect(body)).await.map_err(|_| ApiError::BodyTimeout)??;
        if !route.takes_body {
            read.bytes = Vec::new();
        }
        if !read.bytes.is_empty() && !is_json(head) {
            return Err(ApiError::UnsupportedMediaType);
        }
        Ok(read)
    }

    async fn collect(&self, mut body: Body) -> Result<Read<'_>, ApiError> {
        let mut held = self.take(0)?;
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            // What is no data are trailers, which nobody asks for.
            let Ok(data) = frame.map_err(|_| ApiError::BodyBroken)?.into_data() else { continue };
            if data.len() > self.max - bytes.len() {
                return Err(ApiError::PayloadTooLarge);
            }
            held.merge(self.take(data.len())?);
            bytes.extend_from_slice(&data);
        }
        Ok(Read { bytes, _room: held })
    }

    /// Takes room for some bytes if there is as much.
    fn take(&self, bytes: usize) -> Result<SemaphorePermit<'_>, ApiError> {
        let bytes = u32::try_from(bytes).map_err(|_| ApiError::PayloadTooLarge)?;
        self.room.try_acquire_many(bytes).map_err(|_| ApiError::BodiesFull)
    }
}

fn is_json(head: &Parts) -> bool {
    let value = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use futures::StreamExt as _;
    use std::convert::Infallible;

    const LONG: Duration = Duration::from_secs(60);

    fn bodies(max: u64, memory: u64, timeout: Duration) -> Bodies {
        Bodies::new(ByteSize::b(max), ByteSize::b(memory), timeout)
    }

    fn chunks(chunks: &[&'static str]) -> Body {
        let chunks: Vec<_> =
            chunks.iter().map(|chunk| Ok::<_, Infallible>(Bytes::from_static(chunk.as_bytes()))).collect();
        Body::from_stream(futures::stream::iter(chunks))
    }

    /// A body that does not end.
    fn endless(chunk: &'static str) -> Body {
        let first = futures::stream::iter([Ok::<_, Infallible>(Bytes::from_static(chunk.as_bytes()))]);
        Body::from_stream(first.chain(futures::stream::pending()))
    }

    #[tokio::test]
    async fn a_body_of_many_parts_is_read_whole_up_to_its_size() {
        let bodies = bodies(4, 4, LONG);
        assert_eq!(bodies.collect(chunks(&["12", "", "34"])).await.expect("fits").bytes, b"1234");
        let large = bodies.collect(chunks(&["12", "34", "5"])).await;
        assert!(matches!(large, Err(ApiError::PayloadTooLarge)));
        let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]);
        assert!(matches!(bodies.collect(Body::from_stream(broken)).await, Err(ApiError::BodyBroken)));
        assert_eq!(bodies.room.available_permits(), 4, "all room is given back");
    }

    #[tokio::test]
    async fn bodies_that_are_being_read_share_the_memory() {
        let bodies = bodies(4, 6, LONG);
        let mut first = Box::pin(bodies.collect(endless("1234")));
        assert!(futures::poll!(&mut first).is_pending());
        let second = bodies.collect(chunks(&["12"])).await.expect("fits");
        assert_eq!(second.bytes, b"12");
        assert!(
            matches!(bodies.collect(chunks(&["1"])).await, Err(ApiError::BodiesFull)),
            "read, and not yet answered"
        );
        drop(second);
        assert!(matches!(bodies.collect(chunks(&["12", "3"])).await, Err(ApiError::BodiesFull)));
        drop(first);
        assert_eq!(bodies.collect(chunks(&["12", "3"])).await.expect("fits").bytes, b"123");
    }
}
