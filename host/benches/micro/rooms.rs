//! The rooms of a host without its listeners: what `app` makes, for one thread to use.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use provesi::bindings::exports::provesi::platform::service::Request;
use provesi::cache::Cache;
use provesi::capabilities::passwords::Hasher;
use provesi::config::Config;
use provesi::db::{Bounds, Database, Storage, Value};
use provesi::dispatch::{Dispatch, View};
use provesi::feed::Feed;
use provesi::identity::{Identity, Keys, Revocations};
use provesi::names::RequestId;
use provesi::registry::{Grantable, Registry, Revision, ServiceTables};
use provesi::runtime::{CallBudget, Invocation, NoPeers, Runtime};
use provesi::tasks::{Board, Sharing};

use super::services::SERVICES;
use super::tiny;

/// Products that the list answers.
const PRODUCTS: u32 = 20;

/// Time that an invocation has; nothing here takes a hundredth of it.
const DEADLINE: Duration = Duration::from_secs(60);

/// A host's rooms, on SQLite files of their own.
pub(crate) struct Rooms {
    pub(crate) tokio: tokio::runtime::Runtime,
    pub(crate) registry: Registry,
    pub(crate) dispatch: Arc<Dispatch>,
    pub(crate) identity: Arc<Identity>,
    folder: tempfile::TempDir,
}

impl Rooms {
    /// Opens the demo's services, with a catalogue of twenty products, and the two that greet.
    pub(crate) fn demo() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut tables = String::new();
        for (name, component, grants) in SERVICES {
            let file = root().join("target").join(component).with_extension("wasm");
            writeln!(tables, "[services.{name}]\ncomponent = \"{}\"\ngrants = [{grants}]", file.display())?;
        }
        let rooms = Self::open(folder, &tables)?;
        rooms.tokio.block_on(rooms.fill())?;
        Ok(rooms)
    }

    /// Opens a number of services that only have routes.
    pub(crate) fn of_tiny_services(count: u32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let wit = std::fs::read_to_string(root().join("wit/platform/service.wit"))?;
        let mut tables = String::new();
        for number in 0..count {
            let file = folder.path().join(format!("tiny-{number}.wasm"));
            std::fs::write(&file, tiny::component(&wit, &format!("/tiny-{number}/"))?)?;
            writeln!(tables, "[services.tiny-{number}]\ncomponent = \"{}\"", file.display())?;
        }
        Self::open(folder, &tables)
    }

    fn open(folder: tempfile::TempDir, tables: &str) -> anyhow::Result<Self> {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (registry, dispatch, identity) = tokio.block_on(open(folder.path(), tables))?;
        Ok(Self { tokio, registry, dispatch, identity, folder })
    }

    /// Adds products to the demo's until there are enough.
    async fn fill(&self) -> anyhow::Result<()> {
        const INSERT: &str = "INSERT INTO products (name, description, sku, supplier_id, unit_price_cents, \
            cost_price_cents, category, min_stock, max_stock, is_active, requires_special_handling, search_text, \
            created_at, updated_at) VALUES ($1, 'Linterna recargable para casco', $2, 1, 8900000, 6150000, 'EPP', 20, \
            400, 1, 0, '', 1763000000000000, 1763000000000000)";
        let view = self.view("products")?;
        self.dispatch.bootstrap(view, true).await?.map_err(anyhow::Error::msg)?;
        let database = self.database("products")?;
        let rows = database.query("SELECT id FROM products", &[]).await?;
        for number in rows.count..PRODUCTS {
            let (name, sku) = (format!("Linterna Frontal {number}"), format!("LFR-{number:03}"));
            database.execute(INSERT, &[Value::Text(name), Value::Text(sku)]).await?;
        }
        Ok(())
    }

    /// Returns the live revision of a service.
    pub(crate) fn revision(&self, service: &str) -> anyhow::Result<Arc<Revision>> {
        Ok(self.view(service)?.entry)
    }

    /// Returns what a request to a service sees.
    pub(crate) fn view(&self, service: &str) -> anyhow::Result<View> {
        let snapshot = self.registry.snapshot();
        let live = snapshot.service(&service.parse()?).with_context(|| format!("{service} is not live"))?;
        Ok(View::within(&snapshot, live))
    }

    /// Returns the database of a service.
    pub(crate) fn database(&self, service: &str) -> anyhow::Result<Arc<Database>> {
        let revision = self.revision(service)?;
        revision.linked.database().cloned().with_context(|| format!("{service} has no database"))
    }

    /// Returns the file of a service's database.
    pub(crate) fn database_file(&self, service: &str) -> PathBuf {
        self.folder.path().join(format!("db/{service}.sqlite3"))
    }
}

async fn open(folder: &Path, tables: &str) -> anyhow::Result<(Registry, Arc<Dispatch>, Arc<Identity>)> {
    let bounds = Bounds {
        connections: 2,
        result_bytes: 1 << 20,
        statement_bytes: 64 << 10,
        params_bytes: 64 << 10,
        statement_timeout: DEADLINE,
    };
    let file = folder.join("provesi.toml");
    // Other rooms may be open in the same address space.
    std::fs::write(&file, format!("[runtime]\nmax-instances = 64\n{tables}"))?;
    let config = Config::load(&file)?;
    let storage = Storage::sqlite(folder.join("db"), config.storage.acquire_timeout)?;
    let keys = Keys::load_or_create(&folder.join("keys"))?;
    let own = Arc::new(storage.open("provesi_host", bounds).await?);
    let revocations = Revocations::load(Arc::clone(&own)).await?;
    let identity = Arc::new(Identity::new(&config.identity.issuer, keys, Arc::new(revocations)));
    let max_memory = usize::try_from(config.runtime.max_memory.as_u64())?;
    let cache = root().join("target/bench/cache");
    let compiler = PathBuf::from(env!("CARGO_BIN_EXE_provesi"));
    let runtime = Arc::new(Runtime::new(config.runtime.max_instances, max_memory, compiler, cache)?);
    let (hasher, feed) = (Arc::new(Hasher::new(1, 1)), Arc::new(Feed::new()));
    let cache = Arc::new(Cache::open(&config.cache).await?);
    let board = Arc::new(Board::open(own, Sharing::Alone).await?);
    let grantable = Grantable { identity: Arc::clone(&identity), hasher, cache };
    let tables: ServiceTables = Box::new(|| Ok(BTreeMap::new()));
    let call_depth = config.runtime.call_depth;
    let registry = Registry::open(runtime, storage, grantable, tables, Arc::clone(&feed), board, call_depth).await?;
    registry.restore(&config.services).await?;
    let dispatch = Arc::new(Dispatch::new(call_depth, feed));
    Ok((registry, dispatch, identity))
}

/// Makes an invocation that no peer answers.
pub(crate) fn invocation(id: &RequestId) -> Invocation {
    let deadline = Instant::now() + DEADLINE;
    let calls = Arc::new(CallBudget::new(0));
    Invocation { request_id: id.clone(), deadline, depth: 0, calls, peers: Arc::new(NoPeers) }
}

/// Makes a request as the gateway does.
pub(crate) fn request(operation: &str, params: &[(&str, &str)], body: Vec<u8>) -> Request {
    Request {
        operation: operation.to_owned(),
        path_params: params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        query: Vec::new(),
        headers: Vec::new(),
        body,
        caller: None,
        request_id: "micro".to_owned(),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ lies in the root").to_owned()
}
