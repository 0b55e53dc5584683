//! Moves a service's pointer: the one way to change what serves, whoever asks.
//!
//! contract → schema → store → swap. A failure at any step changes nothing that serves. What requests began with,
//! they end on: they hold their snapshot, and the last one to end drops the code.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::audit::{Action, Actor, Entry};
use super::prepare::migrate;
use super::refusal::{Refusal, chain};
use super::snapshot::{Live, Revision, Snapshot, SnapshotError};
use super::status::{Moved, Share, Weights};
use super::steps::{Step, Steps};
use super::store::{Pointer, now_us};
use super::{Registry, State, schema};
use crate::feed::{Event, Kind};
use crate::names::{RevisionNumber, ServiceName};

/// Times that other hosts may be first before a change gives up.
const ATTEMPTS: usize = 5;

/// Where a pointer shall go.
pub(super) struct Move {
    pub(super) revisions: Vec<(Arc<Revision>, u8)>,
    pub(super) canary: Option<RevisionNumber>,
    pub(super) entry: Entry,
}

impl Registry {
    /// Splits a service's traffic between revisions; the weights add up to 100.
    ///
    /// # Errors
    /// See [`Refusal`]; nothing has changed then.
    pub async fn set_traffic(&self, service: &ServiceName, weights: &Weights, actor: &Actor) -> Result<Moved, Refusal> {
        let outcome = self.redirect(service, Target::Weights(weights), Action::Traffic, actor).await;
        self.tell(Kind::TrafficChanged, service, Action::Traffic, actor, outcome).await
    }

    /// Goes back to what had the traffic before, or to a revision.
    ///
    /// # Errors
    /// See [`Refusal`]; nothing has changed then.
    pub async fn roll_back(
        &self,
        service: &ServiceName,
        to: Option<RevisionNumber>,
        actor: &Actor,
    ) -> Result<Moved, Refusal> {
        let target = to.map_or(Target::Previous, Target::One);
        let outcome = self.redirect(service, target, Action::RollBack, actor).await;
        self.tell(Kind::Rollback, service, Action::RollBack, actor, outcome).await
    }

    /// Takes a canary's traffic away, if it still has any.
    pub(super) async fn return_canary(&self, service: &ServiceName, canary: RevisionNumber, reason: &str) {
        let actor = Actor::host("canary watch");
        let outcome = self.redirect(service, Target::Without(canary, reason), Action::CanaryReturn, &actor).await;
        if let Err(refusal) = &outcome {
            let refusal = refusal.to_string();
            self.note(&Entry::refused(service.as_str(), Action::CanaryReturn, &actor, refusal)).await;
        }
        match outcome {
            Ok(_) => {
                self.feed.publish(Event {
                    revision: Some(canary.0),
                    by: Some(actor.by),
                    detail: Some(reason.to_owned()),
                    ..Event::new(Kind::CanaryReturned, service.as_str())
                });
                tracing::warn!(service.name = %service, revision.number = %canary, reason, "canary returned");
            }
            Err(error) => tracing::error!(service.name = %service, %error, "cannot return the canary"),
        }
    }

    /// Takes a service out of what serves; its revisions and its database stay.
    ///
    /// # Errors
    /// When a live service imports what it exports, or as in [`Refusal`].
    pub async fn remove(&self, service: &ServiceName, actor: &Actor) -> Result<(), Refusal> {
        let outcome = self.remove_now(service, actor).await;
        let outcome = outcome.map(|()| Moved { service: service.clone(), traffic: Vec::new() });
        self.tell(Kind::ServiceRemoved, service, Action::Remove, actor, outcome).await.map(drop)
    }

