//! Work that services do by themselves: filling an empty database once, and tasks on a schedule.
//!
//! Both follow what lives: a service that is deployed later is filled and started then, and a task that its live
//! revision no longer describes ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dispatch::{Dispatch, View};
use crate::names::{RevisionNumber, ServiceName};
use crate::registry::{Registry, Snapshot};

/// What runs, and what has been filled.
pub(super) struct Tasks {
    registry: Arc<Registry>,
    dispatch: Arc<Dispatch>,
    demo: bool,
    /// The revision that was last asked to fill its database; a service without data may learn to.
    filled: Mutex<BTreeMap<ServiceName, RevisionNumber>>,
    running: Mutex<BTreeSet<(ServiceName, String)>>,
}

impl Tasks {
    pub(super) fn new(registry: Arc<Registry>, dispatch: Arc<Dispatch>, demo: bool) -> Self {
        Self { registry, dispatch, demo, filled: Mutex::default(), running: Mutex::default() }
    }

    /// Fills empty databases: exporters before those that import them, circles in the order of names.
    ///
    /// # Errors
    /// When a service cannot fill its own.
    pub(super) async fn fill(&self) -> anyhow::Result<()> {
        let snapshot = self.registry.snapshot();
        let mut left: Vec<&ServiceName> = {
            let filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
            let due = snapshot.services().filter(|(name, live)| filled.get(name) != Some(&live.main().number));
            due.map(|(name, _)| name).collect()
        };
        while !left.is_empty() {
            let ready = left.iter().position(|name| !imports_any(&snapshot, name, &left)).unwrap_or(0);
            let name = left.remove(ready);
            let Some(live) = snapshot.service(name) else { continue };
            let number = live.main().number;
            let outcome = self.dispatch.bootstrap(View::within(&snapshot, live), self.demo).await;
            let lines = outcome.map_err(anyhow::Error::from).and_then(|lines| lines.map_err(anyhow::Error::msg));
            let lines = lines.map_err(|error| error.context(format!("service {name} cannot fill its database")))?;
            for line in lines {
                announce(name.as_str(), &line);
            }
            self.filled.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), number);
        }
        Ok(())
    }

    /// Starts what lives, and what comes to live later, until told to stop.
    pub(super) async fn follow(self: Arc<Self>, tracker: TaskTracker, stop: CancellationToken) {
        let mut changes = self.registry.changes();
        loop {
            changes.mark_unchanged();
            if let Err(error) = self.fill().await {
                tracing::error!(error = format!("{error:#}"), "a service is live with an empty database");
            }
            self.start(&tracker, &stop);
            match stop.run_until_cancelled(changes.changed()).await {
                Some(Ok(())) => {}
                _ => return,
            }
        }
    }

    /// Starts a loop for each described task that has none.
    fn start(self: &Arc<Self>, tracker: &TaskTracker, stop: &CancellationToken) {
        for (service, live) in self.registry.snapshot().services() {
            for task in &live.main().description.tasks {
                let key = (service.clone(), task.name.clone());
                if self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone()) {
                    let (this, stop, again) = (Arc::clone(self), stop.clone(), tracker.clone());
                    tracker.spawn(async move {
                        this.repeat(&key.0, &key.1, &stop).await;
                        this.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
                        // A revision that came just then found the task still running.
                        if !stop.is_cancelled() {
                            this.start(&again, &stop);
                        }
                    });
                }
            }
        }
    }

    /// Runs a task again and again, as long as the live revision describes it.
    async fn repeat(&self, service: &ServiceName, name: &str, stop: &CancellationToken) {
        loop {
            // Nothing of the snapshot outlives the run: it would keep replaced code alive until the next one.
            let Some(interval) = self.run(service, name).await else { return };
            if stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_none() {
                return;
            }
        }
    }

    /// Runs a task once and returns the time to the next run; none when nothing describes it any more.
    async fn run(&self, service: &ServiceName, name: &str) -> Option<Duration> {
        let snapshot = self.registry.snapshot();
        let view = View::within(&snapshot, snapshot.service(service)?);
        let task = view.entry.description.tasks.iter().find(|task| task.name == name)?.clone();
        match self.dispatch.run_task(view, &task).await {
            Ok(Ok(())) => tracing::debug!(service.name = %service, task.name = task.name, "task done"),
            Ok(Err(reason)) => {
                tracing::warn!(service.name = %service, task.name = task.name, reason, "task failed");
            }
            // Guest and host faults were logged by dispatch.
            Err(error) => tracing::debug!(service.name = %service, task.name = task.name, %error, "task failed"),
        }
        Some(task.interval)
    }
}

/// Says whether a service imports what one of the others exports.
fn imports_any(snapshot: &Snapshot, name: &ServiceName, others: &[&ServiceName]) -> bool {
    let Some(live) = snapshot.service(name) else { return false };
    live.main().linked.compiled().imports().keys().any(|import| {
        let exporter = snapshot.exporter(&crate::runtime::track(import));
        exporter.is_some_and(|live| {
            let exporter = &live.main().service;
            exporter != name && others.contains(&exporter)
        })
    })
}

/// Shows a line to the operator, not to the log: it may be a first password.
#[expect(clippy::print_stdout, reason = "the operator reads it once, on the terminal")]
fn announce(service: &str, line: &str) {
    println!("{service}: {line}");
}
