//! Links a component with the capabilities it was granted and with trampolines to its peers.
//!
//! A typed import is bound late: its trampoline asks the request's own view of the services at each call, so
//! that swapping a callee re-links no caller and a circle of imports is no error.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

use super::background::Background;
use super::peers::trampoline;
use super::reuse::IdleGuests;
use super::state::{HostState, Resources};
use super::{Compiled, Runtime};
use crate::bindings::PlatformIndices;
use crate::bindings::bootstrap::WithBootstrapIndices;
use crate::bindings::subscriber::WithSubscriberIndices;
use crate::bindings::worker::WithWorkerIndices;
use crate::capabilities::{cache, log, outbound, passwords, sql, tokens};
use crate::config::Limits;
use crate::db::Database;
use crate::names::ComponentDigest;

/// A component that can run.
pub struct Linked {
    pub(super) compiled: Compiled,
    pub(super) program: Arc<Program>,
    pub(super) resources: Resources,
    pub(super) engine: Engine,
    /// Guests that have served and may serve again.
    pub(super) idle: Arc<IdleGuests>,
    /// Places in the engine's pool for what has no permit of a lane.
    pub(super) aside: Arc<Semaphore>,
    /// Where what computes for long goes on.
    pub(super) background: Arc<Background>,
}

/// What instances are made of, and where their exports are; a call holds on to it wherever it runs.
pub(super) struct Program {
    pub(super) pre: InstancePre<HostState>,
    pub(super) service: PlatformIndices,
    /// The function of `service` that answers requests.
    pub(super) handle: ComponentExportIndex,
    pub(super) bootstrap: Option<WithBootstrapIndices>,
    pub(super) worker: Option<WithWorkerIndices>,
    pub(super) subscriber: Option<WithSubscriberIndices>,
}

/// What a service may import: capabilities by their short name (`sql`), interfaces by `package/interface`.
///
/// `events` is no import: it lets a transaction of `sql` publish.
#[derive(Clone, Debug, Default)]
pub struct GrantSet(BTreeSet<String>);

/// Why a component cannot be linked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It imports what it was not granted.
    #[error("imports {import}, which needs the grant {grant:?}")]
    Denied {
        /// The full name of the interface.
        import: String,
        /// What would have to be granted.
        grant: String,
    },
    /// It imports a platform interface that this host does not have.
    #[error("imports {0}, which this host does not offer")]
    Unknown(String),
    /// Resources cannot cross between services.
    #[error("imports {0}, which has resources; only plain values cross between services")]
    Resources(String),
    /// It does not export what a service exports, or imports with other types.
    #[error("does not fit the platform")]
    Mismatch(#[source] wasmtime::Error),
}

/// The interface that every service exports.
const SERVICE: &str = "provesi:platform/service@0.1.0";

/// Interfaces that every service has without a grant.
const UNGRANTED: [&str; 1] = ["provesi:platform/log"];

/// Interfaces of WASI that need a grant, and its name.
const HTTP: (&str, &str) = ("wasi:http/", "http");

/// Says whether an interface is WASI's; those are linked, and empty but for clocks, random, config and HTTP.
pub fn is_wasi(interface: &str) -> bool {
    interface.starts_with("wasi:")
}

/// Says whether an interface belongs to the platform rather than to a service.
pub fn is_platform(interface: &str) -> bool {
    interface.starts_with("provesi:platform/")
}

/// Returns an interface's name with as much of its version as must agree: `0.1` of `0.1.3`, `1` of `1.4.0`.
pub fn track(interface: &str) -> String {
    let Some((name, version)) = interface.split_once('@') else { return interface.to_owned() };
    let Ok(version) = semver::Version::parse(version) else { return interface.to_owned() };
    match (version.major, version.minor) {
        _ if !version.pre.is_empty() => interface.to_owned(),
        (0, 0) => interface.to_owned(),
        (0, minor) => format!("{name}@0.{minor}"),
        (major, _) => format!("{name}@{major}"),
    }
}

/// Links everything that the host implements.
pub(super) fn base_linker(engine: &Engine) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_config::add_to_linker(&mut linker, HostState::config)?;
    sql::add_to_linker(&mut linker, HostState::sql)?;
    tokens::add_to_linker(&mut linker, HostState::tokens)?;
    passwords::add_to_linker(&mut linker, HostState::passwords)?;
    outbound::add_to_linker(&mut linker)?;
    cache::add_to_linker(&mut linker, HostState::cache)?;
    log::add_to_linker(&mut linker, HostState::log)?;
    Ok(linker)
}

