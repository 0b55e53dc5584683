//! Brings components to life in the order that keeps a bad one from serving: compile, link, describe, contract,
//! migrations, activate.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use wasmtime_wasi_config::WasiConfigVariables;

use super::description::{DescriptionError, ServiceDescription};
use super::snapshot::{Revision, Snapshot, SnapshotError};
use crate::capabilities::passwords::Hasher;
use crate::config::{Limits, ServiceConfig};
use crate::db::ledger::{self, MigrationError};
use crate::db::{Bounds, Database, OpenError, Storage};
use crate::fault::CallError;
use crate::identity::Identity;
use crate::names::{RequestId, RevisionNumber, ServiceName};
use crate::runtime::{
    CompileError, Failure, GrantSet, Invocation, LinkError, PeerCall, PeerCaller, Resources, Runtime,
};

/// Time that a component has to describe itself.
const DESCRIBE_DEADLINE: Duration = Duration::from_secs(2);

/// The live services.
pub struct Registry {
    runtime: Arc<Runtime>,
    storage: Storage,
    identity: Arc<Identity>,
    hasher: Arc<Hasher>,
    snapshot: ArcSwap<Snapshot>,
}

/// Why the configured services cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// One of them is not fit.
    #[error("service {service} cannot serve")]
    Service {
        /// Which one.
        service: ServiceName,
        /// Why.
        #[source]
        source: ServiceError,
    },
    /// They do not fit together.
    #[error("the services do not fit together")]
    Snapshot(#[from] SnapshotError),
}

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
    /// The file is no component.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It imports what it may not, or does not fit the platform.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It does not say what it is.
    #[error("its description failed: {0:?}")]
    Describe(Failure),
    /// It says something wrong.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// It has tasks and nothing to run them.
    #[error("it describes tasks and exports no worker")]
    NoWorker,
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

/// Reaches nobody: what a component is described with.
struct NoPeers;

impl PeerCaller for NoPeers {
    fn call(self: Arc<Self>, call: PeerCall) -> crate::runtime::PeerFuture<'static> {
        Box::pin(async move { Err(CallError::NoExporter { interface: call.interface.to_string() }) })
    }
}

impl Registry {
    /// Makes a registry in which nothing lives yet.
    pub fn new(runtime: Arc<Runtime>, storage: Storage, identity: Arc<Identity>, hasher: Arc<Hasher>) -> Self {
        Self { runtime, storage, identity, hasher, snapshot: ArcSwap::default() }
    }

    /// Returns what lives now. A request takes it once and keeps it.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Activates the configured services together, or none of them.
    ///
    /// # Errors
    /// When one of them cannot serve, or they do not fit together.
    pub async fn seed<'c>(
        &self,
        services: impl IntoIterator<Item = (&'c ServiceName, &'c ServiceConfig)>,
    ) -> Result<(), ActivateError> {
        let mut revisions = Vec::new();
        let mut databases = Vec::new();
        for (name, config) in services {
            let failed = |source| ActivateError::Service { service: name.clone(), source };
            let (revision, database) = self.prepare(name, config).await.map_err(failed)?;
            tracing::info!(
                service.name = %name, revision.number = %revision.number, revision.digest = %revision.digest(),
                service.version = %revision.description.version, "component is ready"
            );
            let revision = Arc::new(revision);
            databases.push((Arc::clone(&revision), database));
            revisions.push(revision);
        }
        let next = Snapshot::build(revisions)?;
        for (revision, database) in databases {
            let failed = |source| ActivateError::Service { service: revision.service.clone(), source };
            migrate(&revision, database).await.map_err(failed)?;
        }
        self.snapshot.store(Arc::new(next));
        Ok(())
    }

    /// Closes the databases of all services, after what runs on them.
    pub async fn close(&self) {
        for revision in self.snapshot().services() {
            if let Some(database) = revision.linked.database() {
                database.close().await;
            }
        }
    }

    async fn prepare(
        &self,
        name: &ServiceName,
        config: &ServiceConfig,
    ) -> Result<(Revision, Option<Arc<Database>>), ServiceError> {
        let path = config.component.clone();
        let bytes = tokio::fs::read(&path).await.map_err(|source| ServiceError::Read { path, source })?;
        let runtime = Arc::clone(&self.runtime);
        let compiled = tokio::task::spawn_blocking(move || runtime.compile(&bytes))
            .await
            .expect("the compiler does not panic and is not cancelled")?;
        let grants = GrantSet::new(&config.grants);
        let nothing = Resources {
            service: name.clone(),
            database: None,
            identity: None,
            hasher: None,
            config: Arc::new(WasiConfigVariables::new()),
            limits: config.limits.clone(),
        };
        let linked = self.runtime.link(compiled, &grants, nothing.clone())?;
        let invocation = Invocation {
            request_id: RequestId::generate(),
            deadline: Instant::now() + DESCRIBE_DEADLINE,
            depth: 0,
            peers: Arc::new(NoPeers),
        };
        let described = linked.describe(invocation).await.map_err(ServiceError::Describe)?;
        let description = ServiceDescription::try_from(described)?;
        if !description.tasks.is_empty() && !linked.has_worker() {
            return Err(ServiceError::NoWorker);
        }
        let database = if grants.contains("sql") {
            Some(Arc::new(self.storage.open(&name.identifier(), bounds(&config.limits)).await?))
        } else {
            None
        };
        let granted = Resources {
            database: database.clone(),
            identity: grants.contains("tokens").then(|| Arc::clone(&self.identity)),
            hasher: grants.contains("passwords").then(|| Arc::clone(&self.hasher)),
            config: Arc::new(config.config.clone().into_iter().collect()),
            ..nothing
        };
        let revision = Revision {
            service: name.clone(),
            number: RevisionNumber(1),
            linked: linked.with_resources(granted),
            description,
            limits: config.limits.clone(),
        };
        Ok((revision, database))
    }
}

async fn migrate(revision: &Revision, database: Option<Arc<Database>>) -> Result<(), ServiceError> {
    let migrations = &revision.description.migrations;
    let Some(database) = database else {
        return if migrations.is_empty() { Ok(()) } else { Err(ServiceError::NoDatabase) };
    };
    let applied = ledger::apply(&database, migrations).await?;
    if applied > 0 {
        tracing::info!(service.name = %revision.service, applied, "schema was brought up to date");
    }
    Ok(())
}

fn bounds(limits: &Limits) -> Bounds {
    let bytes = |size: bytesize::ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
    Bounds {
        connections: limits.sql_connections,
        result_bytes: bytes(limits.sql_result),
        statement_bytes: bytes(limits.sql_statement),
        params_bytes: bytes(limits.sql_params),
    }
}
