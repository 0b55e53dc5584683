//! From bytes to a revision that could run: compile, link with what was granted, ask what it is.
//!
//! Nothing here changes what serves. Databases, the share of the processor and the lane belong to a service, not to a
//! revision: both sides of a swap share them, and a revision's limits hold for them once it serves (see
//! `snapshot::Live::apply_limits`).

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use wasmtime_wasi_config::WasiConfigVariables;

use super::databases::Databases;
use super::description::{DescriptionError, ServiceDescription};
use super::lane::{Lane, Pool};
use super::operations::Operations;
use super::refusal::{Refusal, chain};
use super::snapshot::Revision;
use super::stats::RevisionStats;
use super::steps::{Step, Steps};
use super::store::Stored;
use crate::cache::Cache;
use crate::capabilities::outbound::Outbound;
use crate::capabilities::passwords::Hasher;
use crate::config::{BreakerConfig, ConfigError, Limits, ServiceConfig};
use crate::db::ledger::{self, MigrationError};
use crate::db::{Database, OpenError, Storage, outbox};
use crate::identity::Identity;
use crate::names::{Destination, RequestId, RevisionNumber, ServiceName};
use crate::runtime::{
    CallBudget, CompileError, CpuShare, Failure, GrantSet, Invocation, LinkError, Linked, NoPeers, Resources, Runtime,
};

/// Time that a component has to describe itself.
const DESCRIBE_DEADLINE: Duration = Duration::from_secs(2);

/// Why one service cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Its file cannot be read.
    #[error("cannot read its component {} (built by `make components`)", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Its limits are not those that this host can keep.
    #[error(transparent)]
    Limits(ConfigError),
    /// The file is no component.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It imports what it may not, or does not fit the platform.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It does not say what it is.
    #[error("its description failed: {0}")]
    Describe(Failure),
    /// It says something wrong.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// It has tasks and nothing to run them.
    #[error("it describes tasks and exports no worker")]
    NoWorker,
    /// It subscribes and nothing takes the events.
    #[error("it describes subscriptions and exports no subscriber")]
    NoSubscriber,
    /// It publishes without the right to.
    #[error("it describes topics and has not both grants \"sql\" and \"events\"")]
    NoOutbox,
    /// It has a schema and no database.
    #[error("it describes migrations and has no grant \"sql\"")]
    NoDatabase,
    /// Its database cannot be opened.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// Its schema cannot be brought up to date.
    #[error(transparent)]
    Migration(#[from] MigrationError),
}

/// What an operator decides about a service.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) grants: Vec<String>,
    pub(super) limits: Limits,
    pub(super) breaker: BreakerConfig,
    pub(super) config: BTreeMap<String, String>,
    pub(super) http: Vec<Destination>,
}

/// What services can be granted besides a database of their own.
pub struct Grantable {
    /// Issues tokens.
    pub identity: Arc<Identity>,
    /// Hashes passwords.
    pub hasher: Arc<Hasher>,
    /// Keeps what can be computed again.
    pub cache: Arc<Cache>,
}

/// Makes revisions.
pub(super) struct Workshop {
    runtime: Arc<Runtime>,
    storage: Storage,
    grantable: Grantable,
    databases: Databases,
    pool: Arc<Pool>,
    shared: Mutex<HashMap<ServiceName, Shared>>,
    links: Mutex<HashMap<ServiceName, u64>>,
}

/// What all revisions of a service run on.
#[derive(Clone)]
struct Shared {
    cpu: Arc<CpuShare>,
    lane: Arc<Lane>,
}

/// A component that could run, without a number yet.
pub(super) struct Candidate {
    revision: Revision,
    config: BTreeMap<String, String>,
    http: Vec<Destination>,
}

impl From<&ServiceConfig> for Settings {
    fn from(config: &ServiceConfig) -> Self {
        let ServiceConfig { grants, limits, breaker, config, http, .. } = config.clone();
        Self { grants, limits, breaker, config, http }
    }
}

impl From<&Stored> for Settings {
    fn from(stored: &Stored) -> Self {
        Self { grants: stored.grants.clone(), limits: stored.limits.clone(), ..Self::default() }
    }
}

impl From<ServiceError> for Refusal {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Link(LinkError::Denied { import, grant }) => Self::ImportDenied { import, grant },
            ServiceError::Database(error) => Self::Storage(chain(&error)),
            ServiceError::Migration(error) => error.into(),
            ServiceError::Limits(error) => Self::Configuration(chain(&error)),
            other => Self::InvalidComponent(chain(&other)),
        }
    }
}

// === impl Workshop ===

impl Workshop {
    pub(super) fn new(runtime: Arc<Runtime>, storage: Storage, grantable: Grantable, call_depth: u8) -> Self {
        let pool = Arc::new(Pool::new(runtime.max_instances(), call_depth));
        let (databases, shared, links) = (Databases::default(), Mutex::default(), Mutex::default());
        Self { runtime, storage, grantable, databases, pool, shared, links }
    }

