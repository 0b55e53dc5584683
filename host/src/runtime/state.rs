//! What a store holds: the contexts of the capabilities, and the invocation it runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_config::{WasiConfig, WasiConfigVariables};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use super::cpu::{Cpu, CpuShare};
use super::limiter::Limiter;
use super::peers::{CallBudget, NoPeers, PeerCaller};
use crate::cache::ServiceCache;
use crate::capabilities::cache::{CacheCtx, CacheView};
use crate::capabilities::log::{GuestOutput, LogCtx, LogView};
use crate::capabilities::outbound::{Outbound, OutboundCtx};
use crate::capabilities::passwords::{Hasher, PasswordsCtx, PasswordsView};
use crate::capabilities::sql::{SqlAllowance, SqlCtx, SqlView};
use crate::capabilities::tokens::{TokensCtx, TokensView};
use crate::capabilities::wasi;
use crate::config::Limits;
use crate::db::Database;
use crate::identity::Identity;
use crate::names::{RequestId, ServiceName};

/// What a service was granted, shared by its instances. What is absent answers that it is unavailable.
#[derive(Clone)]
pub struct Resources {
    /// Whose they are.
    pub service: ServiceName,
    /// Its database.
    pub database: Option<Arc<Database>>,
    /// Topics of the events that it may publish.
    pub topics: Option<Arc<BTreeSet<String>>>,
    /// The issuer of tokens.
    pub identity: Option<Arc<Identity>>,
    /// The workers that hash passwords.
    pub hasher: Option<Arc<Hasher>>,
    /// Where it may send requests.
    pub outbound: Option<Arc<Outbound>>,
    /// Its cache.
    pub cache: Option<Arc<ServiceCache>>,
    /// Its configuration values.
    pub config: Arc<WasiConfigVariables>,
    /// Its share of the processor.
    pub cpu: Arc<CpuShare>,
    /// Its limits.
    pub limits: Limits,
}

/// One call into a component: whose request it serves and what is left to it.
#[derive(Clone)]
pub struct Invocation {
    /// Id of the request in every log line.
    pub request_id: RequestId,
    /// When it must have ended, waiting included.
    pub deadline: Instant,
    /// Typed calls above this one.
    pub depth: u8,
    /// Typed calls that its request may still make.
    pub calls: Arc<CallBudget>,
    /// Reaches other services as this request sees them.
    pub peers: Arc<dyn PeerCaller>,
}

/// The data of one store.
pub(crate) struct HostState {
    pub(super) invocation: Invocation,
    pub(super) limiter: Limiter,
    pub(super) cpu: Cpu,
    table: ResourceTable,
    /// Made when a guest first uses WASI, which most invocations do not.
    wasi: Option<WasiCtx>,
    /// For the output of WASI, until that is made.
    output: Option<LogCtx>,
    config: Arc<WasiConfigVariables>,
    sql: SqlCtx,
    tokens: TokensCtx,
    passwords: PasswordsCtx,
    outbound: OutboundCtx,
    cache: CacheCtx,
    log: LogCtx,
}

impl HostState {
    pub(super) fn new(resources: &Resources, invocation: Invocation) -> Self {
        let limits = &resources.limits;
        let bytes = |size: bytesize::ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        let log = || {
            let (service, id) = (resources.service.clone(), invocation.request_id.clone());
            LogCtx::new(service, id, limits.log_lines, bytes(limits.log_message))
        };
        let allowance = SqlAllowance {
            until: invocation.deadline,
            statements: limits.sql_statements,
            transactions: limits.sql_transactions,
        };
        Self {
            limiter: Limiter::new(bytes(limits.memory), usize::try_from(limits.tables).unwrap_or(usize::MAX)),
            cpu: Cpu::new(Arc::clone(&resources.cpu)),
            table: wasi::table(),
            wasi: None,
            output: Some(log()),
            config: Arc::clone(&resources.config),
            sql: SqlCtx::new(resources.database.clone(), resources.topics.clone(), allowance),
            tokens: TokensCtx::new(resources.identity.clone()),
            passwords: PasswordsCtx::new(resources.hasher.clone()),
            outbound: OutboundCtx::new(resources.outbound.clone(), invocation.deadline),
            cache: CacheCtx::new(resources.cache.clone(), invocation.deadline),
            log: log(),
            invocation,
        }
    }

    /// Begins another invocation in the same instance: all is new but what the instance has of memory and tables.
    pub(super) fn renew(&mut self, resources: &Resources, invocation: Invocation) {
        let before = std::mem::replace(self, Self::new(resources, invocation));
        self.limiter.resume(&before.limiter);
    }

    /// Forgets the request, which holds on to the revision whose idle instance this would be, and says whether the
    /// instance may serve another: not one that holds anything of the host, such as an open transaction.
    pub(super) fn rest(&mut self) -> bool {
        self.invocation.peers = Arc::new(NoPeers);
        // What was begun of a line is written with the id of its own request.
        self.wasi = None;
        // Who waits for a value that this one has claimed and not set computes it.
        self.cache.give_back();
        self.table.is_empty()
    }

    pub(super) fn sql(&mut self) -> SqlView<'_> {
        SqlView::new(&mut self.sql, &mut self.table)
    }

    pub(super) fn tokens(&mut self) -> TokensView<'_> {
        TokensView::new(&mut self.tokens)
    }

    pub(super) fn passwords(&mut self) -> PasswordsView<'_> {
        PasswordsView::new(&mut self.passwords)
    }

    pub(super) fn cache(&mut self) -> CacheView<'_> {
        CacheView::new(&mut self.cache)
    }

    pub(super) fn log(&mut self) -> LogView<'_> {
        LogView::new(&mut self.log)
    }

    pub(super) fn config(&mut self) -> WasiConfig<'_> {
        WasiConfig::from(&*self.config)
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self { wasi, output, table, .. } = self;
        let make = || wasi::empty(&GuestOutput::new(output.take().expect("taken once, when WASI is made")));
        WasiCtxView { ctx: wasi.get_or_insert_with(make), table }
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.outbound.view(&mut self.table)
    }
}