    async fn remove_now(&self, service: &ServiceName, actor: &Actor) -> Result<(), Refusal> {
        let _turn = self.turn(service).await?;
        let mut state = self.state(service).await?;
        let mut services = self.snapshot().to_services();
        services.remove(service).ok_or_else(|| Refusal::UnknownService(service.to_string()))?;
        let next = Snapshot::build(services).map_err(|error| match error {
            SnapshotError::Contract(breaches) => {
                let name = |label: &str| label.split('@').next().and_then(|name| name.parse().ok());
                let mut by: Vec<ServiceName> = breaches.iter().filter_map(|breach| name(&breach.consumer)).collect();
                by.dedup();
                Refusal::Imported(by)
            }
            other => other.into(),
        })?;
        let entry = Entry::done(service, Action::Remove, actor);
        let Some(generation) = self.store.unpoint(state.generation, service, &entry).await? else {
            return Err(Refusal::Busy(service.clone()));
        };
        state.generation = generation;
        state.pointers.remove(service);
        state.warm.retain(|(of, _), _| of != service);
        self.wanted.lock().unwrap_or_else(std::sync::PoisonError::into_inner).retain(|name| name != service);
        self.swap(next);
        Ok(())
    }

    async fn redirect(
        &self,
        service: &ServiceName,
        target: Target<'_>,
        action: Action,
        actor: &Actor,
    ) -> Result<Moved, Refusal> {
        let _turn = self.turn(service).await?;
        let pointer = self.state(service).await?.pointers.get(service).cloned();
        let pointer = pointer.ok_or_else(|| Refusal::UnknownService(service.to_string()))?;
        let weights = target.resolve(&pointer)?;
        // Before the moment of activation: what has to be compiled keeps no other service waiting.
        let mut revisions = Vec::new();
        for (number, weight) in &weights {
            revisions.push((self.revive(service, *number).await?, *weight));
        }
        let mut state = self.state(service).await?;
        let canary = pointer.canary.filter(|canary| weights.len() > 1 && weights.contains_key(canary));
        let mut entry = Entry::done(service, action, actor);
        entry.reason = Some(target.describe(&weights));
        entry.revision = weights.keys().next_back().copied();
        let order = Move { revisions, canary, entry };
        self.move_pointer(&mut state, service, order, &mut Steps::silent()).await
    }

    /// Tells operators of a change that was done, and keeps a line of one that was refused.
    async fn tell(
        &self,
        kind: Kind,
        service: &ServiceName,
        action: Action,
        actor: &Actor,
        outcome: Result<Moved, Refusal>,
    ) -> Result<Moved, Refusal> {
        match &outcome {
            Ok(moved) => {
                let weights = moved.traffic.iter().map(|share| (share.revision, share.weight)).collect();
                let traffic = show(&weights);
                self.feed.publish(Event {
                    revision: moved.traffic.first().map(|share| share.revision.0),
                    by: Some(actor.by.clone()),
                    detail: Some(traffic.clone()),
                    ..Event::new(kind, service.as_str())
                });
                tracing::info!(service.name = %service, action = action.as_str(), traffic, by = actor.by, "pointer moved");
            }
            Err(refusal) => {
                self.note(&Entry::refused(service.as_str(), action, actor, refusal.to_string())).await;
            }
        }
        outcome
    }

    /// Writes a line of the audit trail that belongs to no change.
    pub(super) async fn note(&self, entry: &Entry) {
        if let Err(error) = self.store.note(entry).await {
            tracing::error!(error = chain(&error), "cannot write the audit trail");
        }
    }

    /// Checks, migrates, stores and swaps.
    pub(super) async fn move_pointer(
        &self,
        state: &mut State,
        service: &ServiceName,
        order: Move,
        steps: &mut Steps<'_>,
    ) -> Result<Moved, Refusal> {
        let Move { revisions, canary, entry } = order;
        let weights: Weights = revisions.iter().map(|(revision, weight)| (revision.number, *weight)).collect();
        let database = revisions.iter().find_map(|(revision, _)| revision.linked.database());
        for _ in 0..ATTEMPTS {
            steps.begin(Step::Contract);
            let now = now_us();
            let mut services = self.snapshot().to_services();
            services.insert(service.clone(), Live::new(service, revisions.clone(), canary, now));
            let next = Snapshot::build(services)?;
            steps.begin(Step::Migrate);
            let stored = self.store.revisions(service).await?;
            schema::check(service, database, &revisions, &stored).await?;
            for (revision, _) in &revisions {
                migrate(revision).await?;
            }
            steps.begin(Step::Activate);
            let previous = state.pointers.get(service).and_then(|pointer| pointer.way_back(&weights));
            let (service, weights) = (service.clone(), weights.clone());
            let pointer = Pointer { service, weights, previous, canary, changed_us: now };
            if let Some(generation) = self.store.point(state.generation, &pointer, &entry).await? {
                self.swap(next);
                state.generation = generation;
                let traffic = revisions.iter().rev().map(Share::from).collect();
                state.settle(pointer.clone(), &revisions);
                return Ok(Moved { service: pointer.service, traffic });
            }
            // Another host on this database was first: what it has activated may change the contract.
            self.catch_up(state).await.map_err(Refusal::Storage)?;
        }
        Err(Refusal::Busy(service.clone()))
    }

