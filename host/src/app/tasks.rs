//! Work that services do by themselves: filling an empty database once, and tasks on a schedule.
//!
//! Both follow what lives: a service that is deployed later is filled and started then, and a task that its live
//! revision no longer describes ends. A task runs on one host at a time, see `tasks`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::role;
use crate::dispatch::{Dispatch, View};
use crate::fault::CallError;
use crate::names::{RevisionNumber, ServiceName};
use crate::registry::{Registry, Snapshot, Task};
use crate::tasks::{Board, TaskKey, TaskOutcome, Turn};

/// Time over a task's deadline after which its claim is free: the deadline is kept to the hundredth of a second, and
/// then the table has to hear of it.
const GRACE: Duration = Duration::from_secs(5);

/// Longest pause between two looks at a task: other hosts end, and new revisions have other schedules.
const LOOK: Duration = Duration::from_secs(5);

/// Pause before asking a table again that did not answer, and attempts to tell it how a run went.
const RETRY: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 4;

/// Time that a run has to end after the host was told to stop.
const DRAIN: Duration = Duration::from_secs(15);

/// What runs, and what has been filled.
pub(super) struct Tasks {
    registry: Arc<Registry>,
    dispatch: Arc<Dispatch>,
    board: Arc<Board>,
    demo: bool,
    /// The revision that was last asked to fill its database; a service without data may learn to.
    filled: Mutex<BTreeMap<ServiceName, RevisionNumber>>,
    running: Mutex<BTreeSet<TaskKey>>,
}

impl Tasks {
    pub(super) fn new(registry: Arc<Registry>, dispatch: Arc<Dispatch>, board: Arc<Board>, demo: bool) -> Self {
        Self { registry, dispatch, board, demo, filled: Mutex::default(), running: Mutex::default() }
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
                let key = TaskKey { service: service.clone(), name: task.name.clone() };
                if self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone()) {
                    let (this, stop, again) = (Arc::clone(self), stop.clone(), tracker.clone());
                    tracker.spawn(async move {
                        let name = format!("task {} of {}", key.name, key.service);
                        role::keep(&name, &stop, || this.repeat(&key, &stop)).await;
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
    async fn repeat(&self, key: &TaskKey, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            // Nothing of the snapshot outlives the turn: it would keep replaced code alive until the next one.
            let Some(wait) = self.turn(key, stop).await else { return };
            stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
    }

    /// Runs a task if it is this host's turn, and returns when to look again; none when nothing describes it any more.
    async fn turn(&self, key: &TaskKey, stop: &CancellationToken) -> Option<Duration> {
        let snapshot = self.registry.snapshot();
        let view = View::within(&snapshot, snapshot.service(&key.service)?);
        let task = view.entry.description.tasks.iter().find(|task| task.name == key.name)?.clone();
        match self.board.claim(key, &task.schedule, task.deadline + GRACE).await {
            Ok(Turn::Wait(wait)) => Some(wait.min(LOOK)),
            Ok(Turn::Run) => {
                let outcome = self.run(view, &task, stop).await;
                self.tell(key, &task, &outcome).await;
                Some(Duration::ZERO)
            }
            Err(error) => {
                tracing::warn!(service.name = %key.service, task.name = key.name, %error, "cannot ask for a turn");
                Some(RETRY)
            }
        }
    }

    /// Runs a task once; a host that stops waits for it only so long.
    async fn run(&self, view: View, task: &Task, stop: &CancellationToken) -> TaskOutcome {
        let service = view.entry.service.clone();
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        let outcome = tokio::select! {
            outcome = self.dispatch.run_task(view, task) => outcome,
            () = stopped => {
                tracing::warn!(service.name = %service, task.name = task.name, "task ended with the host");
                return TaskOutcome::Stopped;
            }
        };
        match outcome {
            Ok(Ok(())) => {
                tracing::debug!(service.name = %service, task.name = task.name, "task done");
                TaskOutcome::Done
            }
            Ok(Err(reason)) => {
                tracing::warn!(service.name = %service, task.name = task.name, reason, "task failed");
                TaskOutcome::Failed(reason)
            }
            // Guest and host faults were logged by dispatch.
            Err(error) => {
                tracing::debug!(service.name = %service, task.name = task.name, %error, "task failed");
                TaskOutcome::Failed(in_short(&error))
            }
        }
    }

    /// Tells how a run went; when nobody hears it, the claim runs out and the task runs again.
    async fn tell(&self, key: &TaskKey, task: &Task, outcome: &TaskOutcome) {
        for attempt in 1..=ATTEMPTS {
            let Err(error) = self.board.end(key, &task.schedule, outcome).await else { return };
            tracing::warn!(service.name = %key.service, task.name = key.name, attempt, %error, "cannot tell of a run");
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Says in a few words why a run has no outcome of its own.
fn in_short(error: &CallError) -> String {
    match error {
        CallError::Guest { fault, .. } => fault.to_string().lines().next().unwrap_or_default().to_owned(),
        other => other.to_string(),
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