impl Runtime {
    /// Links a component with what its grants admit.
    ///
    /// # Errors
    /// When it imports anything else, or does not export what a service exports.
    pub fn link(&self, compiled: Compiled, grants: &GrantSet, resources: Resources) -> Result<Linked, LinkError> {
        let mut linker = self.linker.clone();
        for (import, interface) in compiled.imports() {
            grants.admit(import)?;
            if is_wasi(import) || is_platform(import) {
                continue;
            }
            if interface.has_resources {
                return Err(LinkError::Resources(import.clone()));
            }
            let mut instance = linker.instance(import).map_err(LinkError::Mismatch)?;
            let name: Arc<str> = import.as_str().into();
            for func in interface.funcs.keys() {
                instance.func_new_async(func, trampoline(Arc::clone(&name), func)).map_err(LinkError::Mismatch)?;
            }
        }
        let pre = linker.instantiate_pre(&compiled.component).map_err(LinkError::Mismatch)?;
        let service = PlatformIndices::new(&pre).map_err(LinkError::Mismatch)?;
        let handle = handle_index(&compiled.component).map_err(LinkError::Mismatch)?;
        let bootstrap = optional(&compiled, "bootstrap", || WithBootstrapIndices::new(&pre))?;
        let worker = optional(&compiled, "worker", || WithWorkerIndices::new(&pre))?;
        let subscriber = optional(&compiled, "subscriber", || WithSubscriberIndices::new(&pre))?;
        let program = Arc::new(Program { pre, service, handle, bootstrap, worker, subscriber });
        let (engine, idle, aside) = (self.engine.clone(), self.idle_guests(), Arc::clone(&self.aside));
        let background = Arc::clone(&self.background);
        Ok(Linked { compiled, program, resources, engine, idle, aside, background })
    }
}

/// Finds the function that answers requests.
fn handle_index(component: &Component) -> wasmtime::Result<ComponentExportIndex> {
    let service = component.get_export_index(None, SERVICE);
    let handle = service.and_then(|service| component.get_export_index(Some(&service), "handle"));
    handle.ok_or_else(|| wasmtime::Error::msg(format!("{SERVICE} exports no function \"handle\"")))
}

/// Finds an optional export by its presence; there, it must have the right types.
fn optional<I>(
    compiled: &Compiled,
    interface: &str,
    indices: impl FnOnce() -> wasmtime::Result<I>,
) -> Result<Option<I>, LinkError> {
    let name = format!("provesi:platform/{interface}@0.1.0");
    if compiled.exports_interface(&name) { indices().map(Some).map_err(LinkError::Mismatch) } else { Ok(None) }
}

impl Linked {
    /// Returns the digest of the component.
    pub fn digest(&self) -> ComponentDigest {
        self.compiled.digest()
    }

    /// Returns what it imports and exports.
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// Returns the service's database, if it has one.
    pub fn database(&self) -> Option<&Arc<Database>> {
        self.resources.database.as_ref()
    }

    /// Makes limits those of what it shares with the other revisions of its service; its own may be others.
    pub fn apply_limits(&self, limits: &Limits) {
        self.resources.cpu.set_percent(limits.cpu);
        if let Some(cache) = &self.resources.cache {
            cache.set_quota(limits.cache.as_u64());
        }
    }

    /// Gives a component that was linked for its description what it was granted.
    #[must_use]
    pub fn with_resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }
}

impl GrantSet {
    /// Takes the names as the configuration gives them.
    pub fn new(names: &[String]) -> Self {
        Self(names.iter().cloned().collect())
    }

    /// Says whether a name is in it.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    fn admit(&self, import: &str) -> Result<(), LinkError> {
        let name = import.split('@').next().unwrap_or(import);
        let is_http = name.starts_with(HTTP.0);
        if (is_wasi(name) && !is_http) || UNGRANTED.contains(&name) {
            return Ok(());
        }
        let grant = if is_http { HTTP.1 } else { name.strip_prefix("provesi:platform/").unwrap_or(name) };
        if is_platform(name) && !["sql", "tokens", "passwords", "cache"].contains(&grant) {
            return Err(LinkError::Unknown(import.to_owned()));
        }
        if self.contains(grant) {
            Ok(())
        } else {
            Err(LinkError::Denied { import: import.to_owned(), grant: grant.to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_agree_as_semver_says() {
        assert_eq!(track("a:b/c@0.1.3"), "a:b/c@0.1");
        assert_eq!(track("a:b/c@1.4.0"), "a:b/c@1");
        assert_eq!(track("a:b/c@0.0.2"), "a:b/c@0.0.2");
        assert_eq!(track("a:b/c@1.0.0-rc.1"), "a:b/c@1.0.0-rc.1");
        assert_eq!(track("a:b/c"), "a:b/c");
    }

    #[test]
    fn only_what_was_granted_is_admitted() {
        let grants = GrantSet::new(&["sql".to_owned(), "provesi:products/catalog".to_owned()]);
        for good in [
            "provesi:platform/sql@0.1.0",
            "provesi:platform/log@0.1.0",
            "provesi:products/catalog@0.1.7",
            "wasi:cli/environment@0.2.6",
        ] {
            assert!(grants.admit(good).is_ok(), "{good}");
        }
        for bad in
            ["provesi:platform/tokens@0.1.0", "provesi:platform/cache@0.1.0", "provesi:platform/nothing@0.1.0", "x"]
        {
            assert!(grants.admit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn requests_to_others_need_their_grant() {
        let imports = ["wasi:http/outgoing-handler@0.2.6", "wasi:http/types@0.2.0", "wasi:http/types@0.3.0"];
        for import in imports {
            let refused = GrantSet::new(&["sql".to_owned(), import.to_owned()]).admit(import);
            assert!(matches!(refused, Err(LinkError::Denied { grant, .. }) if grant == "http"), "{import}");
            assert!(GrantSet::new(&["http".to_owned()]).admit(import).is_ok(), "{import}");
        }
    }
}
