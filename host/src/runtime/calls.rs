//! What a guest can be asked to do: each export of the platform, and the typed ones.

use std::sync::Arc;

use wasmtime::component::{ComponentExportIndex, Val};

use super::linker::Program;
use super::reuse::Guest;
use crate::bindings::bootstrap::exports::provesi::platform::bootstrap::StartMode;
use crate::bindings::exports::provesi::platform::service::{Description, Request, Response};
use crate::bindings::subscriber::exports::provesi::platform::subscriber::Event;

/// An export is missing that was there when the component was linked.
fn missing() -> wasmtime::Error {
    wasmtime::Error::msg("an export of the component is missing in its instance")
}

impl Guest {
    pub(super) async fn describe(&mut self, program: &Program) -> wasmtime::Result<Description> {
        let instance = self.instance(program).await?;
        let world = program.service.load(&mut self.store, &instance)?;
        world.provesi_platform_service().call_describe(&mut self.store).await
    }

    pub(super) async fn handle(&mut self, program: &Program, request: Arc<Request>) -> wasmtime::Result<Response> {
        let handle = self.handle_function(program).await?;
        let (response,) = handle.call_async(&mut self.store, (request,)).await?;
        Ok(response)
    }

    pub(super) async fn call_typed(
        &mut self,
        program: &Program,
        index: ComponentExportIndex,
        params: &[Val],
    ) -> wasmtime::Result<Vec<Val>> {
        let instance = self.instance(program).await?;
        let store = &mut self.store;
        let function = instance.get_func(&mut *store, index).ok_or_else(missing)?;
        let mut results = vec![Val::Bool(false); function.ty(&*store).results().len()];
        function.call_async(&mut *store, params, &mut results).await?;
        Ok(results)
    }

    pub(super) async fn bootstrap(
        &mut self,
        program: &Program,
        mode: StartMode,
    ) -> wasmtime::Result<Result<Vec<String>, String>> {
        let instance = self.instance(program).await?;
        let indices = program.bootstrap.as_ref().ok_or_else(missing)?;
        let world = indices.load(&mut self.store, &instance)?;
        world.provesi_platform_bootstrap().call_run(&mut self.store, mode).await
    }

    pub(super) async fn run_task(&mut self, program: &Program, task: &str) -> wasmtime::Result<Result<(), String>> {
        let instance = self.instance(program).await?;
        let indices = program.worker.as_ref().ok_or_else(missing)?;
        let world = indices.load(&mut self.store, &instance)?;
        world.provesi_platform_worker().call_run(&mut self.store, task).await
    }

    pub(super) async fn handle_event(
        &mut self,
        program: &Program,
        event: &Event,
    ) -> wasmtime::Result<Result<(), String>> {
        let instance = self.instance(program).await?;
        let indices = program.subscriber.as_ref().ok_or_else(missing)?;
        let world = indices.load(&mut self.store, &instance)?;
        world.provesi_platform_subscriber().call_handle(&mut self.store, event).await
    }
}
