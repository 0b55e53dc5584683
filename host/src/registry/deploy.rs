//! Deploys: from uploaded bytes to a revision that serves, or to a reason why it does not.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::audit::{Action, Actor, Entry};
use super::pointer::Move;
use super::prepare::{Candidate, ServiceError};
use super::refusal::{Refusal, chain};
use super::snapshot::{Live, Revision, Snapshot};
use super::status::{Checked, Deployed};
use super::steps::{Step, Steps};
use super::store::{New, now_us};
use super::{Registry, events, schema};
use crate::db::ledger;
use crate::feed::{Event, Kind};
use crate::names::{ComponentDigest, RevisionNumber, ServiceName};

/// What a deployed revision gets at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// All of the traffic.
    Whole,
    /// A share of it, under watch.
    Canary(Percent),
    /// None: it is kept.
    Later,
}

/// A share that leaves something to both sides: 1 to 99 percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(u8);

impl TryFrom<u8> for Percent {
    type Error = Refusal;

    fn try_from(percent: u8) -> Result<Self, Refusal> {
        if (1..=99).contains(&percent) {
            Ok(Self(percent))
        } else {
            Err(Refusal::Invalid(format!("{percent} is no percentage of a canary: 1 to 99")))
        }
    }
}

impl Registry {
    /// Deploys a component as the next revision of a service.
    ///
    /// # Errors
    /// See [`Refusal`]; what serves has not changed then.
    pub async fn deploy(
        &self,
        service: &ServiceName,
        bytes: Bytes,
        activation: Activation,
        actor: &Actor,
    ) -> Result<Deployed, Refusal> {
        let digest = ComponentDigest::of(&bytes);
        let outcome = self.deploy_in_turn(service, bytes, digest, activation, actor).await;
        let event = Event {
            digest: Some(digest.to_string()),
            by: Some(actor.by.clone()),
            ..Event::new(Kind::DeployAccepted, service.as_str())
        };
        match &outcome {
            Ok(deployed) => {
                let (revision, state) = (deployed.revision, deployed.state);
                tracing::info!(service.name = %service, revision.number = %revision, revision.digest = %digest, state, by = actor.by, total_ms = deployed.timings_ms.total, "deployed");
                self.feed.publish(Event { revision: Some(revision.0), detail: Some(state.to_owned()), ..event });
            }
            Err(refusal) => {
                let reason = refusal.to_string();
                tracing::warn!(service.name = %service, revision.digest = %digest, by = actor.by, reason, "deploy refused");
                let entry = Entry::refused(service.as_str(), Action::Deploy, actor, reason.clone());
                self.note(&Entry { digest: Some(digest), ..entry }).await;
                self.feed.publish(Event { kind: Kind::DeployRefused, detail: Some(reason), ..event });
            }
        }
        outcome
    }

    /// Says what a deploy would say, and changes nothing.
    ///
    /// # Errors
    /// What a deploy would be refused with.
    pub async fn check(&self, service: &ServiceName, bytes: Bytes, actor: &Actor) -> Result<Checked, Refusal> {
        let outcome = self.check_now(service, bytes).await;
        self.note_check(service, actor, outcome.as_ref().err()).await;
        outcome
    }

    async fn check_now(&self, service: &ServiceName, bytes: Bytes) -> Result<Checked, Refusal> {
        let digest = ComponentDigest::of(&bytes);
        let mut steps = Steps::silent();
        let settings = self.settings(service).await?;
        let candidate = self.workshop.prepare(service, bytes, &settings, &mut steps).await?;
        steps.begin(Step::Contract);
        let stored = self.store.revisions(service).await?;
        let next = RevisionNumber(stored.first().map_or(0, |newest| newest.number.0) + 1);
        let snapshot = self.snapshot();
        let revision = Arc::new(candidate.into_unfurnished(next));
        let mut services = snapshot.to_services();
        let live = Live::new(service, vec![(Arc::clone(&revision), 100)], None, now_us());
        services.insert(service.clone(), live);
        Snapshot::build(services)?;
        steps.begin(Step::Migrate);
        let described = &revision.description.migrations;
        let present = snapshot.service(service).map(Live::main);
        let database = present.and_then(|present| present.linked.database());
        schema::check(service, database, &[(Arc::clone(&revision), 100)], &stored).await?;
        let migrations = match database {
            Some(database) => ledger::due(database, described).await.map_err(ServiceError::from)?,
            None => described.iter().map(|migration| migration.name.clone()).collect(),
        };
        let mut warnings = present.map(|present| warnings(present, &revision)).unwrap_or_default();
        warnings.extend(events::warnings(&snapshot, &revision));
        let version = revision.description.version.to_string();
        Ok(Checked { service: service.clone(), digest, version, warnings, migrations, timings_ms: steps.finish() })
    }

