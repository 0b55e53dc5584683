//! Makes the rooms and hands each to those that need it; the only place that knows all of them.
//!
//! Everything is checked before a port is bound: a configuration, a component or a database that is not fit stops
//! the start, and nothing has been served.

mod events;
mod metrics;
mod role;
mod tasks;
mod watch;

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::events::Events;
use self::tasks::Tasks;
use crate::admin::{Admin, AdminToken, Letters};
use crate::cache::Cache;
use crate::capabilities::passwords::Hasher;
use crate::config::{AccessMode, CanaryConfig, Config, StorageUrl};
use crate::db::{Bounds, Database, Storage};
use crate::dispatch::Dispatch;
use crate::feed::Feed;
use crate::gateway::Gateway;
use crate::identity::{Identity, Keys, Revocations};
use crate::listener::Server;
use crate::registry::{Grantable, Registry, ServiceTables};
use crate::runtime::Runtime;
use crate::tasks::{Board, Sharing};

/// What the command line says besides the configuration.
pub struct Options {
    /// Where keys, databases and compiled code are kept.
    pub data: PathBuf,
    /// The program that compiles components: `provesi` itself.
    pub compiler: PathBuf,
    /// Whether empty databases get demo data.
    pub demo: bool,
    /// Whether a changed component file is deployed by itself.
    pub watch: bool,
}

/// A host that is ready to serve.
pub struct App {
    public: Server,
    operators: Server,
    gateway: Arc<Gateway>,
    admin: Arc<Admin>,
    registry: Arc<Registry>,
    identity: Arc<Identity>,
    tasks: Arc<Tasks>,
    events: Arc<Events>,
    runtime: Arc<Runtime>,
    cache: Arc<Cache>,
    canary: CanaryConfig,
    watch: Option<Arc<watch::Watch>>,
    /// Held until all that works on the data has ended.
    _lock: File,
}

/// The host's own database: an event has at most 256 KiB, a task is a row, a revocation a few dozen bytes. Two
/// connections listen.
const HOST_BOUNDS: Bounds = Bounds {
    connections: 8,
    result_bytes: 64 << 20,
    statement_bytes: 64 << 10,
    params_bytes: 1 << 20,
    statement_timeout: Duration::from_secs(30),
};

