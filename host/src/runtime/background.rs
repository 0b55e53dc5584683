//! Threads of low priority, on which an invocation goes on that computes for long.
//!
//! A guest that yields at each tick still takes whole slices of a core from the host's own threads, for the system
//! knows one kind of thread. On a thread of low priority it gives way at once when another thread wants to run: it gets
//! what others leave, and on an idle machine it loses nothing. Only the polling moves: what the call opens and starts
//! belongs to the runtime that it came from, so that a connection which others use after it is not woken from here.
//!
//! A call that nobody waits for any more is ended by its own thread, a moment later: each has a place of the engine's
//! pool until then, see `engine`. Where all are taken, a call stays where it is.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;

use super::cpu::Meter;
use super::priority;

/// Its threads' name.
const NAME: &str = "long";

/// Most threads: those who compute for long share them, and pay for their time.
const MAX_THREADS: usize = 4;

/// A call under way, and what it ends with.
pub(super) type Call<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// Runs what computes for long.
pub(super) struct Background {
    /// Taken when this is dropped.
    threads: Option<Runtime>,
    places: Arc<Semaphore>,
}

/// A call that has moved.
struct Moved<R> {
    call: Option<Call<R>>,
    meter: Arc<Meter>,
    /// Where it came from.
    home: Handle,
    place: Option<OwnedSemaphorePermit>,
}

// === impl Background ===

impl Background {
    /// Starts the threads, for as many calls at once as there are places.
    ///
    /// # Errors
    /// When the system has no threads to give.
    pub(super) fn new(places: Arc<Semaphore>) -> std::io::Result<Self> {
        let threads = Builder::new_multi_thread()
            .worker_threads(priority::threads().min(MAX_THREADS))
            .thread_name(NAME)
            .on_thread_start(priority::stand_back)
            .build()?;
        Ok(Self { threads: Some(threads), places })
    }

    /// Runs a call and counts its time: here, and on the other threads from when its meter says that it is long.
    ///
    /// # Panics
    /// When the call does.
    ///
    /// # Cancel safety
    /// Dropping the future ends the call.
    pub(super) async fn run<R: Send + 'static>(&self, meter: Arc<Meter>, mut call: Call<R>) -> R {
        let here = std::future::poll_fn(|context| {
            if let Poll::Ready(result) = meter.count(|| call.as_mut().poll(context)) {
                return Poll::Ready(Ok(result));
            }
            if !meter.is_long() {
                return Poll::Pending;
            }
            Arc::clone(&self.places).try_acquire_owned().map_or(Poll::Pending, |place| Poll::Ready(Err(place)))
        })
        .await;
        match here {
            Ok(result) => result,
            Err(place) => {
                self.finish(Moved { call: Some(call), meter, home: Handle::current(), place: Some(place) }).await
            }
        }
    }

    async fn finish<R: Send + 'static>(&self, moved: Moved<R>) -> R {
        let threads = self.threads.as_ref().expect("there until this is dropped");
        match AbortOnDropHandle::new(threads.spawn(moved)).await {
            Ok((result, _place)) => result,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Its threads go with the last who could wait here; the deadline would end the wait.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Who drops this may be an async thread, even one of its own.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

// === impl Moved ===

impl<R> Future for Moved<R> {
    /// The place goes with the result: an instance may be in it.
    type Output = (R, Option<OwnedSemaphorePermit>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { call, meter, home, place } = &mut *self;
        let _home = home.enter();
        let call = call.as_mut().expect("there until this is dropped");
        meter.count(|| call.as_mut().poll(context)).map(|result| (result, place.take()))
    }
}

impl<R> Drop for Moved<R> {
    fn drop(&mut self) {
        let _home = self.home.enter();
        // Before its place is free.
        self.call = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::priority::tests::policy;
    use super::*;

    fn background() -> (Background, Arc<Meter>) {
        (Background::new(Arc::new(Semaphore::new(1))).expect("threads"), Arc::new(Meter::new()))
    }

    fn thread() -> Option<String> {
        std::thread::current().name().map(str::to_owned)
    }

    #[tokio::test]
    async fn what_turns_long_ends_on_a_thread_of_low_priority() {
        let (background, meter) = background();
        let long = Arc::clone(&meter);
        let call = Box::pin(async move {
            tokio::task::yield_now().await;
            let before = thread();
            long.turn_long();
            tokio::task::yield_now().await;
            // The timer is that of the runtime that it came from: this one's threads have none.
            tokio::time::sleep(Duration::from_millis(1)).await;
            (before, thread(), policy("thread-self"))
        });
        let (before, after, policy) = background.run(meter, call).await;
        assert_ne!(before.as_deref(), Some(NAME), "it was not long yet");
        assert_eq!(after.as_deref(), Some(NAME));
        assert_eq!(policy, libc::SCHED_IDLE);
        assert_eq!(background.places.available_permits(), 1);
    }

    #[test]
    fn one_core_is_left_free_where_there_are_two() {
        let (background, _) = background();
        let threads = background.threads.as_ref().expect("there until this is dropped").metrics().num_workers();
        let cores = std::thread::available_parallelism().expect("Linux knows").get();
        assert!(threads >= 1 && (threads < cores || cores == 1), "{threads} of {cores}");
    }

    #[tokio::test]
    async fn what_nobody_waits_for_ends_before_its_place_is_free() {
        let (background, meter) = background();
        let (long, held) = (Arc::clone(&meter), Arc::new(()));
        let guest = Arc::clone(&held);
        let call = Box::pin(async move {
            let _guest = guest;
            long.turn_long();
            std::future::pending::<()>().await;
        });
        let mut run = Box::pin(background.run(meter, call));
        assert!(futures::poll!(run.as_mut()).is_pending());
        assert_eq!(background.places.available_permits(), 0, "it has moved");
        drop(run);
        let freed = tokio::time::timeout(Duration::from_secs(30), background.places.acquire()).await;
        freed.expect("it ends").expect("nobody closes it").forget();
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn a_call_without_a_place_ends_where_it_is() {
        let (background, meter) = background();
        background.places.try_acquire().expect("it is free").forget();
        let long = Arc::clone(&meter);
        let call = Box::pin(async move {
            long.turn_long();
            tokio::task::yield_now().await;
            thread()
        });
        assert_ne!(background.run(meter, call).await.as_deref(), Some(NAME));
    }

    #[tokio::test]
    #[should_panic(expected = "a mistake")]
    async fn a_panic_goes_on_where_the_call_is_waited_for() {
        let (background, meter) = background();
        let long = Arc::clone(&meter);
        let call = Box::pin(async move {
            long.turn_long();
            tokio::task::yield_now().await;
            assert_eq!(1 + 1, 3, "a mistake");
        });
        background.run(meter, call).await;
    }
}
