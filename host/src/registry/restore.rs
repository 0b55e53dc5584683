//! Comes back to what was stored: at a start, and when another host on the same database has moved a pointer.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::audit::{Action, Actor, Entry};
use super::deploy::new;
use super::prepare::{ServiceError, Settings, migrate};
use super::refusal::{Refusal, chain};
use super::snapshot::{Live, Revision, Snapshot, SnapshotError};
use super::status::Weights;
use super::steps::Steps;
use super::store::{CHANNEL, Pointer, StoreError, Stored, now_us};
use super::{Registry, State, schema};
use crate::config::ServiceConfig;
use crate::names::{RevisionNumber, ServiceName};

/// Longest time until another host's activation is followed, should its word be lost.
const POLL: Duration = Duration::from_secs(1);

/// Hosts that start at once on one empty database take turns; this many times somebody else may be first.
const ATTEMPTS: usize = 10;

/// Why the services cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// One of them is not fit.
    #[error("service {service} cannot serve")]
    Service {
        /// Which one.
        service: ServiceName,
        /// Why.
        #[source]
        source: ServiceError,
    },
    /// Its component is gone from the registry.
    #[error("the registry has lost the component of {service}@{revision}")]
    Lost {
        /// The service.
        service: ServiceName,
        /// The revision.
        revision: RevisionNumber,
    },
    /// They do not fit together.
    #[error("the services do not fit together")]
    Snapshot(#[from] SnapshotError),
    /// A schema has been contracted past what is to serve.
    #[error(transparent)]
    Schema(Refusal),
    /// The registry does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Other hosts are changing the registry all the time.
    #[error("other hosts are changing the registry; try again")]
    Contended,
}

/// A pointer that a start moves: to a first revision from `provesi.toml`, or onward to what a crash cut short.
struct Plan {
    revision: Arc<Revision>,
    /// What is still to be stored; nothing when it is stored already.
    bytes: Option<Bytes>,
    previous: Option<Weights>,
    action: Action,
    actor: Actor,
}

impl Registry {
    /// Brings the stored services to life, and those that are configured and were never stored.
    ///
    /// # Errors
    /// When one of them cannot serve, or they do not fit together; nothing serves then.
    pub async fn restore(&self, tables: &BTreeMap<ServiceName, ServiceConfig>) -> Result<(), RestoreError> {
        let mut state = self.state.lock().await;
        for _ in 0..ATTEMPTS {
            if self.try_restore(&mut state, tables).await? {
                let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
                wanted.extend(tables.keys().cloned());
                return Ok(());
            }
        }
        Err(RestoreError::Contended)
    }

    async fn try_restore(
        &self,
        state: &mut State,
        tables: &BTreeMap<ServiceName, ServiceConfig>,
    ) -> Result<bool, RestoreError> {
        let (generation, pointers) = self.store.pointers().await?;
        state.generation = generation;
        state.pointers.clear();
        let mut services = BTreeMap::new();
        let mut plans = Vec::new();
        for pointer in pointers {
            let service = pointer.service.clone();
            let table = tables.get(&service);
            let live = match self.bring_back(state, &pointer, table).await {
                Err(RestoreError::Schema(refusal)) => {
                    let plan = self.go_on(&pointer, table).await?.ok_or(RestoreError::Schema(refusal))?;
                    let live = Live::new(&service, vec![(Arc::clone(&plan.revision), 100)], None, now_us());
                    plans.push(plan);
                    live
                }
                live => live?,
            };
            services.insert(service, live);
        }
        for (name, table) in tables {
            if services.contains_key(name) {
                continue;
            }
            let stored = self.store.revisions(name).await?;
            if stored.iter().any(|stored| stored.served) {
                tracing::info!(service.name = %name, "not seeded: it has served, and was removed");
                continue;
            }
            let number = RevisionNumber(stored.first().map_or(0, |newest| newest.number.0) + 1);
            let plan = self.seed(name, table, number).await?;
            services.insert(name.clone(), Live::new(name, vec![(Arc::clone(&plan.revision), 100)], None, now_us()));
            plans.push(plan);
        }
        let next = Snapshot::build(services)?;
        for (service, live) in next.services() {
            for (revision, _) in live.revisions() {
                let failed = |error| service_error(service, ServiceError::Migration(error));
                migrate(revision).await.map_err(failed)?;
            }
        }
        for plan in plans {
            if !self.carry_out(state, plan).await? {
                return Ok(false);
            }
        }
        self.swap(next);
        Ok(true)
    }

