//! What one connection is doing, and when its client has kept it waiting for too long.
//!
//! Known are requests that are being served, and answers on their way. An answer is handed over in parts, the next
//! part when the client has taken enough of those before. A request that is being served never makes its connection
//! overdue: reading its body and running a service have bounds of their own.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

/// Largest part of an answer, in bytes: a frame of HTTP/2, and little beside what a socket buffers.
const PART: usize = 16 << 10;

/// How long a client may keep its connection waiting.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From connecting to the end of the first request's head.
    pub head: Duration,
    /// From the end of an answer to the end of the next request's head.
    pub idle: Duration,
    /// For taking the next part of an answer, and for ending a connection that is told to end.
    pub write: Duration,
}

/// Whose turn it was when nothing happened for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Nobody's: no request came after the last answer.
    Idle,
    /// The client's: it sends no request at all, or takes no answer, or does not end.
    Stalled,
}

/// What one connection is doing.
pub(super) struct Activity {
    timeouts: Timeouts,
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    /// When something last happened.
    last: Instant,
    /// Requests that are being served.
    serving: usize,
    /// Answers on their way, each with the time at which its last part was handed over.
    answers: Vec<(u64, Instant)>,
    /// Number of the next answer.
    next: u64,
}

enum Stage {
    /// No request has come.
    New,
    /// Requests have come.
    Used,
    /// The client was told to end.
    Closing,
}

// === impl Activity ===

impl Activity {
    /// Begins when the connection does.
    pub(super) fn new(timeouts: Timeouts) -> Arc<Self> {
        let state = State { stage: Stage::New, last: Instant::now(), serving: 0, answers: Vec::new(), next: 0 };
        Arc::new(Self { timeouts, state: Mutex::new(state) })
    }

    /// Notes that a request has come; it is served until the value is dropped or answers.
    pub(super) fn request(self: &Arc<Self>) -> Serving {
        let mut state = self.lock();
        state.serving += 1;
        if matches!(state.stage, Stage::New) {
            state.stage = Stage::Used;
        }
        drop(state);
        Serving(Some(Arc::clone(self)))
    }