    pub(super) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Returns how often a revision of the service was linked.
    pub(super) fn links(&self, service: &ServiceName) -> u64 {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).get(service).copied().unwrap_or_default()
    }

    /// Compiles and links a component and asks it what it is; it has no database yet.
    pub(super) async fn prepare(
        &self,
        service: &ServiceName,
        bytes: Bytes,
        settings: &Settings,
        steps: &mut Steps<'_>,
    ) -> Result<Candidate, ServiceError> {
        settings.limits.check(service, self.runtime.max_memory()).map_err(ServiceError::Limits)?;
        steps.begin(Step::Compile);
        let compiled = self.runtime.compile_aside(&bytes).await?;
        steps.begin(Step::Link);
        let grants = GrantSet::new(&settings.grants);
        let resources = Resources {
            service: service.clone(),
            database: None,
            topics: None,
            identity: None,
            hasher: None,
            outbound: None,
            cache: None,
            config: Arc::new(WasiConfigVariables::new()),
            // One of its own: what is only asked what it is takes nothing from what serves.
            cpu: Arc::new(CpuShare::new(settings.limits.cpu)),
            limits: settings.limits.clone(),
        };
        let linked = self.runtime.link(compiled, &grants, resources)?;
        *self.links.lock().unwrap_or_else(PoisonError::into_inner).entry(service.clone()).or_default() += 1;
        steps.begin(Step::Describe);
        let invocation = Invocation {
            request_id: RequestId::generate(),
            deadline: Instant::now() + DESCRIBE_DEADLINE,
            depth: 0,
            calls: Arc::new(CallBudget::new(settings.limits.typed_calls)),
            peers: Arc::new(NoPeers),
        };
        let described = linked.describe(invocation).await.map_err(ServiceError::Describe)?;
        let description = ServiceDescription::try_from(described)?;
        description.check_topics(service)?;
        check(&description, &linked, &grants)?;
        let operations = Operations::new(&description, linked.compiled(), settings.breaker);
        let revision = Revision {
            service: service.clone(),
            number: RevisionNumber(0),
            linked,
            description,
            grants: settings.grants.clone(),
            limits: settings.limits.clone(),
            stats: RevisionStats::default(),
            operations,
            lane: Arc::new(Lane::new(service.clone(), Arc::clone(&self.pool))),
            header: OnceLock::new(),
        };
        Ok(Candidate { revision, config: settings.config.clone(), http: settings.http.clone() })
    }

    /// Gives a candidate its number and what it was granted.
    pub(super) async fn furnish(&self, candidate: Candidate, number: RevisionNumber) -> Result<Revision, OpenError> {
        let Candidate { mut revision, config, http } = candidate;
        let grants = GrantSet::new(&revision.grants);
        let (service, limits) = (&revision.service, &revision.limits);
        let database = if grants.contains("sql") {
            Some(self.databases.open(&self.storage, service, limits).await?)
        } else {
            None
        };
        let (offered, quota) = (&self.grantable, limits.cache.as_u64());
        let Shared { cpu, lane } = self.shared(service, limits);
        let resources = Resources {
            service: service.clone(),
            database,
            topics: grants.contains("events").then(|| Arc::new(revision.description.topics.clone())),
            identity: grants.contains("tokens").then(|| Arc::clone(&offered.identity)),
            hasher: grants.contains("passwords").then(|| Arc::clone(&offered.hasher)),
            outbound: grants.contains("http").then(|| Arc::new(Outbound::new(http))),
            cache: grants.contains("cache").then(|| offered.cache.of(service, quota)),
            config: Arc::new(config.into_iter().collect()),
            cpu,
            limits: limits.clone(),
        };
        revision.linked = revision.linked.with_resources(resources);
        revision.lane = lane;
        revision.number = number;
        Ok(revision)
    }

    /// Returns what a service's revisions share, the same for all of them; the first one's limits until one serves.
    fn shared(&self, service: &ServiceName, limits: &Limits) -> Shared {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Shared {
            cpu: Arc::new(CpuShare::new(limits.cpu)),
            lane: Arc::new(Lane::new(service.clone(), Arc::clone(&self.pool))),
        };
        shared.entry(service.clone()).or_insert_with(new).clone()
    }

    /// Returns the database of a service if one of its revisions has opened it.
    pub(super) fn known_database(&self, service: &ServiceName) -> Option<Arc<Database>> {
        self.databases.known(service)
    }

    /// Lets go of what no revision needs any more.
    pub(super) fn let_go(&self) {
        self.databases.let_go();
    }

    /// Closes all databases, after what runs on them.
    pub(super) async fn close(&self) {
        self.databases.close().await;
    }
}

// === impl Candidate ===

impl Candidate {
    /// Reads the revision that it would become.
    pub(super) fn revision(&self) -> &Revision {
        &self.revision
    }

    /// Takes the revision that it would become, without what it was granted: it can be checked, not run.
    pub(super) fn into_unfurnished(mut self, number: RevisionNumber) -> Revision {
        self.revision.number = number;
        self.revision
    }
}

/// Checks that a component exports, and was granted, what its description needs.
fn check(description: &ServiceDescription, linked: &Linked, grants: &GrantSet) -> Result<(), ServiceError> {
    description.check_exports(linked.compiled())?;
    if !description.tasks.is_empty() && !linked.has_worker() {
        return Err(ServiceError::NoWorker);
    }
    if !description.subscriptions.is_empty() && !linked.has_subscriber() {
        return Err(ServiceError::NoSubscriber);
    }
    let has_outbox = grants.contains("sql") && grants.contains("events");
    if !description.topics.is_empty() && !has_outbox {
        return Err(ServiceError::NoOutbox);
    }
    if !description.migrations.is_empty() && !grants.contains("sql") {
        return Err(ServiceError::NoDatabase);
    }
    Ok(())
}

/// Brings the schema of a revision's service up to date, with the host's own tables in it; names what was applied.
pub(super) async fn migrate(revision: &Revision) -> Result<Vec<String>, MigrationError> {
    let Some(database) = revision.linked.database() else { return Ok(Vec::new()) };
    if revision.publishes() {
        outbox::create_outbox(database).await?;
    }
    if !revision.description.subscriptions.is_empty() {
        outbox::create_inbox(database).await?;
    }
    let applied = ledger::apply(database, &revision.description.migrations).await?;
    if !applied.is_empty() {
        tracing::info!(service.name = %revision.service, migrations = applied.join(", "), "schema was brought up to date");
    }
    Ok(applied)
}