    /// Makes the live side of a stored pointer.
    async fn bring_back(
        &self,
        state: &mut State,
        pointer: &Pointer,
        table: Option<&ServiceConfig>,
    ) -> Result<Live, RestoreError> {
        let service = &pointer.service;
        let stored = self.store.revisions(service).await?;
        let mut revisions = Vec::new();
        for (number, weight) in &pointer.weights {
            let revision = match state.warm.get(&(service.clone(), *number)) {
                Some(warm) => Arc::clone(warm),
                None => Arc::new(self.load(service, *number, &stored, table).await?),
            };
            revisions.push((revision, *weight));
        }
        let database = revisions.iter().find_map(|(revision, _)| revision.linked.database());
        schema::check(service, database, &revisions, &stored).await.map_err(RestoreError::Schema)?;
        state.settle(pointer.clone(), &revisions);
        Ok(Live::new(service, revisions, pointer.canary, pointer.changed_us))
    }

    /// Compiles a stored revision, or takes its code from the cache.
    async fn load(
        &self,
        service: &ServiceName,
        number: RevisionNumber,
        stored: &[Stored],
        table: Option<&ServiceConfig>,
    ) -> Result<Revision, RestoreError> {
        let lost = || RestoreError::Lost { service: service.clone(), revision: number };
        let found = stored.iter().find(|stored| stored.number == number && stored.refused.is_none());
        let found = found.ok_or_else(lost)?;
        let bytes = self.store.component(&found.digest).await?.ok_or_else(lost)?;
        let settings = table.map_or_else(|| Settings::from(found), Settings::from);
        self.build(service, bytes.into(), number, &settings).await
    }

    async fn build(
        &self,
        service: &ServiceName,
        bytes: Bytes,
        number: RevisionNumber,
        settings: &Settings,
    ) -> Result<Revision, RestoreError> {
        let failed = |error| service_error(service, error);
        let candidate = self.workshop.prepare(service, bytes, settings, &mut Steps::silent()).await.map_err(failed)?;
        let furnished = self.workshop.furnish(candidate, number).await;
        let revision = furnished.map_err(|error| failed(error.into()))?;
        tracing::info!(
            service.name = %service, revision.number = %revision.number, revision.digest = %revision.digest(),
            service.version = %revision.description.version, "component is ready"
        );
        Ok(revision)
    }

    /// Makes the first revision of a configured service.
    async fn seed(
        &self,
        service: &ServiceName,
        table: &ServiceConfig,
        number: RevisionNumber,
    ) -> Result<Plan, RestoreError> {
        let path = table.component.clone();
        let read = tokio::fs::read(&path).await;
        let read = read.map_err(|source| service_error(service, ServiceError::Read { path, source }))?;
        let bytes = Bytes::from(read);
        let revision = Arc::new(self.build(service, bytes.clone(), number, &Settings::from(table)).await?);
        let actor = Actor::host("provesi.toml");
        Ok(Plan { revision, bytes: Some(bytes), previous: None, action: Action::Seed, actor })
    }

    /// Plans to finish a deploy whose migration has contracted the schema and whose pointer a crash left behind.
    async fn go_on(&self, pointer: &Pointer, table: Option<&ServiceConfig>) -> Result<Option<Plan>, RestoreError> {
        let service = &pointer.service;
        let stored = self.store.revisions(service).await?;
        let database = self.workshop.known_database(service);
        let newest = schema::newest_that_runs(database.as_ref(), &stored).await.map_err(RestoreError::Schema)?;
        let Some(number) = newest else { return Ok(None) };
        let revision = Arc::new(self.load(service, number, &stored, table).await?);
        tracing::warn!(service.name = %service, revision.number = %number, "finishing a deploy that was cut short");
        let actor = Actor::host("start");
        let previous = Some(pointer.weights.clone());
        Ok(Some(Plan { revision, bytes: None, previous, action: Action::Deploy, actor }))
    }

