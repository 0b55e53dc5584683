//! The one engine and its settings, which decide what a fresh instance costs.
//!
//! Pooling allocation, dirty pages found by `pagemap_scan` and kept resident, no component-model concurrency:
//! together seven times cheaper than the defaults. Guests are interrupted by epochs, a thread ticks.

use std::path::PathBuf;
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::compiler::Compiler;
use super::linker::base_linker;
use super::state::HostState;

/// Time between two ticks: an endless loop gives its thread back at the next one.
const TICK: Duration = Duration::from_millis(10);

/// Memory of a slot that stays mapped between two instances, so that a fresh one faults no page in.
const KEEP_RESIDENT: usize = 4 << 20;

/// Elements that a table can have; a component of 100 kB has a few hundred.
const TABLE_ELEMENTS: usize = 20_000;

/// Core modules in one component: the service's own, and the shims that the component model needs.
const CORE_INSTANCES_PER_COMPONENT: u32 = 8;

/// Instances over those that requests and typed calls may have: for components that are asked what they are, of which
/// there are four at once, and for one that fills its database.
const ASIDE: u32 = 8;

/// The engine, and what every component of it is linked with.
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Linker<HostState>,
    pub(super) compiler: Compiler,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The folder of compiled code cannot be used.
    #[error("cannot use the compilation cache in {}", folder.display())]
    Cache {
        /// Which one.
        folder: PathBuf,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// The machine does not offer what the settings need, most likely address space.
    #[error("cannot make the engine")]
    Engine(#[source] wasmtime::Error),
    /// The ticking thread cannot be started.
    #[error("cannot start the ticking thread")]
    Ticker(#[source] std::io::Error),
}

impl Runtime {
    /// Makes the engine for a number of instances of a size. A program, which is `provesi` itself, compiles for it
    /// into a folder, which is made when missing.
    ///
    /// # Errors
    /// When the machine cannot offer it.
    pub fn new(max_instances: u32, max_memory: usize, compiler: PathBuf, cache: PathBuf) -> Result<Self, RuntimeError> {
        std::fs::create_dir_all(&cache).map_err(|source| RuntimeError::Cache { folder: cache.clone(), source })?;
        let mut config = settings();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(max_instances + ASIDE, max_memory)));
        let engine = Engine::new(&config).map_err(RuntimeError::Engine)?;
        let linker = base_linker(&engine).map_err(RuntimeError::Engine)?;
        tick(&engine).map_err(RuntimeError::Ticker)?;
        let compiler = Compiler::new(compiler, cache, &engine);
        Ok(Self { engine, linker, compiler })
    }
}

/// What code must be compiled with to run here; how instances are made is not part of it.
pub(super) fn settings() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true).concurrency_support(false);
    config
}

fn pool(max_instances: u32, max_memory: usize) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(max_instances)
        .total_core_instances(max_instances * CORE_INSTANCES_PER_COMPONENT)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .total_memories(max_instances)
        .max_memories_per_component(1)
        .total_tables(max_instances * 2)
        .max_tables_per_component(2)
        .total_stacks(max_instances)
        .max_memory_size(max_memory)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(TABLE_ELEMENTS * 8)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Ticks until the engine is gone.
#[expect(clippy::disallowed_methods, reason = "a plain thread: it must tick when the async threads are all busy")]
fn tick(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    let thread = std::thread::Builder::new().name("epoch".to_owned());
    thread.spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    })?;
    Ok(())
}
