//! Makes the rooms and hands each to those that need it; the only place that knows all of them.
//!
//! Everything is checked before a port is bound: a configuration, a component or a database that is not fit stops
//! the start, and nothing has been served.

mod tasks;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::capabilities::passwords::Hasher;
use crate::config::{Config, StorageUrl};
use crate::db::{Bounds, Storage};
use crate::dispatch::Dispatch;
use crate::gateway::{Gateway, Server};
use crate::identity::{Identity, Keys, Revocations};
use crate::registry::{Registry, Revision, Snapshot};
use crate::runtime::Runtime;

/// What the command line says besides the configuration.
pub struct Options {
    /// Where keys, databases and compiled code are kept.
    pub data: PathBuf,
    /// Whether empty databases get demo data.
    pub demo: bool,
}

/// A host that is ready to serve.
pub struct App {
    server: Server,
    gateway: Arc<Gateway>,
    registry: Arc<Registry>,
    dispatch: Arc<Dispatch>,
    identity: Arc<Identity>,
}

/// The host's own database needs little: a revocation is a few dozen bytes.
const HOST_BOUNDS: Bounds =
    Bounds { connections: 2, result_bytes: 64 << 20, statement_bytes: 64 << 10, params_bytes: 64 << 10 };

impl App {
    /// Brings everything up to the bound port.
    ///
    /// # Errors
    /// When anything is not fit to serve; the chain says what and why.
    pub async fn start(config: &Config, options: Options) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&options.data)
            .and_then(|()| std::fs::canonicalize(&options.data))
            .with_context(|| format!("cannot use the data folder {}", options.data.display()))
            .map(drop)?;
        let data = std::fs::canonicalize(&options.data)?;
        let storage = open_storage(config, &data).await?;
        let identity = Arc::new(open_identity(config, &storage, &data).await?);
        let cache = config.runtime.cache.clone().unwrap_or_else(|| data.join("cache"));
        let max_memory = usize::try_from(config.runtime.max_memory.as_u64())?;
        let runtime = Arc::new(Runtime::new(config.runtime.max_instances, max_memory, cache)?);
        let hasher = Hasher::new(config.identity.password_concurrency, config.identity.password_queue);
        let registry = Arc::new(Registry::new(runtime, storage, Arc::clone(&identity), Arc::new(hasher)));
        registry.seed(&config.services).await?;
        let dispatch = Arc::new(Dispatch::new(config.runtime.max_instances, config.runtime.call_depth));
        bootstrap(&dispatch, &registry.snapshot(), options.demo).await?;
        let server = Server::bind(&config.gateway).await?;
        if config.gateway.access == crate::config::AccessMode::Open {
            tracing::warn!("gateway.access = \"open\": most routes are public, as in the old system");
        }
        let gateway =
            Gateway::new(&config.gateway, Arc::clone(&registry), Arc::clone(&dispatch), Arc::clone(&identity));
        Ok(Self { server, gateway: Arc::new(gateway), registry, dispatch, identity })
    }

    /// Returns the address of the public listener.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.server.address()
    }

    /// Serves until told to stop; returns when everything has ended.
    pub async fn run(self, stop: CancellationToken) {
        let background = TaskTracker::new();
        let identity = Arc::clone(&self.identity);
        let follow = stop.clone();
        background.spawn(async move { identity.revocations().follow(follow).await });
        tasks::spawn(&background, &self.registry, &self.dispatch, &stop);
        match self.server.address() {
            Ok(address) => tracing::info!(%address, "serving"),
            Err(error) => tracing::warn!(%error, "serving on an address that the system does not tell"),
        }
        self.server.serve(self.gateway, stop).await;
        background.close();
        background.wait().await;
        self.registry.close().await;
        tracing::info!("stopped");
    }
}

async fn open_storage(config: &Config, data: &Path) -> anyhow::Result<Storage> {
    let timeout = config.storage.acquire_timeout;
    Ok(match &config.storage.url {
        StorageUrl::Sqlite => Storage::sqlite(data.join("db"), timeout)?,
        StorageUrl::Postgres(url) => Storage::postgres(url, timeout).await.context("storage.url does not work")?,
    })
}

async fn open_identity(config: &Config, storage: &Storage, data: &Path) -> anyhow::Result<Identity> {
    let keys = Keys::load_or_create(&data.join("keys"))?;
    let database = storage.open("provesi_host", HOST_BOUNDS).await?;
    let revocations = Revocations::load(database).await?;
    Ok(Identity::new(&config.identity.issuer, keys, Arc::new(revocations)))
}

/// Lets services fill empty databases: exporters before those that import them, circles in the order of names.
async fn bootstrap(dispatch: &Arc<Dispatch>, snapshot: &Arc<Snapshot>, demo: bool) -> anyhow::Result<()> {
    let mut left: Vec<&Arc<Revision>> = snapshot.services().collect();
    while !left.is_empty() {
        let ready = left.iter().position(|revision| !imports_any(snapshot, revision, &left)).unwrap_or(0);
        let revision = left.remove(ready);
        let name = &revision.service;
        let lines = dispatch
            .bootstrap(snapshot, revision, demo)
            .await?
            .map_err(|reason| anyhow::anyhow!(reason))
            .with_context(|| format!("service {name} cannot fill its database"))?;
        for line in lines {
            announce(name.as_str(), &line);
        }
    }
    Ok(())
}

fn imports_any(snapshot: &Snapshot, revision: &Revision, others: &[&Arc<Revision>]) -> bool {
    revision.linked.compiled().imports().keys().any(|import| {
        let exporter = snapshot.exporter(import).map(|(exporter, _)| &exporter.service);
        others.iter().any(|other| other.service != revision.service && Some(&other.service) == exporter)
    })
}

/// Shows a line to the operator, not to the log: it may be a first password.
#[expect(clippy::print_stdout, reason = "the operator reads it once, on the terminal")]
fn announce(service: &str, line: &str) {
    println!("{service}: {line}");
}