    /// Stores what a plan says; false when another host was first.
    async fn carry_out(&self, state: &mut State, plan: Plan) -> Result<bool, RestoreError> {
        let Plan { revision, bytes, previous, action, actor } = plan;
        let service = &revision.service;
        if let Some(bytes) = bytes
            && self.store.keep(&new(&revision, &actor.by), &bytes).await? != revision.number
        {
            return Ok(false);
        }
        let weights = BTreeMap::from([(revision.number, 100)]);
        let pointer = Pointer { service: service.clone(), weights, previous, canary: None, changed_us: now_us() };
        let entry = Entry {
            revision: Some(revision.number),
            digest: Some(revision.digest()),
            ..Entry::done(service, action, &actor)
        };
        let Some(generation) = self.store.point(state.generation, &pointer, &entry).await? else { return Ok(false) };
        state.generation = generation;
        state.settle(pointer, &[(Arc::clone(&revision), 100)]);
        Ok(true)
    }

    /// Returns a revision that can run, from what is compiled or from the store.
    pub(super) async fn revive(&self, service: &ServiceName, number: RevisionNumber) -> Result<Arc<Revision>, Refusal> {
        let warm = self.state(service).await?.warm.get(&(service.clone(), number)).cloned();
        if let Some(warm) = warm {
            return Ok(warm);
        }
        let unknown = || Refusal::UnknownRevision { service: service.clone(), revision: number };
        let stored = self.store.revisions(service).await?;
        let found = stored.iter().find(|stored| stored.number == number && stored.refused.is_none());
        let found = found.ok_or_else(unknown)?;
        let bytes = self.store.component(&found.digest).await?.ok_or_else(unknown)?;
        let tables = (self.tables)().map_err(|error| Refusal::Configuration(chain(&error)))?;
        let settings = tables.get(service).map_or_else(|| Settings::from(found), Settings::from);
        let candidate = self.workshop.prepare(service, bytes.into(), &settings, &mut Steps::silent()).await?;
        Ok(Arc::new(self.workshop.furnish(candidate, number).await.map_err(ServiceError::from)?))
    }

    /// Follows what other hosts on the same database activate, until told to stop.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut changes = self.store.database().changes(CHANNEL, POLL);
        let follow = async {
            loop {
                changes.listen().await;
                if let Err(reason) = self.look().await {
                    tracing::warn!(reason, "cannot follow what other hosts have activated");
                }
                changes.wait().await;
            }
        };
        let _: Option<()> = stop.run_until_cancelled(follow).await;
    }

    /// Says whether what serves here is what is stored: a host that follows another lags behind as long as it compiles,
    /// and one that changes something itself as long as that takes.
    pub async fn is_current(&self) -> bool {
        if !self.store.database().is_shared() {
            return true;
        }
        let Ok(state) = self.state.try_lock() else { return false };
        self.store.generation().await.is_ok_and(|stored| stored == state.generation)
    }

    async fn look(&self) -> Result<(), String> {
        let generation = self.store.generation().await.map_err(|error| chain(&error))?;
        let mut state = self.state.lock().await;
        if state.generation == generation { Ok(()) } else { self.catch_up(&mut state).await }
    }

    /// Makes live what the store says, whoever has activated it.
    pub(super) async fn catch_up(&self, state: &mut State) -> Result<(), String> {
        let tables = (self.tables)().map_err(|error| chain(&error))?;
        let (generation, pointers) = self.store.pointers().await.map_err(|error| chain(&error))?;
        let mut services = BTreeMap::new();
        let known = self.snapshot();
        for pointer in &pointers {
            // An earlier attempt may have noted the pointer and failed at another service's.
            let is_noted = state.pointers.get(&pointer.service) == Some(pointer);
            let live = known.service(&pointer.service).filter(|live| is_noted && shows(live, pointer));
            let live = match live {
                Some(live) => live.clone(),
                None => {
                    let table = tables.get(&pointer.service);
                    self.bring_back(state, pointer, table).await.map_err(|error| chain(&error))?
                }
            };
            services.insert(pointer.service.clone(), live);
        }
        let next = Snapshot::build(services).map_err(|error| chain(&error))?;
        state.pointers.retain(|name, _| next.service(name).is_some());
        state.warm.retain(|(name, _), _| next.service(name).is_some());
        state.generation = generation;
        self.swap(next);
        tracing::info!(generation, "followed another host");
        Ok(())
    }
}

/// Says whether what lives is what a pointer says.
fn shows(live: &Live, pointer: &Pointer) -> bool {
    let weights: Weights = live.revisions().iter().map(|(revision, weight)| (revision.number, *weight)).collect();
    weights == pointer.weights && live.canary() == pointer.canary
}

fn service_error(service: &ServiceName, source: ServiceError) -> RestoreError {
    RestoreError::Service { service: service.clone(), source }
}
