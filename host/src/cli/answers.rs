//! What the admin listener answers, as far as it is shown.
//!
//! A field that a host may leave out has a default; fields that are not shown are not here.

use serde::Deserialize;
use serde_json::Value;

/// Answer to a deploy.
#[derive(Debug, Deserialize)]
pub(super) struct Deployed {
    pub(super) service: String,
    pub(super) revision: u32,
    pub(super) digest: String,
    pub(super) state: String,
    pub(super) replaced: Option<u32>,
    #[serde(default)]
    pub(super) warnings: Vec<String>,
    #[serde(default)]
    pub(super) timings_ms: Timings,
}

/// Answer to a check.
#[derive(Debug, Deserialize)]
pub(super) struct Checked {
    pub(super) service: String,
    pub(super) digest: String,
    pub(super) version: String,
    #[serde(default)]
    pub(super) warnings: Vec<String>,
    #[serde(default)]
    pub(super) migrations: Vec<String>,
    #[serde(default)]
    pub(super) timings_ms: Timings,
}

/// Milliseconds of each step that was taken.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Timings {
    pub(super) compile: Option<f64>,
    pub(super) link: Option<f64>,
    pub(super) describe: Option<f64>,
    pub(super) contract: Option<f64>,
    pub(super) migrate: Option<f64>,
    pub(super) activate: Option<f64>,
    pub(super) total: Option<f64>,
}

/// Answer to what moved traffic.
#[derive(Debug, Deserialize)]
pub(super) struct Moved {
    pub(super) service: String,
    pub(super) traffic: Vec<Share>,
}

/// A revision's part of the traffic.
#[derive(Debug, Deserialize)]
pub(super) struct Share {
    pub(super) revision: u32,
    #[serde(default)]
    pub(super) digest: String,
    pub(super) weight: u32,
}

/// A service, in the list and on its own page.
#[derive(Debug, Deserialize)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) traffic: Vec<Share>,
    pub(super) canary: Option<Canary>,
    #[serde(default)]
    pub(super) requests: u64,
    #[serde(default)]
    pub(super) faults: u64,
    #[serde(default)]
    pub(super) links: u64,
    #[serde(default)]
    pub(super) exports: Vec<String>,
    #[serde(default)]
    pub(super) imports: Vec<String>,
    #[serde(default)]
    pub(super) grants: Vec<Value>,
    #[serde(default)]
    pub(super) limits: Value,
    #[serde(default)]
    pub(super) routes: Vec<Route>,
    #[serde(default)]
    pub(super) tasks: Vec<Task>,
    pub(super) events: Option<Backlog>,
    pub(super) breaker: Option<String>,
    pub(super) deployed_at: Option<String>,
}

/// A revision that is being tried.
#[derive(Debug, Deserialize)]
pub(super) struct Canary {
    pub(super) revision: u32,
    pub(super) since: String,
}

/// A route of a service.
#[derive(Debug, Deserialize)]
pub(super) struct Route {
    pub(super) operation: String,
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) access: Value,
}

/// A task of a service.
#[derive(Debug, Deserialize)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) schedule: String,
    pub(super) last_started: Option<String>,
    pub(super) last_ended: Option<String>,
    pub(super) outcome: Option<String>,
    pub(super) next: Option<String>,
}

/// How much of a service's events waits.
#[derive(Debug, Deserialize)]
pub(super) struct Backlog {
    pub(super) broker: Option<BrokerState>,
    pub(super) outbox: Option<Depth>,
    pub(super) deliveries: Option<Depth>,
    pub(super) dead_letters: Option<u64>,
}

/// The broker that events go to.
#[derive(Debug, Deserialize)]
pub(super) struct BrokerState {
    pub(super) kind: String,
    pub(super) state: String,
    pub(super) away_since: Option<String>,
}

/// How much waits in one place.
#[derive(Debug, Deserialize)]
pub(super) struct Depth {
    pub(super) waiting: u64,
    #[serde(default)]
    pub(super) more: bool,
    pub(super) oldest_seconds: Option<u64>,
}

/// A revision.
#[derive(Debug, Deserialize)]
pub(super) struct Revision {
    pub(super) revision: u32,
    pub(super) digest: String,
    pub(super) version: Option<String>,
    pub(super) state: String,
    pub(super) weight: Option<u32>,
    pub(super) created_at: String,
    pub(super) by: Option<String>,
    pub(super) reason: Option<String>,
}

/// An entry of the audit trail.
#[derive(Debug, Deserialize)]
pub(super) struct AuditEntry {
    pub(super) at: String,
    pub(super) service: String,
    pub(super) action: String,
    pub(super) outcome: String,
    pub(super) revision: Option<u32>,
    pub(super) by: Option<String>,
    pub(super) reason: Option<String>,
}

/// Something that happened.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub(super) at: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) service: String,
    pub(super) revision: Option<u32>,
    pub(super) digest: Option<String>,
    pub(super) by: Option<String>,
    pub(super) detail: Option<String>,
}

/// An event that a subscriber could not handle.
#[derive(Debug, Deserialize)]
pub(super) struct DeadLetter {
    pub(super) id: i64,
    pub(super) subscriber: String,
    pub(super) topic: String,
    #[serde(default)]
    pub(super) key: String,
    #[serde(default)]
    pub(super) event_id: String,
    #[serde(default)]
    pub(super) source: String,
    pub(super) published_at: Option<String>,
    pub(super) attempts: Option<u32>,
    #[serde(default)]
    pub(super) reason: String,
    pub(super) dead_at: Option<String>,
    #[serde(default)]
    pub(super) payload: Value,
}

/// What a reader of events gets that was too slow.
#[derive(Debug, Deserialize)]
pub(super) struct Lagged {
    pub(super) lost: u64,
}

/// A refusal, as in RFC 9457.
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    pub(super) title: Option<String>,
    pub(super) detail: Option<String>,
    #[serde(default)]
    pub(super) breaches: Vec<Breach>,
}

/// One use of one service by another that would not hold.
#[derive(Debug, Deserialize)]
pub(super) struct Breach {
    pub(super) consumer: String,
    pub(super) exporter: Option<String>,
    pub(super) interface: String,
    pub(super) function: Option<String>,
    pub(super) expected: Option<String>,
    pub(super) actual: Option<String>,
    pub(super) reason: String,
}