    /// Notes that the client was told to end.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.stage = Stage::Closing;
        state.last = Instant::now();
    }

    /// Returns when nothing has happened for too long.
    pub(super) async fn overdue(&self) -> Overdue {
        // What begins meanwhile may be due before what is waited for.
        let look_again = self.timeouts.head.min(self.timeouts.idle).min(self.timeouts.write);
        loop {
            let now = Instant::now();
            let at = match self.due() {
                Some((at, overdue)) if at <= now => return overdue,
                Some((at, _)) => at.min(now + look_again),
                None => now + look_again,
            };
            tokio::time::sleep_until(at).await;
        }
    }

    /// Says when the connection is overdue if nothing happens until then; never while it only serves.
    fn due(&self) -> Option<(Instant, Overdue)> {
        let state = self.lock();
        if let Some(oldest) = state.answers.iter().map(|(_, at)| *at).min() {
            return Some((oldest + self.timeouts.write, Overdue::Stalled));
        }
        if state.serving > 0 {
            return None;
        }
        let (bound, overdue) = match state.stage {
            Stage::New => (self.timeouts.head, Overdue::Stalled),
            Stage::Used => (self.timeouts.idle, Overdue::Idle),
            Stage::Closing => (self.timeouts.write, Overdue::Stalled),
        };
        Some((state.last + bound, overdue))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being served, and the connection that it came on; none once it is answered.
pub(super) struct Serving(Option<Arc<Activity>>);

// === impl Serving ===

impl Serving {
    /// Sends an answer on its way.
    pub(super) fn answer(mut self, response: Response<Body>) -> Response<Answer> {
        let activity = self.0.take().expect("only an answer takes it");
        let number = {
            let now = Instant::now();
            let mut state = activity.lock();
            let number = state.next;
            state.next += 1;
            state.answers.push((number, now));
            state.serving -= 1;
            state.last = now;
            number
        };
        response.map(|body| Answer { body, part: Bytes::new(), number, activity })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let Some(activity) = &self.0 else { return };
        let mut state = activity.lock();
        state.serving -= 1;
        state.last = Instant::now();
    }
}

/// The body of an answer, handed over in parts.
pub(super) struct Answer {
    body: Body,
    /// What is left of the last piece of the body.
    part: Bytes,
    number: u64,
    activity: Arc<Activity>,
}

// === impl Answer ===

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if this.part.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.part = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let now = Instant::now();
        let mut state = this.activity.lock();
        state.last = now;
        if let Some((_, at)) = state.answers.iter_mut().find(|(number, _)| *number == this.number) {
            *at = now;
        }
        drop(state);
        let length = this.part.len().min(PART);
        Poll::Ready(Some(Ok(Frame::data(this.part.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.part.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (part, body) = (self.part.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + part);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + part);
        }
        hint
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut state = self.activity.lock();
        state.answers.retain(|(number, _)| *number != self.number);
        state.last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    const TIMEOUTS: Timeouts =
        Timeouts { head: Duration::from_secs(10), idle: Duration::from_secs(75), write: Duration::from_secs(30) };

    fn answer(serving: Serving, length: usize) -> Answer {
        serving.answer(Response::new(Body::from(vec![7; length]))).into_body()
    }

    /// Does something and says whether from then on the connection has just this long.
    fn gives(activity: &Activity, seconds: u64, what: Overdue, does: impl FnOnce()) -> bool {
        let before = Instant::now();
        does();
        let (at, overdue) = activity.due().expect("nothing is being served");
        let bound = Duration::from_secs(seconds);
        overdue == what && (before + bound..=Instant::now() + bound).contains(&at)
    }

    #[test]
    fn each_stage_of_a_connection_has_its_bound() {
        let before = Instant::now();
        let activity = Activity::new(TIMEOUTS);
        let (at, overdue) = activity.due().expect("nothing is being served");
        assert!(overdue == Overdue::Stalled && at >= before + TIMEOUTS.head && at <= Instant::now() + TIMEOUTS.head);
        assert!(gives(&activity, 75, Overdue::Idle, || drop(activity.request())));
        let mut sent = None;
        assert!(gives(&activity, 30, Overdue::Stalled, || sent = Some(answer(activity.request(), 1))));
        assert!(gives(&activity, 75, Overdue::Idle, || drop(sent)));
        assert!(gives(&activity, 30, Overdue::Stalled, || activity.close()));
    }

    #[test]
    fn a_request_that_is_being_served_has_all_the_time_it_needs() {
        let activity = Activity::new(TIMEOUTS);
        let serving = activity.request();
        assert!(activity.due().is_none());
        activity.close();
        assert!(activity.due().is_none());
        assert!(gives(&activity, 30, Overdue::Stalled, || drop(serving)));
    }

    #[test]
    fn an_answer_that_is_not_taken_is_overdue_whatever_else_the_client_does() {
        let activity = Activity::new(TIMEOUTS);
        let stuck = answer(activity.request(), 1);
        let due = activity.due();
        assert!(due.is_some());
        drop(answer(activity.request(), 1));
        let more = (answer(activity.request(), 1), activity.request());
        assert_eq!(activity.due(), due);
        drop((stuck, more));
        assert_ne!(activity.due(), due);
    }

    #[tokio::test]
    async fn an_answer_is_handed_over_in_parts_and_each_gives_new_time() {
        let activity = Activity::new(TIMEOUTS);
        let mut answer = answer(activity.request(), 3 * PART + 1);
        assert_eq!(answer.size_hint().exact(), Some(3 * PART as u64 + 1));
        for length in [PART, PART, PART, 1] {
            assert!(!answer.is_end_stream());
            let before = Instant::now();
            let part = answer.frame().await.expect("a frame").expect("no error").into_data().expect("data");
            assert_eq!(part.len(), length);
            let (at, _) = activity.due().expect("nothing is being served");
            assert!(at >= before + TIMEOUTS.write);
        }
        assert!(answer.is_end_stream() && answer.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_connection_that_becomes_overdue_while_it_is_watched_is_noticed() {
        let short = Duration::from_millis(1);
        let activity = Activity::new(Timeouts { head: short, idle: short, write: short });
        let serving = activity.request();
        let watched = async { tokio::join!(activity.overdue(), async { drop(serving) }).0 };
        let overdue = tokio::time::timeout(Duration::from_secs(10), watched).await;
        assert_eq!(overdue.expect("it is noticed"), Overdue::Idle);
    }
}
