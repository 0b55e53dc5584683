//! Who computes which value in this process: for each key one at a time, and the others wait for it.
//!
//! What happens to a key under [`Claims::settle`] and [`Claims::cancel`] happens at once for everybody, so that a value
//! which was computed before its key was deleted is never kept after.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

/// Those that may wait for one value; the rest compute for themselves.
const MAX_WAITING: usize = 64;

/// The running computations of one service.
#[derive(Default)]
pub(super) struct Claims(Mutex<Running>);

#[derive(Default)]
struct Running {
    last_id: u64,
    by_key: HashMap<Arc<str>, Computation>,
}

struct Computation {
    id: u64,
    /// Becomes the value; closed without one when the computation ends otherwise.
    outcome: watch::Sender<Option<Bytes>>,
}

/// What somebody who wants a value can do.
pub(super) enum Turn {
    /// Compute it.
    First(u64),
    /// Wait for it.
    Wait(watch::Receiver<Option<Bytes>>),
    /// Neither: too many wait already.
    Full,
}

/// Waits for a value; none when its computation ends without one.
pub(super) async fn value_of(mut outcome: watch::Receiver<Option<Bytes>>) -> Option<Bytes> {
    let value = outcome.wait_for(Option::is_some).await.ok()?;
    value.clone()
}

impl Claims {
    /// Asks for a turn.
    pub(super) fn enter(&self, key: &str) -> Turn {
        let mut running = self.lock();
        if let Some(computation) = running.by_key.get(key) {
            if computation.outcome.receiver_count() >= MAX_WAITING {
                return Turn::Full;
            }
            return Turn::Wait(computation.outcome.subscribe());
        }
        running.last_id += 1;
        let id = running.last_id;
        running.by_key.insert(key.into(), Computation { id, outcome: watch::Sender::new(None) });
        Turn::First(id)
    }

    /// Says whether a computation is still the one that counts.
    pub(super) fn holds(&self, key: &str, id: u64) -> bool {
        self.lock().by_key.get(key).is_some_and(|computation| computation.id == id)
    }

    /// Ends a computation, with its value if there is one; `keep` is called if it is still the one that counts.
    pub(super) fn settle(&self, key: &str, id: u64, value: Option<Bytes>, keep: impl FnOnce()) {
        let mut running = self.lock();
        if running.by_key.get(key).is_none_or(|computation| computation.id != id) {
            return;
        }
        let computation = running.by_key.remove(key);
        keep();
        drop(running);
        if let (Some(computation), Some(value)) = (computation, value) {
            computation.outcome.send_replace(Some(value));
        }
    }

    /// Makes a running computation count no more; who waits for it looks again. `change` is called at that moment.
    pub(super) fn cancel(&self, key: &str, change: impl FnOnce()) {
        let mut running = self.lock();
        running.by_key.remove(key);
        change();
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        // Each change is one call of a map, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
