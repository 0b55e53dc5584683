//! Services, their revisions, and the snapshot that requests see.
//!
//! A [`Snapshot`] is immutable: a request takes one and keeps it from its start to its end. Activation stores the
//! new pointer, builds the next snapshot and replaces the old one whole, so no request sees half of a change, and a
//! start after kill -9 comes back to what was stored.
//!
//! Not here: how a component is compiled and run (see `runtime`), picking and running (see `dispatch`), HTTP (see
//! `admin`).

mod audit;
mod breaker;
mod canary;
mod contract;
mod databases;
mod deploy;
mod description;
mod events;
mod lane;
mod operations;
mod pointer;
mod prepare;
mod refusal;
mod report;
mod restore;
mod routes;
mod schema;
mod snapshot;
mod stats;
mod status;
mod steps;
mod store;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard, OwnedMutexGuard, watch};

pub use self::audit::Actor;
pub use self::breaker::{Breaker, Change, Pass, Phase};
pub use self::contract::{Breach, Party, breaches};
pub use self::deploy::{Activation, Percent};
pub use self::description::{Access, DescriptionError, Method, Route, ServiceDescription, Task};
pub use self::lane::{Lane, Permit, RetryBudget};
pub use self::operations::{Operation, Operations};
pub use self::prepare::{Grantable, ServiceError};
use self::prepare::{Settings, Workshop};
pub use self::refusal::Refusal;
pub use self::restore::RestoreError;
#[cfg(any(fuzzing, test))]
pub(crate) use self::routes::Patterns;
pub use self::routes::{MatchedRoute, RouteCollision, RouteMatch, RouteTable};
pub use self::snapshot::{Live, Revision, Snapshot, SnapshotError, Ticket};
pub use self::stats::Outcome;
pub use self::status::{
    AuditEntry, Checked, Deployed, Moved, RevisionStatus, ServiceStatus, Share, TaskStatus, Weights,
};
pub use self::store::StoreError;
use self::store::{Pointer, Store};
use crate::config::{ConfigError, ServiceConfig};
use crate::db::Storage;
use crate::feed::Feed;
use crate::names::{RevisionNumber, ServiceName};
use crate::runtime::Runtime;
use crate::tasks::Board;

/// Longest wait for another change of the same service, or for the moment of another's activation.
const TURN: Duration = Duration::from_secs(30);

/// Reads the tables `[services.*]` again, so that a new service needs no restart.
pub type ServiceTables = Box<dyn Fn() -> Result<BTreeMap<ServiceName, ServiceConfig>, ConfigError> + Send + Sync>;

/// The services, and the way to change them.
pub struct Registry {
    workshop: Workshop,
    store: Store,
    tables: ServiceTables,
    feed: Arc<Feed>,
    /// When tasks have run and will.
    tasks: Arc<Board>,
    snapshot: ArcSwap<Snapshot>,
    changed: watch::Sender<()>,
    /// What the store says; held from the contract check to the swap, so that two activations never cross.
    state: AsyncMutex<State>,
    turns: Mutex<HashMap<ServiceName, Arc<AsyncMutex<()>>>>,
    wanted: Mutex<Vec<ServiceName>>,
}

/// The pointers as this host knows them.
#[derive(Default)]
struct State {
    generation: i64,
    pointers: BTreeMap<ServiceName, Pointer>,
    /// Revisions that are compiled: the live ones, and those before them.
    warm: BTreeMap<(ServiceName, RevisionNumber), Arc<Revision>>,
}

impl Registry {
    /// Opens the registry for typed calls up to a depth; nothing lives until [`Registry::restore`].
    ///
    /// # Errors
    /// When its database cannot be used.
    pub async fn open(
        runtime: Arc<Runtime>,
        storage: Storage,
        grantable: Grantable,
        tables: ServiceTables,
        feed: Arc<Feed>,
        tasks: Arc<Board>,
        call_depth: u8,
    ) -> Result<Self, StoreError> {
        let workshop = Workshop::new(runtime, storage, grantable, call_depth);
        let store = Store::open(workshop.storage()).await?;
        Ok(Self {
            workshop,
            store,
            tables,
            feed,
            tasks,
            snapshot: ArcSwap::default(),
            changed: watch::Sender::new(()),
            state: AsyncMutex::default(),
            turns: Mutex::default(),
            wanted: Mutex::default(),
        })
    }

    /// Returns what lives now. A request takes it once and keeps it.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Tells when what lives has changed.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Closes all databases, after what runs on them.
    pub async fn close(&self) {
        self.workshop.close().await;
        self.store.close().await;
    }

    /// Waits for the other changes of a service to end.
    async fn turn(&self, service: &ServiceName) -> Result<OwnedMutexGuard<()>, Refusal> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(service.clone()).or_default())
        };
        let waited = tokio::time::timeout(TURN, turn.lock_owned()).await;
        waited.map_err(|_| Refusal::Busy(service.clone()))
    }

    async fn state(&self, service: &ServiceName) -> Result<MutexGuard<'_, State>, Refusal> {
        let waited = tokio::time::timeout(TURN, self.state.lock()).await;
        waited.map_err(|_| Refusal::Busy(service.clone()))
    }

    /// Returns what the operator has decided about a service: its table in `provesi.toml`, or, where it has none,
    /// what its newest revision was deployed with.
    async fn settings(&self, service: &ServiceName) -> Result<Settings, Refusal> {
        let tables = (self.tables)().map_err(|error| Refusal::Configuration(refusal::chain(&error)))?;
        if let Some(table) = tables.get(service) {
            return Ok(table.into());
        }
        let stored = self.store.revisions(service).await?;
        Ok(stored.first().map(Settings::from).unwrap_or_default())
    }
}