    /// Makes a snapshot the present one, the only way in which one comes to serve.
    pub(super) fn swap(&self, next: Snapshot) {
        // First: the lane of a new service lets nothing through until then.
        next.services().for_each(|(_, live)| live.apply_limits());
        self.snapshot.store(Arc::new(next));
        self.workshop.let_go();
        self.changed.send_replace(());
    }
}

impl Pointer {
    /// Returns where a roll back goes once the pointer has moved on: to the last revision that had all of the traffic.
    ///
    /// Never to a share of it: a canary that was sent back must not come again by a second roll back.
    fn way_back(&self, next: &Weights) -> Option<Weights> {
        let whole = if self.weights.len() == 1 { Some(&self.weights) } else { self.previous.as_ref() };
        whole.filter(|whole| *whole != next).cloned()
    }
}

impl State {
    /// Remembers a moved pointer, and lets go of revisions that are neither live nor the ones before.
    pub(super) fn settle(&mut self, pointer: Pointer, revisions: &[(Arc<Revision>, u8)]) {
        let service = pointer.service.clone();
        let before = pointer.previous.clone().unwrap_or_default();
        for (revision, _) in revisions {
            self.warm.insert((service.clone(), revision.number), Arc::clone(revision));
        }
        // Only this service's: at a start, each of many would look through all of them.
        let range = (service.clone(), RevisionNumber(0))..=(service.clone(), RevisionNumber(u32::MAX));
        let known = self.warm.range(range).map(|((_, number), _)| *number);
        let is_needed = |number: &RevisionNumber| pointer.weights.contains_key(number) || before.contains_key(number);
        let stale: Vec<RevisionNumber> = known.filter(|number| !is_needed(number)).collect();
        for number in stale {
            self.warm.remove(&(service.clone(), number));
        }
        self.pointers.insert(service, pointer);
    }
}

/// What an operator asks a pointer to become.
enum Target<'t> {
    Weights(&'t Weights),
    One(RevisionNumber),
    Previous,
    Without(RevisionNumber, &'t str),
}

impl Target<'_> {
    fn resolve(&self, pointer: &Pointer) -> Result<Weights, Refusal> {
        match self {
            Self::Weights(weights) => {
                let sum: u32 = weights.values().map(|weight| u32::from(*weight)).sum();
                if sum != 100 {
                    return Err(Refusal::Invalid(format!("the weights add up to {sum}, not to 100")));
                }
                Ok(weights.iter().filter(|(_, weight)| **weight > 0).map(|(n, weight)| (*n, *weight)).collect())
            }
            Self::One(number) => Ok(BTreeMap::from([(*number, 100)])),
            Self::Previous => pointer.previous.clone().ok_or_else(|| Refusal::NothingBefore(pointer.service.clone())),
            Self::Without(canary, _) => {
                let mut rest = pointer.weights.clone();
                let freed = rest.remove(canary).unwrap_or_default();
                let heaviest = rest.iter_mut().max_by_key(|(_, weight)| **weight);
                let (_, weight) = heaviest.ok_or_else(|| Refusal::NothingBefore(pointer.service.clone()))?;
                *weight += freed;
                Ok(rest)
            }
        }
    }

    fn describe(&self, weights: &Weights) -> String {
        match self {
            Self::Without(_, reason) => format!("{}: {reason}", show(weights)),
            _ => show(weights),
        }
    }
}

fn show(weights: &Weights) -> String {
    weights.iter().rev().map(|(number, weight)| format!("{number}:{weight}%")).collect::<Vec<_>>().join(" ")
}
