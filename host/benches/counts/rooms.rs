//! The rooms that pieces are taken from: a registry of services that only have routes, a database, signing keys, and
//! the demo's components as the contract check sees them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use provesi::cache::Cache;
use provesi::capabilities::passwords::Hasher;
use provesi::config::Config;
use provesi::db::ledger::{self, Migration};
use provesi::db::{Bounds, Database, Storage};
use provesi::feed::Feed;
use provesi::identity::{Identity, Keys, Revocations};
use provesi::registry::{Grantable, Registry, ServiceTables};
use provesi::runtime::{Compiled, Runtime};
use provesi::tasks::{Board, Sharing};

use super::{root, tiny};

/// Services with five routes each.
pub(crate) const SERVICES: u32 = 100;

/// Rows of the table.
pub(crate) const ROWS: u32 = 20;

/// Components with typed imports and exports, below `target/`.
const TYPED: [&str; 6] = [
    "components/auth",
    "components/products",
    "components/inventory",
    "components/orders",
    "fixtures/fixture_hello",
    "fixtures/fixture_hop",
];

/// Longer than anything takes under valgrind.
const PATIENCE: Duration = Duration::from_secs(60);

const BOUNDS: Bounds = Bounds {
    connections: 2,
    result_bytes: 1 << 20,
    statement_bytes: 64 << 10,
    params_bytes: 64 << 10,
    statement_timeout: PATIENCE,
};

/// Where the registry's services come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Services {
    /// From nothing: their components are made.
    Made,
    /// From what an earlier one has stored.
    Stored,
}

/// The rooms, on SQLite files in a folder.
pub(crate) struct Rooms {
    pub(crate) tokio: tokio::runtime::Runtime,
    pub(crate) registry: Registry,
    pub(crate) identity: Arc<Identity>,
    pub(crate) database: Database,
    /// By name.
    pub(crate) typed: Vec<(&'static str, Compiled)>,
}

impl Rooms {
    /// Opens them.
    pub(crate) fn open(folder: &Path, services: Services) -> anyhow::Result<Self> {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (registry, identity, database, typed) = tokio.block_on(open(folder, services))?;
        Ok(Self { tokio, registry, identity, database, typed })
    }

    /// Closes its files.
    pub(crate) fn close(self) {
        self.tokio.block_on(async {
            self.database.close().await;
            self.registry.close().await;
        });
    }
}

type Parts = (Registry, Arc<Identity>, Database, Vec<(&'static str, Compiled)>);

async fn open(folder: &Path, services: Services) -> anyhow::Result<Parts> {
    let config = configure(folder, services)?;
    let storage = Storage::sqlite(folder.join("db"), PATIENCE)?;
    let keys = Keys::load_or_create(&folder.join("keys"))?;
    let own = Arc::new(storage.open("provesi_host", BOUNDS).await?);
    let revocations = Revocations::load(Arc::clone(&own)).await?;
    let identity = Arc::new(Identity::new(&config.identity.issuer, keys, Arc::new(revocations)));
    let database = storage.open("counts", BOUNDS).await?;
    ledger::apply(&database, &[table()]).await?;
    let max_memory = usize::try_from(config.runtime.max_memory.as_u64())?;
    let (compiler, cache) = (PathBuf::from(env!("CARGO_BIN_EXE_provesi")), root().join("target/bench/cache"));
    let runtime = Arc::new(Runtime::new(config.runtime.max_instances, max_memory, compiler, cache)?);
    let typed = compile(&runtime).await?;
    let tables: ServiceTables = Box::new(|| Ok(BTreeMap::new()));
    let (hasher, feed) = (Arc::new(Hasher::new(1, 1)), Arc::new(Feed::new()));
    let cache = Arc::new(Cache::open(&config.cache).await?);
    let board = Arc::new(Board::open(own, Sharing::Alone).await?);
    let grantable = Grantable { identity: Arc::clone(&identity), hasher, cache };
    let registry = Registry::open(runtime, storage, grantable, tables, feed, board, config.runtime.call_depth).await?;
    registry.restore(&config.services).await?;
    Ok((registry, identity, database, typed))
}

/// Writes and reads the configuration; two instances, because valgrind has little address space for their places.
fn configure(folder: &Path, services: Services) -> anyhow::Result<Config> {
    let mut text = "[runtime]\nmax-instances = 2\n".to_owned();
    if services == Services::Made {
        let wit = std::fs::read_to_string(root().join("wit/platform/service.wit"))?;
        for number in 0..SERVICES {
            let file = folder.join(format!("tiny-{number}.wasm"));
            std::fs::write(&file, tiny::component(&wit, &format!("/tiny-{number}/"))?)?;
            writeln!(text, "[services.tiny-{number}]\ncomponent = \"{}\"", file.display())?;
        }
    }
    let file = folder.join("provesi.toml");
    std::fs::write(&file, text)?;
    Ok(Config::load(&file)?)
}

async fn compile(runtime: &Runtime) -> anyhow::Result<Vec<(&'static str, Compiled)>> {
    let mut compiled = Vec::new();
    for name in TYPED {
        let file = root().join("target").join(name).with_extension("wasm");
        let unread = || format!("cannot read {}, built by `scripts/components.sh --fixtures`", file.display());
        let bytes = std::fs::read(&file).with_context(unread)?;
        compiled.push((name, runtime.compile_aside(&bytes.into()).await?));
    }
    Ok(compiled)
}

/// A table as wide as the demo's list of products.
fn table() -> Migration {
    let mut script = "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL, \
        sku TEXT NOT NULL, supplier INTEGER NOT NULL, supplier_name TEXT NOT NULL, unit_price INTEGER NOT NULL, \
        cost_price INTEGER, category TEXT NOT NULL, min_stock INTEGER NOT NULL, max_stock INTEGER NOT NULL, \
        is_active BOOLEAN NOT NULL, is_special BOOLEAN NOT NULL, created_at INTEGER NOT NULL, \
        updated_at INTEGER NOT NULL);\n"
        .to_owned();
    for number in 0..ROWS {
        // Writing to a String cannot fail.
        let _ = writeln!(
            script,
            "INSERT INTO things VALUES ({number}, 'Thing {number:03}', 'One of twenty that are listed', \
             'THG-{number:03}', 1, 'A supplier', 8900000, NULL, 'EPP', 20, 400, 1, 0, 1763000000000000, \
             1763000000000000);"
        );
    }
    Migration { name: "0001_things".to_owned(), contracts: false, postgres: script.clone(), sqlite: script }
}
