//! The one engine and its settings, which decide what a fresh instance costs.
//!
//! Pooling allocation, dirty pages found by `pagemap_scan` and kept resident, no component-model concurrency:
//! together seven times cheaper than the defaults. Guests are interrupted by epochs, a thread ticks.
//!
//! The pool never runs out: it has a place for whoever may make an instance, see [`Places`].

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::background::Background;
use super::compiler::Compiler;
use super::cpu::{SHORT_TICK, TICK};
use super::linker::base_linker;
use super::reuse::IdleGuests;
use super::state::HostState;
use crate::config::MAX_TABLES;

/// Memory of a place that stays mapped between two instances, so that a fresh one faults no page in.
pub(super) const KEEP_RESIDENT: usize = 4 << 20;

/// Elements that a table can have; `limits.tables` goes no further.
const TABLE_ELEMENTS: usize = MAX_TABLES as usize;

/// Core modules in one component: the service's own, and the shims that the component model needs.
const CORE_INSTANCES_PER_COMPONENT: u32 = 8;

/// Instances beside those of requests and typed calls: of components that are asked what they are, and of those that
/// fill their databases. Further ones wait.
const ASIDE: u32 = 8;

/// Time between two looks for idle guests whose time is over.
const SWEEP: Duration = Duration::from_secs(1);

/// The engine, and what every component of it is linked with.
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Linker<HostState>,
    pub(super) compiler: Compiler,
    /// Places for what has no permit of a lane.
    pub(super) aside: Arc<Semaphore>,
    /// Runs what computes for long.
    pub(super) background: Arc<Background>,
    /// Places for guests that rest.
    resting: Arc<Semaphore>,
    /// Where guests rest, as long as their revisions are there.
    idle: Mutex<Vec<Weak<IdleGuests>>>,
    max_instances: u32,
    max_memory: usize,
}

/// The places of the engine's pool, by who may take them.
///
/// Whoever makes an instance holds one of them: a permit of a lane, one aside, or, at rest, one for that. One in the
/// background holds another, for it may outlive its permit.
#[derive(Clone, Copy, Debug)]
struct Places {
    /// For the permits of lanes, which have two halves of at least one.
    permits: u32,
    aside: u32,
    resting: u32,
    background: u32,
}

impl Places {
    fn new(max_instances: u32) -> Self {
        let background = (max_instances / 4).max(1);
        Self { permits: max_instances.max(2), aside: ASIDE, resting: max_instances / 4, background }
    }

    fn all(self) -> u32 {
        [self.aside, self.resting, self.background].into_iter().fold(self.permits, u32::saturating_add)
    }
}

fn semaphore(places: u32) -> Arc<Semaphore> {
    let places = usize::try_from(places).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
    Arc::new(Semaphore::new(places))
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
    /// The threads of the background cannot be started.
    #[error("cannot start the threads for what computes for long")]
    Background(#[source] std::io::Error),
}

impl Runtime {
    /// Makes the engine for a number of instances that run at once, of a size. A program, which is `provesi` itself,
    /// compiles for it into a folder, which is made when missing.
    ///
    /// # Errors
    /// When the machine cannot offer it.
    pub fn new(max_instances: u32, max_memory: usize, compiler: PathBuf, cache: PathBuf) -> Result<Self, RuntimeError> {
        std::fs::create_dir_all(&cache).map_err(|source| RuntimeError::Cache { folder: cache.clone(), source })?;
        let places = Places::new(max_instances);
        let mut config = settings();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(places.all(), max_memory)));
        let engine = Engine::new(&config).map_err(RuntimeError::Engine)?;
        let linker = base_linker(&engine).map_err(RuntimeError::Engine)?;
        let compiler = Compiler::new(compiler, cache, &engine);
        let background = semaphore(places.background);
        tick(&engine, Arc::clone(&background)).map_err(RuntimeError::Ticker)?;
        let background = Background::new(background).map_err(RuntimeError::Background)?;
        Ok(Self {
            engine,
            linker,
            compiler,
            aside: semaphore(places.aside),
            background: Arc::new(background),
            resting: semaphore(places.resting),
            idle: Mutex::default(),
            max_instances,
            max_memory,
        })
    }

    /// Returns how many instances may run at once, besides those that are set aside.
    pub fn max_instances(&self) -> u32 {
        self.max_instances
    }

    /// Returns the largest memory that an instance can have.
    pub fn max_memory(&self) -> ByteSize {
        ByteSize::b(u64::try_from(self.max_memory).unwrap_or(u64::MAX))
    }

    /// Makes a place where the guests of one revision rest.
    pub(super) fn idle_guests(&self) -> Arc<IdleGuests> {
        let idle = Arc::new(IdleGuests::new(Arc::clone(&self.resting)));
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&idle));
        idle
    }

    /// Lets go of guests that have rested for too long, until told to stop.
    pub async fn sweep_idle(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let now = Instant::now();
            self.all_idle().iter().for_each(|guests| guests.sweep(now));
        }
    }

    fn all_idle(&self) -> Vec<Arc<IdleGuests>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|guests| guests.strong_count() > 0);
        idle.iter().filter_map(Weak::upgrade).collect()
    }
}

