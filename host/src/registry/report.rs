//! Tells operators what lives, what was uploaded, and who changed what.

use std::sync::PoisonError;
use std::time::Instant;

use super::Registry;
use super::audit::{Action, Actor, Entry};
use super::breaker::Phase;
use super::refusal::Refusal;
use super::snapshot::{Live, Revision};
use super::status::{AuditEntry, CanaryStatus, RevisionStatus, RouteStatus, ServiceStatus, Share, TaskStatus};
use super::store::rfc3339;
use crate::fault::GuestFault;
use crate::names::ServiceName;

impl Registry {
    /// Returns all live services, by name; when their tasks have run, [`Registry::fill_in_runs`] adds.
    pub fn services(&self) -> Vec<ServiceStatus> {
        self.snapshot().services().map(|(name, live)| self.status(name, live)).collect()
    }

    /// Returns a live service, likewise.
    pub fn service(&self, name: &ServiceName) -> Option<ServiceStatus> {
        self.snapshot().service(name).map(|live| self.status(name, live))
    }

    /// Fills in when the tasks of services have run, and will; without an answer of the database it stays unknown.
    pub async fn fill_in_runs(&self, services: &mut [ServiceStatus]) {
        let runs = match self.tasks.runs().await {
            Ok(runs) => runs,
            Err(error) => return tracing::warn!(%error, "cannot read when tasks have run"),
        };
        for service in services {
            for task in &mut service.tasks {
                let found = runs.iter().find(|run| run.name == task.name && run.service == service.name.as_str());
                let Some(run) = found else { continue };
                task.last_started = run.started_us.map(rfc3339);
                task.last_ended = run.ended_us.map(rfc3339);
                task.outcome.clone_from(&run.outcome);
                // What never comes has no date.
                task.next = (run.next_us < i64::MAX).then(|| rfc3339(run.next_us));
            }
        }
    }

    /// Returns all revisions of a service, newest first.
    ///
    /// # Errors
    /// When there is no such service, or the registry's database does not answer.
    pub async fn revisions(&self, name: &ServiceName) -> Result<Vec<RevisionStatus>, Refusal> {
        let stored = self.store.revisions(name).await?;
        if stored.is_empty() {
            return Err(Refusal::UnknownService(name.to_string()));
        }
        let snapshot = self.snapshot();
        let live = snapshot.service(name).map(Live::revisions).unwrap_or_default();
        let weight = |number| live.iter().find(|(live, _)| live.number == number).map_or(0, |(_, weight)| *weight);
        let status = stored.into_iter().map(|stored| {
            let weight = weight(stored.number);
            let state = match (&stored.refused, weight, stored.served) {
                (Some(_), ..) => "refused",
                (None, 1.., _) => "active",
                (None, 0, true) => "retired",
                (None, 0, false) => "idle",
            };
            RevisionStatus {
                revision: stored.number,
                digest: stored.digest,
                version: stored.version,
                state,
                weight,
                created_at: rfc3339(stored.created_us),
                by: stored.by,
                reason: stored.refused,
            }
        });
        Ok(status.collect())
    }

    /// Returns the newest lines of the audit trail, newest first.
    ///
    /// # Errors
    /// When the registry's database does not answer.
    pub async fn audit(&self, service: Option<&ServiceName>, limit: u32) -> Result<Vec<AuditEntry>, Refusal> {
        Ok(self.store.audit(service, limit).await?)
    }

    /// Keeps a line of an attempt that had no right to be made.
    pub async fn note_denied(&self, actor: &Actor, what: &str) {
        self.note(&Entry::refused("", Action::Access, actor, what.to_owned())).await;
    }

    /// Keeps a line of a dead letter that was replayed.
    pub async fn note_replay(&self, service: &ServiceName, actor: &Actor, what: String) {
        self.note(&Entry { reason: Some(what), ..Entry::done(service, Action::Replay, actor) }).await;
    }

    /// Keeps a line of a dead letter that was discarded.
    pub async fn note_discard(&self, service: &ServiceName, actor: &Actor, what: String) {
        self.note(&Entry { reason: Some(what), ..Entry::done(service, Action::Discard, actor) }).await;
    }

    /// Keeps a line of a check, and why it was refused.
    pub(super) async fn note_check(&self, service: &ServiceName, actor: &Actor, refusal: Option<&Refusal>) {
        let entry = match refusal {
            Some(refusal) => Entry::refused(service.as_str(), Action::Check, actor, refusal.to_string()),
            None => Entry::done(service, Action::Check, actor),
        };
        self.note(&entry).await;
    }

    /// Returns the services that should serve and do not.
    pub fn missing(&self) -> Vec<ServiceName> {
        let snapshot = self.snapshot();
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.iter().filter(|name| snapshot.service(name).is_none()).cloned().collect()
    }

    fn status(&self, name: &ServiceName, live: &Live) -> ServiceStatus {
        let newest = live.newest();
        let compiled = newest.linked.compiled();
        let now = Instant::now();
        let breaker = live.revisions().iter().map(|(revision, _)| revision.operations.worst(now)).max();
        let sum = |count: fn(&Revision) -> u64| live.revisions().iter().map(|(revision, _)| count(revision)).sum();
        ServiceStatus {
            name: name.clone(),
            state: "serving",
            version: newest.description.version.to_string(),
            traffic: live.revisions().iter().map(Share::from).collect(),
            canary: live.canary().map(|revision| CanaryStatus { revision, since: rfc3339(live.since_us()) }),
            exports: compiled.peer_exports().map(|(interface, _)| interface.clone()).collect(),
            imports: compiled.imports().keys().cloned().collect(),
            grants: newest.grants.clone(),
            limits: newest.limits.clone(),
            routes: newest
                .description
                .routes
                .iter()
                .map(|route| RouteStatus {
                    operation: route.operation.clone(),
                    method: route.method,
                    path: route.pattern.clone(),
                    access: route.access.to_string(),
                })
                .collect(),
            tasks: live
                .main()
                .description
                .tasks
                .iter()
                .map(|task| TaskStatus {
                    name: task.name.clone(),
                    schedule: task.schedule.to_string(),
                    last_started: None,
                    last_ended: None,
                    outcome: None,
                    next: None,
                })
                .collect(),
            breaker: breaker.unwrap_or(Phase::Closed).name(),
            requests: sum(|revision| revision.stats.requests()),
            faults: sum(|revision| revision.stats.faults()),
            retries: sum(|revision| revision.stats.retries()),
            faults_by_kind: faults_by_kind(live),
            links: self.workshop.links(name),
            deployed_at: rfc3339(live.since_us()),
        }
    }
}

fn faults_by_kind(live: &Live) -> Vec<(&'static str, u64)> {
    let mut counts = GuestFault::KINDS.map(|kind| (kind, 0));
    for (revision, _) in live.revisions() {
        for ((_, sum), count) in counts.iter_mut().zip(revision.stats.faults_by_kind()) {
            *sum += count;
        }
    }
    counts.to_vec()
}
