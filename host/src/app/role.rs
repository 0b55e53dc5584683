//! Keeps what the host does in the background going: a mistake of the host in it is told, and is not its end.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;

/// Pause before what met a mistake of the host begins again.
const AFTER_PANIC: Duration = Duration::from_secs(5);

/// Does something until it ends by itself or the host stops; after a panic it begins again.
pub(super) async fn keep<F>(role: &str, stop: &CancellationToken, begin: impl Fn() -> F)
where
    F: Future<Output = ()>,
{
    keep_with(AFTER_PANIC, role, stop, begin).await;
}

async fn keep_with<F>(pause: Duration, role: &str, stop: &CancellationToken, begin: impl Fn() -> F)
where
    F: Future<Output = ()>,
{
    loop {
        // What it shares with others is kept whole by their own guards.
        if AssertUnwindSafe(begin()).catch_unwind().await.is_ok() {
            return;
        }
        tracing::error!(role, "met a mistake of the host and begins again");
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_role_that_panics_begins_again_until_it_ends_by_itself() {
        let (began, stop) = (AtomicU32::new(0), CancellationToken::new());
        let work = || async {
            tokio::task::yield_now().await;
            assert!(began.fetch_add(1, Ordering::Relaxed) == 2, "a mistake, twice");
        };
        keep_with(Duration::ZERO, "a test", &stop, work).await;
        assert_eq!(began.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_role_that_panics_does_not_outlast_the_host() {
        let (began, stop) = (AtomicU32::new(0), CancellationToken::new());
        let work = || async {
            began.fetch_add(1, Ordering::Relaxed);
            stop.cancel();
            panic!("a mistake");
        };
        keep("a test", &stop, work).await;
        assert_eq!(began.load(Ordering::Relaxed), 1);
    }
}
