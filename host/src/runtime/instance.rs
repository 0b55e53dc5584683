//! Runs one invocation: a store and an instance, a deadline, an outcome.
//!
//! As a rule both are fresh: a trap poisons a store, and memory left in it would leak to the next caller. Where a
//! service's limits allow reuse, one that has answered well serves again (see `reuse`). The deadline holds twice: the
//! epoch interrupts a guest that computes, a timeout drops one that waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::Val;
use wasmtime::{Store, UpdateDeadline};

use super::background::{Background, Call};
use super::classify::{DeadlineReached, NoPlace, classify};
use super::cpu::{Meter, Turn};
use super::frames::Frames;
use super::linker::Linked;
use super::reuse::Guest;
use super::state::{HostState, Invocation};
use crate::bindings::bootstrap::exports::provesi::platform::bootstrap::StartMode;
use crate::bindings::exports::provesi::platform::service::{Description, Request, Response};
use crate::bindings::subscriber::exports::provesi::platform::subscriber::Event;
use crate::config::Limits;
use crate::fault::GuestFault;

/// Time over the deadline after which a guest is dropped; within it the epoch ends it and says where it was.
const GRACE: Duration = Duration::from_millis(30);

/// Why an invocation has no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The guest broke its contract, in these functions.
    #[error("the guest {0}")]
    Guest(GuestFault, Frames),
    /// The host failed.
    #[error("the host failed")]
    Host(#[source] wasmtime::Error),
}

impl From<GuestFault> for Failure {
    fn from(fault: GuestFault) -> Self {
        Self::Guest(fault, Frames::default())
    }
}

/// What a call hands back: its outcome, and the guest that it ran in.
type Ended<R> = (wasmtime::Result<R>, Guest);

/// One invocation that has begun.
struct Run {
    guest: Guest,
    /// Invocations that its instance may serve.
    uses: u32,
}

/// The bounds of one invocation in time.
struct Bounds {
    background: Arc<Background>,
    deadline: Instant,
    meter: Arc<Meter>,
}

impl Linked {
    /// Asks the component what it is.
    ///
    /// # Errors
    /// When it traps, loops or wants too much.
    pub async fn describe(&self, invocation: Invocation) -> Result<Description, Failure> {
        let _place = self.place_aside(invocation.deadline).await?;
        let Run { mut guest, uses } = self.begin_fresh(invocation);
        let (bounds, program) = (self.bounds(&guest), Arc::clone(&self.program));
        let call = Box::pin(async move { (guest.describe(&program).await, guest) });
        let ended = bounds.hold(call).await;
        self.end(ended, uses, Ok)
    }

    /// Answers a request. What checks the answer says what is to become of it; an instance whose answer does not
    /// pass serves no other.
    ///
    /// # Errors
    /// When the guest breaks its contract or the host fails.
    ///
    /// # Cancel safety
    /// Dropping the future ends the guest; its open transactions are rolled back.
    pub async fn handle<A>(
        &self,
        invocation: Invocation,
        request: Arc<Request>,
        check: impl FnOnce(Response) -> Result<A, GuestFault>,
    ) -> Result<A, Failure> {
        let Run { mut guest, uses } = self.begin(invocation);
        let (bounds, program) = (self.bounds(&guest), Arc::clone(&self.program));
        let call = Box::pin(async move { (guest.handle(&program, request).await, guest) });
        let ended = bounds.hold(call).await;
        self.end(ended, uses, check)
    }

    /// Calls a function that the component exports for other services; none when it does not export it.
    ///
    /// # Errors
    /// As for [`Linked::handle`].
    ///
    /// # Cancel safety
    /// As for [`Linked::handle`].
    pub async fn call_typed(
        &self,
        invocation: Invocation,
        interface: &str,
        function: &str,
        params: Arc<Vec<Val>>,
    ) -> Option<Result<Vec<Val>, Failure>> {
        let index = *self.compiled.export_index(interface, function)?;
        let Run { mut guest, uses } = self.begin(invocation);
        let (bounds, program) = (self.bounds(&guest), Arc::clone(&self.program));
        let call = Box::pin(async move { (guest.call_typed(&program, index, &params).await, guest) });
        let ended = bounds.hold(call).await;
        Some(self.end(ended, uses, Ok))
    }

    /// Lets the component fill an empty database, if it wants to; returns lines for the operator.
    ///
    /// # Errors
    /// When the guest breaks its contract or the host fails; the inner error is the guest's own word.
    pub async fn bootstrap(&self, invocation: Invocation, demo: bool) -> Result<Result<Vec<String>, String>, Failure> {
        if self.program.bootstrap.is_none() {
            return Ok(Ok(Vec::new()));
        }
        let mode = if demo { StartMode::Demo } else { StartMode::Production };
        let _place = self.place_aside(invocation.deadline).await?;
        let Run { mut guest, uses } = self.begin_fresh(invocation);
        let (bounds, program) = (self.bounds(&guest), Arc::clone(&self.program));
        let call = Box::pin(async move { (guest.bootstrap(&program, mode).await, guest) });
        let ended = bounds.hold(call).await;
        self.end(ended, uses, Ok)
    }

