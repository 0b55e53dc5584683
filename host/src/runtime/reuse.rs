//! A store with its instance, and the idle ones of a revision that may serve again.
//!
//! As a rule a guest serves once: what it leaves in its memory nobody sees. Where a service has chosen otherwise, one
//! that has answered well rests here until the next invocation or until its time is over. Idle guests hold places of
//! the engine's pool, so there are places for them that no permit of `dispatch` stands for, and no more guests rest
//! than those.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::Store;
use wasmtime::component::{Instance, TypedFunc};

use super::engine::KEEP_RESIDENT;
use super::linker::Program;
use super::state::{HostState, Invocation, Resources};
use crate::bindings::exports::provesi::platform::service::{Request, Response};

/// The function of an instance that answers requests.
type Handle = TypedFunc<(Arc<Request>,), (Response,)>;

/// A store, and the instance in it once that is made.
pub(super) struct Guest {
    pub(super) store: Store<HostState>,
    instance: Option<Instance>,
    handle: Option<Handle>,
    /// Invocations that it has begun.
    uses: u32,
}

/// The idle guests of one revision, the one that served last on top.
pub(super) struct IdleGuests {
    resting: Mutex<Vec<Resting>>,
    /// Shared by all revisions of all services.
    places: Arc<Semaphore>,
}

/// A guest that rests. The guest goes first, then the place that it takes.
struct Resting {
    guest: Guest,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

// === impl Guest ===

impl Guest {
    /// Makes one that has not served yet.
    pub(super) fn new(store: Store<HostState>) -> Self {
        Self { store, instance: None, handle: None, uses: 1 }
    }

    /// Returns the instance, made when there is none yet.
    pub(super) async fn instance(&mut self, program: &Program) -> wasmtime::Result<Instance> {
        if let Some(instance) = self.instance {
            return Ok(instance);
        }
        // On the heap: it is large, and each future around it would be moved with it.
        let instance = Box::pin(program.pre.instantiate_async(&mut self.store)).await?;
        self.instance = Some(instance);
        Ok(instance)
    }

    /// Returns the function that answers requests, found when it was not yet.
    ///
    /// That one alone: the types of each function that is found are compared, and a description's are many.
    pub(super) async fn handle_function(&mut self, program: &Program) -> wasmtime::Result<Handle> {
        let instance = self.instance(program).await?;
        if let Some(handle) = self.handle {
            return Ok(handle);
        }
        let handle = instance.get_typed_func(&mut self.store, program.handle)?;
        self.handle = Some(handle);
        Ok(handle)
    }

    /// Begins another invocation.
    pub(super) fn begin_again(&mut self, resources: &Resources, invocation: Invocation) {
        self.uses += 1;
        self.store.data_mut().renew(resources, invocation);
        self.store.set_epoch_deadline(1);
    }

    /// Says whether it may serve again after an invocation that went well, and lets it forget that.
    ///
    /// One that has grown over what an empty place keeps mapped is not worth its memory.
    fn rest(&mut self, uses: u32) -> bool {
        let state = self.store.data_mut();
        self.uses < uses && state.limiter.memory() <= KEEP_RESIDENT && state.rest()
    }
}

// === impl IdleGuests ===

impl IdleGuests {
    /// Makes room for guests within the places that all revisions share.
    pub(super) fn new(places: Arc<Semaphore>) -> Self {
        Self { resting: Mutex::default(), places }
    }

    /// Takes the guest that served last, if it has not rested for too long.
    pub(super) fn take(&self, now: Instant) -> Option<Guest> {
        let newest = self.lock().pop()?;
        (now < newest.until).then_some(newest.guest)
    }

    /// Keeps a guest for a time if it may serve again and there is a place; drops it otherwise.
    pub(super) fn put(&self, mut guest: Guest, uses: u32, time: Duration) {
        if !guest.rest(uses) {
            return;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        self.lock().push(Resting { guest, until: Instant::now() + time, _place: place });
    }

    /// Drops those that have rested for too long.
    pub(super) fn sweep(&self, now: Instant) {
        let stale: Vec<Resting> = self.lock().extract_if(.., |resting| resting.until <= now).collect();
        // Not under the lock: their memory is cleaned now.
        drop(stale);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Resting>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
