//! Runs one invocation: a fresh store and instance, a deadline, an outcome.
//!
//! One store per invocation: a trap poisons a store, and memory left in it would leak to the next caller. The
//! deadline holds twice: the epoch interrupts a guest that computes, a timeout drops one that waits.

use std::time::{Duration, Instant};

use wasmtime::component::Val;
use wasmtime::{Store, UpdateDeadline};

use super::classify::{DeadlineReached, classify};
use super::linker::Linked;
use super::state::{HostState, Invocation};
use crate::bindings::bootstrap::exports::provesi::platform::bootstrap::StartMode;
use crate::bindings::exports::provesi::platform::service::{Description, Request, Response};
use crate::fault::GuestFault;

/// Time over the deadline after which a guest is dropped; within it the epoch ends it and says where it was.
const GRACE: Duration = Duration::from_millis(30);

/// Why an invocation has no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The guest broke its contract.
    #[error("the guest {0}")]
    Guest(GuestFault),
    /// The host failed.
    #[error("the host failed")]
    Host(#[source] wasmtime::Error),
}

impl Linked {
    /// Asks the component what it is.
    ///
    /// # Errors
    /// When it traps, loops or wants too much.
    pub async fn describe(&self, invocation: Invocation) -> Result<Description, Failure> {
        let mut store = self.store(invocation);
        let until = store.data().invocation.deadline;
        let call = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            let service = self.service.load(&mut store, &instance)?;
            service.provesi_platform_service().call_describe(&mut store).await
        };
        let outcome = within(until, call).await;
        outcome.map_err(|error| classify(error, store.data()))
    }

    /// Answers a request.
    ///
    /// # Errors
    /// When the guest breaks its contract or the host fails.
    ///
    /// # Cancel safety
    /// Dropping the future ends the guest; its open transactions are rolled back.
    pub async fn handle(&self, invocation: Invocation, request: &Request) -> Result<Response, Failure> {
        let mut store = self.store(invocation);
        let until = store.data().invocation.deadline;
        let call = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            let service = self.service.load(&mut store, &instance)?;
            service.provesi_platform_service().call_handle(&mut store, request).await
        };
        let outcome = within(until, call).await;
        outcome.map_err(|error| classify(error, store.data()))
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
        params: &[Val],
    ) -> Option<Result<Vec<Val>, Failure>> {
        let index = self.compiled.export_index(interface, function)?;
        let mut store = self.store(invocation);
        let until = store.data().invocation.deadline;
        let call = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            let function = instance
                .get_func(&mut store, index)
                .ok_or_else(|| wasmtime::Error::msg("an export of the component is missing in its instance"))?;
            let mut results = vec![Val::Bool(false); function.ty(&store).results().len()];
            function.call_async(&mut store, params, &mut results).await?;
            Ok(results)
        };
        let outcome = within(until, call).await;
        Some(outcome.map_err(|error| classify(error, store.data())))
    }

    /// Lets the component fill an empty database, if it wants to; returns lines for the operator.
    ///
    /// # Errors
    /// When the guest breaks its contract or the host fails; the inner error is the guest's own word.
    pub async fn bootstrap(&self, invocation: Invocation, demo: bool) -> Result<Result<Vec<String>, String>, Failure> {
        let Some(indices) = &self.bootstrap else { return Ok(Ok(Vec::new())) };
        let mode = if demo { StartMode::Demo } else { StartMode::Production };
        let mut store = self.store(invocation);
        let until = store.data().invocation.deadline;
        let call = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            let world = indices.load(&mut store, &instance)?;
            world.provesi_platform_bootstrap().call_run(&mut store, mode).await
        };
        let outcome = within(until, call).await;
        outcome.map_err(|error| classify(error, store.data()))
    }

    /// Runs one of the component's tasks.
    ///
    /// # Errors
    /// When the guest breaks its contract or the host fails; the inner error is the guest's own word.
    pub async fn run_task(&self, invocation: Invocation, task: &str) -> Result<Result<(), String>, Failure> {
        let Some(indices) = &self.worker else { return Ok(Err("the component exports no worker".to_owned())) };
        let mut store = self.store(invocation);
        let until = store.data().invocation.deadline;
        let call = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            let world = indices.load(&mut store, &instance)?;
            world.provesi_platform_worker().call_run(&mut store, task).await
        };
        let outcome = within(until, call).await;
        outcome.map_err(|error| classify(error, store.data()))
    }

    /// Says whether the component can run tasks.
    pub fn has_worker(&self) -> bool {
        self.worker.is_some()
    }

    fn store(&self, invocation: Invocation) -> Store<HostState> {
        let deadline = invocation.deadline;
        let mut store = Store::new(&self.engine, HostState::new(&self.resources, invocation));
        store.limiter(|state| &mut state.limiter);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            if Instant::now() >= deadline { Err(DeadlineReached.into()) } else { Ok(UpdateDeadline::Yield(1)) }
        });
        store
    }
}

/// Drops a call that waits past its deadline.
async fn within<R>(deadline: Instant, call: impl Future<Output = wasmtime::Result<R>>) -> wasmtime::Result<R> {
    tokio::time::timeout_at((deadline + GRACE).into(), call).await.unwrap_or_else(|_| Err(DeadlineReached.into()))
}
