//! The body of an answer: so many bytes, and never a wait without an end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep_until};
use wasmtime_wasi_http::Error;

use super::exchange::{broken, by};

/// Bytes of one answer: as many as a service can answer itself.
const MAX_BYTES: usize = 8 << 20;

/// A body as it comes in.
pub(super) struct Answer<B = Incoming> {
    incoming: B,
    left: usize,
    between: Option<Duration>,
    deadline: Instant,
    /// Ends the wait for the next piece, while there is one.
    wait: Option<Pin<Box<Sleep>>>,
}

impl<B> Answer<B> {
    /// Waits for each piece as long as the guest wants, and until the deadline.
    pub(super) fn new(incoming: B, between: Option<Duration>, deadline: Instant) -> Self {
        Self { incoming, left: MAX_BYTES, between, deadline, wait: None }
    }
}

impl<B: Body<Data = Bytes, Error = hyper::Error> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Poll::Ready(next) = Pin::new(&mut this.incoming).poll_frame(cx) else {
            let until = by(this.between, this.deadline);
            ready!(this.wait.get_or_insert_with(|| Box::pin(sleep_until(until))).as_mut().poll(cx));
            return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
        };
        this.wait = None;
        Poll::Ready(next.map(|frame| -> Result<Frame<Bytes>, Error> {
            let frame = frame.map_err(|error| broken(&error))?;
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            this.left = this.left.checked_sub(bytes).ok_or(Error::HttpResponseBodySize(Some(MAX_BYTES as u64)))?;
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body_util::BodyExt as _;

    use super::*;

    /// Pieces that are there, and then none for ever.
    struct Pieces(VecDeque<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = hyper::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
            self.0.pop_front().map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(Frame::data(piece)))))
        }
    }

    #[tokio::test]
    async fn an_answer_ends_at_its_bound() {
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        let pieces = Pieces(std::iter::repeat_n(piece, 9).collect());
        let mut answer = Answer::new(pieces, None, Instant::now() + Duration::from_secs(60));
        for _ in 0..8 {
            assert!(answer.frame().await.expect("a piece").is_ok());
        }
        let next = answer.frame().await.expect("an error");
        assert!(matches!(next, Err(Error::HttpResponseBodySize(Some(8_388_608)))));
    }

    #[tokio::test]
    async fn a_piece_that_never_comes_is_not_waited_for() {
        let mut answer =
            Answer::new(Pieces(VecDeque::new()), Some(Duration::ZERO), Instant::now() + Duration::from_secs(60));
        let next = answer.frame().await.expect("an error");
        assert!(matches!(next, Err(Error::ConnectionReadTimeout)));
    }
}
