//! What the registry tells of itself: the shapes that the operators' listener sends as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::description::{Access, Method};
use super::snapshot::Revision;
use crate::config::Limits;
use crate::names::{ComponentDigest, RevisionNumber, ServiceName};

/// Milliseconds that each step of a deploy took.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timings {
    /// Bytes to machine code, or its reading from the cache.
    pub compile: f64,
    /// Linking with what was granted.
    pub link: f64,
    /// Asking the component what it is.
    pub describe: f64,
    /// The check against all live services.
    pub contract: f64,
    /// Schema changes.
    pub migrate: f64,
    /// Storing the pointer and swapping the snapshot.
    pub activate: f64,
    /// All of it, waiting for a turn included.
    pub total: f64,
}

/// A deploy that was done.
#[derive(Clone, Debug, Serialize)]
pub struct Deployed {
    /// The service.
    pub service: ServiceName,
    /// The new revision.
    pub revision: RevisionNumber,
    /// Its component.
    pub digest: ComponentDigest,
    /// `active`, `canary` or `idle`.
    pub state: &'static str,
    /// The revision that had most of the traffic before.
    pub replaced: Option<RevisionNumber>,
    /// What was accepted and may not be meant.
    pub warnings: Vec<String>,
    /// How long it took.
    pub timings_ms: Timings,
}

/// What a deploy would say.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// The service.
    pub service: ServiceName,
    /// The component.
    pub digest: ComponentDigest,
    /// Version that the component gives itself.
    pub version: String,
    /// What would be accepted and may not be meant.
    pub warnings: Vec<String>,
    /// Schema changes that would be applied.
    pub migrations: Vec<String>,
    /// How long it took.
    pub timings_ms: Timings,
}

/// A pointer that was moved.
#[derive(Clone, Debug, Serialize)]
pub struct Moved {
    /// The service.
    pub service: ServiceName,
    /// Where it points now.
    pub traffic: Vec<Share>,
}

/// A revision's share of the traffic.
#[derive(Clone, Debug, Serialize)]
pub struct Share {
    /// The revision.
    pub revision: RevisionNumber,
    /// Its component.
    pub digest: ComponentDigest,
    /// Percent.
    pub weight: u8,
}

impl From<&(Arc<Revision>, u8)> for Share {
    fn from((revision, weight): &(Arc<Revision>, u8)) -> Self {
        Self { revision: revision.number, digest: revision.digest(), weight: *weight }
    }
}

/// A canary under watch.
#[derive(Clone, Debug, Serialize)]
pub struct CanaryStatus {
    /// The revision.
    pub revision: RevisionNumber,
    /// Since when, RFC 3339.
    pub since: String,
}

/// A route, as an operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct RouteStatus {
    /// What `handle` switches on.
    pub operation: String,
    /// The HTTP method.
    pub method: Method,
    /// The pattern, from the root.
    pub path: String,
    /// `public`, `signed-in`, or roles joined by `|`.
    pub access: String,
}

/// A task, as an operator sees it; times are RFC 3339.
#[derive(Clone, Debug, Serialize)]
pub struct TaskStatus {
    /// What the worker switches on.
    pub name: String,
    /// `every 10s`, or `cron 30 4 * * *`, which is in UTC.
    pub schedule: String,
    /// When the last run began, on whichever host.
    pub last_started: Option<String>,
    /// When the last run that ended did so.
    pub last_ended: Option<String>,
    /// `running`, `done`, `stopped` or `interrupted` with the host, or `failed: ` and the reason.
    pub outcome: Option<String>,
    /// When the next run is due; none before the first.
    pub next: Option<String>,
}

/// A live service.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: ServiceName,
    /// `serving`, `degraded` or `down`.
    pub state: &'static str,
    /// Version that its newest live component gives itself.
    pub version: String,
    /// The live revisions, newest first; weights add up to 100.
    pub traffic: Vec<Share>,
    /// A canary under watch.
    pub canary: Option<CanaryStatus>,
    /// Interfaces for other services.
    pub exports: Vec<String>,
    /// Everything it needs.
    pub imports: Vec<String>,
    /// What it may import.
    pub grants: Vec<String>,
    /// What the host enforces, all of it.
    pub limits: Limits,
    /// Routes of its newest live revision.
    pub routes: Vec<RouteStatus>,
    /// Tasks of its revision with most of the traffic, which is the one that runs them.
    pub tasks: Vec<TaskStatus>,
    /// `closed`, `open` or `half-open`: the worst that a breaker of the live revisions is.
    pub breaker: &'static str,
    /// Requests and typed calls of the live revisions since they were linked here.
    pub requests: u64,
    /// Those that ended in a fault of the guest.
    pub faults: u64,
    /// Those that were made again after such a fault, and count twice among the requests.
    pub retries: u64,
    /// Faults by kind, of tasks and first fillings too; for metrics.
    #[serde(skip)]
    pub faults_by_kind: Vec<(&'static str, u64)>,
    /// How often a revision of it was linked since this host started.
    pub links: u64,
    /// When its pointer was last moved, RFC 3339.
    pub deployed_at: String,
}

/// A revision, live or not.
#[derive(Clone, Debug, Serialize)]
pub struct RevisionStatus {
    /// Its number.
    pub revision: RevisionNumber,
    /// Its component.
    pub digest: String,
    /// Version that the component gives itself; empty when it was refused before it could say.
    pub version: String,
    /// `active`, `idle`, `refused` or `retired`.
    pub state: &'static str,
    /// Percent of the traffic.
    pub weight: u8,
    /// When it was uploaded, RFC 3339.
    pub created_at: String,
    /// Who uploaded it.
    pub by: String,
    /// Why it was refused.
    pub reason: Option<String>,
}

/// One attempt to change something.
#[derive(Clone, Debug, Serialize)]
pub struct AuditEntry {
    /// Rising with time.
    pub id: i64,
    /// When, RFC 3339.
    pub at: String,
    /// The service; empty when the attempt did not get that far.
    pub service: String,
    /// `deploy`, `check`, `traffic`, `rollback`, `canary-return`, `remove`, `seed` or `access`.
    pub action: String,
    /// `done` or `refused`.
    pub outcome: String,
    /// The revision concerned.
    pub revision: Option<i64>,
    /// The component concerned.
    pub digest: Option<String>,
    /// Who.
    pub by: String,
    /// From which address.
    pub from: String,
    /// Why it was refused, or what was done in detail.
    pub reason: Option<String>,
}

/// Percent by revision.
pub type Weights = BTreeMap<RevisionNumber, u8>;

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::SignedIn => f.write_str("signed-in"),
            Self::Roles(roles) => f.write_str(&roles.join("|")),
        }
    }
}