/// What code must be compiled with to run here; how instances are made is not part of it.
pub(super) fn settings() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true).concurrency_support(false);
    config
}

fn pool(places: u32, max_memory: usize) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(places)
        .total_core_instances(places.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .total_memories(places)
        .max_memories_per_component(1)
        .total_tables(places.saturating_mul(2))
        .max_tables_per_component(2)
        .total_stacks(places)
        .max_memory_size(max_memory)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(TABLE_ELEMENTS * 8)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Ticks until the engine is gone, faster while a call has one of the places of the background.
#[expect(clippy::disallowed_methods, reason = "a plain thread: it must tick when the async threads are all busy")]
fn tick(engine: &Engine, background: Arc<Semaphore>) -> std::io::Result<()> {
    let (engine, places) = (engine.weak(), background.available_permits());
    let thread = std::thread::Builder::new().name("epoch".to_owned());
    thread.spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(if background.available_permits() < places { SHORT_TICK } else { TICK });
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use wasmtime::{Instance, Module, Store};

    use super::*;

    /// A module with a memory of 128 pages, which is twice what stays mapped, and with a byte in it or nothing.
    fn module(engine: &Engine, with_data: bool) -> Module {
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        bytes.extend([5, 4, 1, 0, 0x80, 1]); // memory: one, of at least 128 pages
        bytes.extend([7, 5, 1, 1, b'm', 2, 0]); // export: memory 0 as "m"
        if with_data {
            bytes.extend([11, 7, 1, 0, 0x41, 0, 0x0b, 1, 42]); // data: at 0, one byte, 42
        }
        Module::new(engine, bytes).expect("a valid module")
    }

    #[test]
    fn there_is_a_place_for_whoever_may_make_an_instance() {
        for max_instances in [0, 1, 2, 3, 64, 1000, u32::MAX] {
            let half_of_dispatch = (max_instances / 2).max(1);
            let places = Places::new(max_instances);
            assert!(places.permits / 2 >= half_of_dispatch, "{places:?}");
            let others = [places.aside, places.resting, places.background].map(u64::from);
            let needed = u64::from(half_of_dispatch) * 2 + others.iter().sum::<u64>();
            assert!(u64::from(places.all()) >= needed.min(u64::from(u32::MAX)), "{places:?}");
        }
    }

    #[test]
    fn memory_of_a_returned_place_is_not_there_for_the_next_guest() {
        const PATTERN: u8 = 0xa5;
        let places = Places::new(2).all();
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(places, 16 << 20)));
        let engine = Engine::new(&config).expect("an engine");
        let (plain, with_data) = (module(&engine, false), module(&engine, true));
        // As many at once as there are places: each round, every place changes from one module to the other.
        for round in 0..4 {
            let (module, first) = if round % 2 == 0 { (&plain, 0) } else { (&with_data, 42) };
            let mut guests = Vec::new();
            for _ in 0..places {
                let mut store = Store::new(&engine, ());
                let instance = Instance::new(&mut store, module, &[]).expect("a place");
                let memory = instance.get_memory(&mut store, "m").expect("it is exported");
                let bytes = memory.data_mut(&mut store);
                assert_eq!(bytes.len(), 128 << 16);
                assert_eq!(bytes[0], first, "round {round}");
                assert!(bytes[1..].iter().all(|byte| *byte == 0), "round {round}: something is left");
                bytes.fill(PATTERN);
                guests.push(store);
            }
            let mut store = Store::new(&engine, ());
            let error = Instance::new(&mut store, module, &[]).expect_err("all places are taken");
            assert!(error.is::<wasmtime::PoolConcurrencyLimitError>(), "{error:#}");
        }
    }
}