/// How long a start waits for a host that is stopping.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(50);

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
        let _lock = lock_folder(&data).await?;
        let storage = open_storage(config, &data).await?;
        let own = Arc::new(storage.open("provesi_host", HOST_BOUNDS).await?);
        let identity = Arc::new(open_identity(config, &own, &data).await?);
        let board = Arc::new(Board::open(Arc::clone(&own), sharing(config)).await?);
        let cache = Arc::new(Cache::open(&config.cache).await?);
        let compiled = config.runtime.cache.clone().unwrap_or_else(|| data.join("cache"));
        let max_memory = usize::try_from(config.runtime.max_memory.as_u64())?;
        let runtime = Arc::new(Runtime::new(config.runtime.max_instances, max_memory, options.compiler, compiled)?);
        let hasher = Arc::new(Hasher::new(config.identity.password_concurrency, config.identity.password_queue));
        let feed = Arc::new(Feed::new());
        let (file, told) = (config.file.clone(), Arc::clone(&feed));
        let tables: ServiceTables = Box::new(move || Ok(Config::load(&file)?.services));
        let grantable = Grantable { identity: Arc::clone(&identity), hasher, cache: Arc::clone(&cache) };
        let engine = Arc::clone(&runtime);
        let call_depth = config.runtime.call_depth;
        let registry = Registry::open(engine, storage, grantable, tables, told, Arc::clone(&board), call_depth).await?;
        let registry = Arc::new(registry);
        registry.restore(&config.services).await?;
        let dispatch = Arc::new(Dispatch::new(call_depth, Arc::clone(&feed)));
        let (services, caller, told) = (Arc::clone(&registry), Arc::clone(&dispatch), Arc::clone(&feed));
        let events = Arc::new(Events::open(&config.events, own, services, caller, told).await?);
        let tasks = Arc::new(Tasks::new(Arc::clone(&registry), Arc::clone(&dispatch), board, options.demo));
        tasks.fill().await?;
        let watch = options.watch.then(|| watch::Watch::start(&config.services)).transpose()?.map(Arc::new);
        let token = AdminToken::load_or_create(&data)?;
        let operators = Server::bind(&config.admin).await?;
        let public = Server::bind(&config.gateway).await?;
        if config.gateway.access == AccessMode::Open {
            tracing::warn!("gateway.access = \"open\": most routes are public, as in the old system");
        }
        let gateway = Arc::new(Gateway::new(&config.gateway, Arc::clone(&registry), dispatch, Arc::clone(&identity)));
        let render = metrics::renderer(Arc::clone(&registry), Arc::clone(&cache), &events);
        let (dead, broker) = (Arc::clone(&events.dead), Arc::clone(&events.broker));
        let letters = Letters { dead, broker, survey: Arc::clone(&events.survey) };
        let admin = Arc::new(Admin::new(Arc::clone(&registry), feed, letters, token, &config.admin, render));
        let canary = config.canary.clone();
        Ok(Self {
            public,
            operators,
            gateway,
            admin,
            registry,
            identity,
            tasks,
            events,
            runtime,
            cache,
            canary,
            watch,
            _lock,
        })
    }

    /// Returns the address of the public listener.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.public.address()
    }

    /// Returns the address of the operators' listener.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.operators.address()
    }

    /// Serves until told to stop; returns when everything has ended.
    pub async fn run(self, stop: CancellationToken) {
        let background = TaskTracker::new();
        self.start_roles(&background, &stop);
        match (self.public.address(), self.operators.address()) {
            (Ok(address), Ok(admin)) => tracing::info!(%address, %admin, "serving"),
            (Err(error), _) | (_, Err(error)) => tracing::warn!(%error, "serving on unknown addresses"),
        }
        let operators = self.operators.serve(Arc::clone(&self.admin).router(stop.clone()), stop.clone());
        futures::join!(self.public.serve(self.gateway.service(), stop.clone()), operators);
        self.admin.drain().await;
        background.close();
        background.wait().await;
        self.events.broker.close().await;
        self.cache.close().await;
        self.registry.close().await;
        tracing::info!("stopped");
    }

    /// Starts what the host does besides answering.
    fn start_roles(&self, tracker: &TaskTracker, stop: &CancellationToken) {
        let (identity, until) = (Arc::clone(&self.identity), stop.clone());
        tracker.spawn(async move {
            role::keep("revocations", &until, || identity.revocations().follow(until.clone())).await;
        });
        let (registry, until) = (Arc::clone(&self.registry), stop.clone());
        tracker.spawn(async move {
            role::keep("activations of other hosts", &until, || registry.follow(until.clone())).await;
        });
        let (registry, canary, until) = (Arc::clone(&self.registry), self.canary.clone(), stop.clone());
        tracker.spawn(async move {
            role::keep("canary watch", &until, || registry.watch_canaries(canary.clone(), until.clone())).await;
        });
        let (runtime, until) = (Arc::clone(&self.runtime), stop.clone());
        tracker.spawn(async move {
            role::keep("idle guests", &until, || runtime.sweep_idle(until.clone())).await;
        });
        let (tasks, children, until) = (Arc::clone(&self.tasks), tracker.clone(), stop.clone());
        tracker.spawn(async move {
            role::keep("tasks", &until, || Arc::clone(&tasks).follow(children.clone(), until.clone())).await;
        });
        tracker.spawn(Arc::clone(&self.events).follow(tracker.clone(), stop.clone()));
        if let Some(watch) = &self.watch {
            let (watch, registry, until) = (Arc::clone(watch), Arc::clone(&self.registry), stop.clone());
            tracker.spawn(async move {
                role::keep("watch over files", &until, || watch.follow(&registry, &until)).await;
            });
        }
    }
}

/// Takes the data folder for this process: two hosts on one folder would each do what only one may.
async fn lock_folder(data: &Path) -> anyhow::Result<File> {
    let file = File::create(data.join("lock")).context("cannot use the data folder")?;
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A host that stops has given up its ports before its last work has ended.
            Err(TryLockError::WouldBlock) if Instant::now() < until => tokio::time::sleep(LOCK_RETRY).await,
            Err(TryLockError::WouldBlock) => anyhow::bail!("another host uses the data folder {}", data.display()),
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the data folder"),
        }
    }
}

async fn open_storage(config: &Config, data: &Path) -> anyhow::Result<Storage> {
    let timeout = config.storage.acquire_timeout;
    Ok(match &config.storage.url {
        StorageUrl::Sqlite => Storage::sqlite(data.join("db"), timeout)?,
        StorageUrl::Postgres(url) => Storage::postgres(url, timeout).await.context("storage.url does not work")?,
    })
}

/// Files belong to this process; a server may have other hosts on it.
fn sharing(config: &Config) -> Sharing {
    match config.storage.url {
        StorageUrl::Sqlite => Sharing::Alone,
        StorageUrl::Postgres(_) => Sharing::Shared,
    }
}

async fn open_identity(config: &Config, own: &Arc<Database>, data: &Path) -> anyhow::Result<Identity> {
    let keys = Keys::load_or_create(&data.join("keys"))?;
    let revocations = Revocations::load(Arc::clone(own)).await?;
    Ok(Identity::new(&config.identity.issuer, keys, Arc::new(revocations)))
}
