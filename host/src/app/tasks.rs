//! Runs the tasks that services describe, each once at the start and then after its interval.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dispatch::Dispatch;
use crate::names::ServiceName;
use crate::registry::{Registry, Task};

/// Starts one loop per task; they end when told to stop, after the run that is under way.
pub(super) fn spawn(
    tracker: &TaskTracker,
    registry: &Arc<Registry>,
    dispatch: &Arc<Dispatch>,
    stop: &CancellationToken,
) {
    for revision in registry.snapshot().services() {
        for task in &revision.description.tasks {
            let (registry, dispatch) = (Arc::clone(registry), Arc::clone(dispatch));
            let (service, task, stop) = (revision.service.clone(), task.clone(), stop.clone());
            tracker.spawn(async move {
                loop {
                    run_once(&registry, &dispatch, &service, &task).await;
                    if stop.run_until_cancelled(tokio::time::sleep(task.interval)).await.is_none() {
                        return;
                    }
                }
            });
        }
    }
}

async fn run_once(registry: &Registry, dispatch: &Arc<Dispatch>, service: &ServiceName, task: &Task) {
    let snapshot = registry.snapshot();
    let Some(revision) = snapshot.service(service) else { return };
    match dispatch.run_task(&snapshot, revision, task).await {
        Ok(Ok(())) => tracing::debug!(service.name = %service, task.name = task.name, "task done"),
        Ok(Err(reason)) => {
            tracing::warn!(service.name = %service, task.name = task.name, reason, "task failed");
        }
        // Guest and host faults were logged by dispatch.
        Err(error) => tracing::debug!(service.name = %service, task.name = task.name, %error, "task failed"),
    }
}
