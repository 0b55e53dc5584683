//! Makes a value of a panic, so that a mistake of the host costs the one request that met it.
//!
//! A panic is counted and is one line of the log, with its place; the panic hook that was there does not see it. Panics
//! outside of a guarded future are left to that hook.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

/// Panics of guarded futures since the process began.
static COUNT: AtomicU64 = AtomicU64::new(0);

static HOOK: Once = Once::new();

thread_local! {
    /// Whether a guarded future runs on this thread.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic under guard on this thread began.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A guarded future panicked; the log has said where and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Panicked;

/// Runs a future; if it panics, the log's line names the request.
///
/// # Errors
/// When it panicked.
pub async fn guard<F: Future>(request_id: Option<&str>, future: F) -> Result<F::Output, Panicked> {
    HOOK.call_once(install);
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        GUARDED.set(true);
        // Nothing of the future is used after a panic; what it shares with others is kept whole by their own guards.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        GUARDED.set(false);
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(payload) => {
                note(request_id, payload.as_ref());
                Poll::Ready(Err(Panicked))
            }
        }
    })
    .await
}

/// Returns how many guarded futures have panicked since the process began.
pub fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Keeps the place of a panic under guard; a panic's payload does not have it.
fn install() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if GUARDED.get() {
            PLACE.set(info.location().map(ToString::to_string));
        } else {
            before(info);
        }
    }));
}

fn note(request_id: Option<&str>, payload: &(dyn Any + Send)) {
    COUNT.fetch_add(1, Ordering::Relaxed);
    let text = payload.downcast_ref::<&'static str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let place = PLACE.take();
    tracing::error!(
        request.id = request_id,
        panic.message = text.unwrap_or("no text"),
        panic.place = place.as_deref(),
        "the host panicked"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_value_and_is_counted() {
        let before = count();
        assert_eq!(guard(None, async { 7 }).await, Ok(7));
        let broken = async {
            tokio::task::yield_now().await;
            assert_eq!(1 + 1, 3, "a mistake");
        };
        assert_eq!(guard(Some("id"), broken).await, Err(Panicked));
        // Other tests of this process may panic, too.
        assert!(count() > before);
        assert!(!GUARDED.get(), "the next panic on this thread is not under guard");
    }
}