    async fn deploy_in_turn(
        &self,
        service: &ServiceName,
        bytes: Bytes,
        digest: ComponentDigest,
        activation: Activation,
        actor: &Actor,
    ) -> Result<Deployed, Refusal> {
        let mut steps = Steps::told(&self.feed, service, digest);
        let _turn = self.turn(service).await?;
        let settings = self.settings(service).await?;
        let candidate = self.workshop.prepare(service, bytes.clone(), &settings, &mut steps).await?;
        let present = self.snapshot().service(service).map(|live| Arc::clone(live.main()));
        let mut warnings = present.as_ref().map(|present| warnings(present, candidate.revision())).unwrap_or_default();
        warnings.extend(events::warnings(&self.snapshot(), candidate.revision()));
        let number = self.store.keep(&new(candidate.revision(), &actor.by), &bytes).await?;
        drop(bytes);
        let order = Activate { candidate, number, activation, actor };
        let activated = self.activate(service, order, &mut steps).await;
        if let Err(refusal) = &activated {
            // It has a number already, and is kept as refused; its component is not.
            if let Err(error) = self.store.refuse(service, number, &refusal.to_string()).await {
                tracing::error!(error = chain(&error), "cannot mark a revision as refused");
            }
        }
        let state = activated?;
        // A revision that is only kept replaces nothing.
        let replaced = present.filter(|_| state != "idle").map(|present| present.number);
        let timings_ms = steps.finish();
        Ok(Deployed { service: service.clone(), revision: number, digest, state, replaced, warnings, timings_ms })
    }

    async fn activate(
        &self,
        service: &ServiceName,
        order: Activate<'_>,
        steps: &mut Steps<'_>,
    ) -> Result<&'static str, Refusal> {
        let Activate { candidate, number, activation, actor } = order;
        let digest = candidate.revision().digest();
        let entry =
            Entry { revision: Some(number), digest: Some(digest), ..Entry::done(service, Action::Deploy, actor) };
        if activation == Activation::Later {
            self.store.note(&entry).await?;
            return Ok("idle");
        }
        let revision = self.workshop.furnish(candidate, number).await.map_err(ServiceError::from)?;
        let revision = Arc::new(revision);
        let mut state = self.state(service).await?;
        let live = self.snapshot().service(service).cloned();
        let (revisions, canary, name) = match (activation, live) {
            (Activation::Canary(Percent(percent)), Some(live)) => {
                let [(stable, _)] = live.revisions() else {
                    let why = format!("the traffic of {service} is split already; end that first");
                    return Err(Refusal::Invalid(why));
                };
                (vec![(Arc::clone(stable), 100 - percent), (revision, percent)], Some(number), "canary")
            }
            (Activation::Canary(_), None) => {
                return Err(Refusal::Invalid(format!(
                    "{service} does not serve yet, so nothing can be a canary to it"
                )));
            }
            _ => (vec![(revision, 100)], None, "active"),
        };
        self.move_pointer(&mut state, service, Move { revisions, canary, entry }, steps).await?;
        drop(state);
        let mut wanted = self.wanted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !wanted.contains(service) {
            wanted.push(service.clone());
        }
        Ok(name)
    }
}

/// What `activate` needs besides the service.
struct Activate<'a> {
    candidate: Candidate,
    number: RevisionNumber,
    activation: Activation,
    actor: &'a Actor,
}

pub(super) fn new<'n>(revision: &'n Revision, by: &'n str) -> New<'n> {
    let migrations = &revision.description.migrations;
    New {
        service: &revision.service,
        digest: revision.digest(),
        version: revision.description.version.to_string(),
        grants: &revision.grants,
        limits: &revision.limits,
        migrations: migrations.iter().map(|found| (found.name.as_str(), found.contracts)).collect(),
        by,
    }
}

/// Names what clients and consumers lose without anybody having asked for it.
fn warnings(present: &Revision, next: &Revision) -> Vec<String> {
    let mut warnings = Vec::new();
    let kept: BTreeSet<_> = next.description.routes.iter().map(|route| (route.method, &route.pattern)).collect();
    for route in &present.description.routes {
        if !kept.contains(&(route.method, &route.pattern)) {
            warnings.push(format!("{} {} is no longer answered", route.method, route.pattern));
        }
    }
    for (interface, funcs) in present.linked.compiled().peer_exports() {
        let exports = next.linked.compiled();
        let exported = exports.exported_as(&crate::runtime::track(interface));
        for function in funcs.funcs.keys() {
            let found = exports.peer_exports().find(|(name, _)| Some(name.as_str()) == exported);
            if !found.is_some_and(|(_, funcs)| funcs.funcs.contains_key(function)) {
                warnings.push(format!("{interface}#{function} is no longer exported; no live service uses it"));
            }
        }
    }
    if next.description.version < present.description.version {
        let (new, old) = (&next.description.version, &present.description.version);
        warnings.push(format!("its version {new} is older than {old}, which serves"));
    }
    warnings
}