    /// Runs one of the component's tasks.
    ///
    /// # Errors
    /// When the guest breaks its contract or the host fails; the inner error is the guest's own word.
    pub async fn run_task(&self, invocation: Invocation, task: &str) -> Result<Result<(), String>, Failure> {
        if !self.has_worker() {
            return Ok(Err("the component exports no worker".to_owned()));
        }
        let task = task.to_owned();
        let Run { mut guest, uses } = self.begin_fresh(invocation);
        let (bounds, program) = (self.bounds(&guest), Arc::clone(&self.program));
        let call = Box::pin(async move { (guest.run_task(&program, &task).await, guest) });
        let ended = bounds.hold(call).await;
        self.end(ended, uses, Ok)
    }

    /// Says whether the component can run tasks.
    pub fn has_worker(&self) -> bool {
        self.program.worker.is_some()
    }

    /// Hands the component one event.
    ///
    /// # Errors
    /// When the guest breaks its contract or the host fails; the inner error is the guest's own word.
    ///
    /// # Cancel safety
    /// As for [`Linked::handle`].
    pub async fn handle_event(&self, invocation: Invocation, event: &Event) -> Result<Result<(), String>, Failure> {
        if !self.has_subscriber() {
            return Ok(Err("the component exports no subscriber".to_owned()));
        }
        let event = event.clone();
        let Run { mut guest, uses } = self.begin(invocation);
        let (bounds, program) = (self.bounds(&guest), Arc::clone(&self.program));
        let call = Box::pin(async move { (guest.handle_event(&program, &event).await, guest) });
        let ended = bounds.hold(call).await;
        self.end(ended, uses, Ok)
    }

    /// Says whether the component can take events.
    pub fn has_subscriber(&self) -> bool {
        self.program.subscriber.is_some()
    }

    /// Waits for a place in the engine's pool for what `dispatch` has no permits for.
    async fn place_aside(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Failure> {
        let place = tokio::time::timeout_at(deadline.into(), Arc::clone(&self.aside).acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or_else(|| Failure::Host(NoPlace.into()))
    }

    /// Begins an invocation in a guest that may have served before, and may serve again.
    fn begin(&self, invocation: Invocation) -> Run {
        let uses = self.resources.limits.reuse;
        let idle = if uses > 1 { self.idle.take(Instant::now()) } else { None };
        let Some(mut guest) = idle else { return Run { uses, ..self.begin_fresh(invocation) } };
        guest.begin_again(&self.resources, invocation);
        Run { guest, uses }
    }

    /// Begins an invocation in a guest that serves this one only.
    fn begin_fresh(&self, invocation: Invocation) -> Run {
        let mut store = Store::new(&self.engine, HostState::new(&self.resources, invocation));
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(handed_over(&self.resources.limits));
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| look(store.data_mut()));
        Run { guest: Guest::new(store), uses: 1 }
    }

    fn bounds(&self, guest: &Guest) -> Bounds {
        let state = guest.store.data();
        let (background, meter) = (Arc::clone(&self.background), Arc::clone(state.cpu.meter()));
        Bounds { background, deadline: state.invocation.deadline, meter }
    }

    /// Names the outcome, and lets a guest that has done well rest.
    fn end<R, A>(
        &self,
        ended: Result<Ended<R>, Failure>,
        uses: u32,
        check: impl FnOnce(R) -> Result<A, GuestFault>,
    ) -> Result<A, Failure> {
        let (outcome, guest) = ended?;
        let result = outcome.map_err(|error| classify(error, guest.store.data()))?;
        let answer = check(result)?;
        if uses > 1 {
            self.idle.put(guest, uses, self.resources.limits.reuse_idle);
        }
        Ok(answer)
    }
}

/// Returns the bytes that a guest may hand to the host at once, as the host holds them: an answer or the parameters of
/// a statement, and the rest of it.
fn handed_over(limits: &Limits) -> usize {
    let largest = limits.response.as_u64().max(limits.sql_params.as_u64());
    usize::try_from(2 * largest + (1 << 20)).unwrap_or(usize::MAX)
}

/// Looks at a guest that has been running at a tick, and says how it goes on.
fn look(state: &mut HostState) -> wasmtime::Result<UpdateDeadline> {
    let (now, deadline) = (Instant::now(), state.invocation.deadline);
    if now >= deadline {
        return Err(DeadlineReached.into());
    }
    let wait = |until: Instant| Box::pin(tokio::time::sleep_until(until.into()));
    Ok(match state.cpu.turn(now) {
        Turn::GoOn => UpdateDeadline::Continue(1),
        Turn::Yield => UpdateDeadline::Yield(1),
        Turn::WaitUntil(until) if until < deadline => UpdateDeadline::YieldCustom(1, wait(until)),
        // Its service cannot pay for more before the deadline: the next look, without another tick, ends it there.
        Turn::WaitUntil(_) => UpdateDeadline::YieldCustom(0, wait(deadline)),
    })
}

// === impl Bounds ===

impl Bounds {
    /// Counts the time that a call runs, lets it go on in the background when that is long, and drops it when it waits
    /// past its deadline.
    async fn hold<R: Send + 'static>(self, call: Call<Ended<R>>) -> Result<Ended<R>, Failure> {
        let counted = self.background.run(self.meter, call);
        let held = tokio::time::timeout_at((self.deadline + GRACE).into(), counted).await;
        held.map_err(|_| GuestFault::Deadline.into())
    }
}
