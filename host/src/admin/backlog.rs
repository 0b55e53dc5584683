//! How much of each service's events waits, as operators see it.

use humantime_serde::re::humantime::format_rfc3339_micros;
use serde::Serialize;

use crate::events::{BrokerState, Depth, Found, Reach};
use crate::names::ServiceName;
use crate::registry::ServiceStatus;

/// A live service, with how much of its events waits.
#[derive(Debug, Serialize)]
pub(super) struct ServiceView {
    #[serde(flatten)]
    status: ServiceStatus,
    /// None for a service that has nothing to do with events.
    events: Option<EventsView>,
}

/// How much of a service's events waits; what is null does not apply to it, or is not known at the moment.
#[derive(Debug, Serialize)]
struct EventsView {
    broker: BrokerView,
    /// What it has published and no broker has yet.
    outbox: Option<DepthView>,
    /// What it has not handled yet.
    deliveries: Option<DepthView>,
    /// What it could not handle.
    dead_letters: Option<u64>,
}

/// The broker in use.
#[derive(Debug, Serialize)]
struct BrokerView {
    kind: &'static str,
    /// `connected`, `away`, `blocked` when it takes nothing, or `idle` when nobody has needed it.
    state: &'static str,
    away_since: Option<String>,
}

/// How much waits in one place.
#[derive(Debug, Serialize)]
struct DepthView {
    waiting: u64,
    /// Whether more wait than are counted.
    more: bool,
    /// Age of the oldest, whole seconds; null when nothing waits, or it is not known.
    oldest_seconds: Option<u64>,
}

impl ServiceView {
    /// Adds to a service what was found of its events.
    pub(super) fn new(status: ServiceStatus, found: &Found) -> Self {
        let events = EventsView::of(&status.name, found);
        Self { status, events }
    }
}

impl EventsView {
    fn of(service: &ServiceName, found: &Found) -> Option<Self> {
        let standing = found.services.get(service)?;
        Some(Self {
            broker: found.broker.into(),
            outbox: standing.outbox.map(DepthView::from),
            deliveries: standing.deliveries.map(DepthView::from),
            dead_letters: standing.dead_letters,
        })
    }
}

impl From<BrokerState> for BrokerView {
    fn from(broker: BrokerState) -> Self {
        let (state, away_since) = match broker.reach {
            Reach::Idle => ("idle", None),
            Reach::Connected => ("connected", None),
            Reach::Blocked => ("blocked", None),
            Reach::Away { since } => ("away", Some(format_rfc3339_micros(since).to_string())),
        };
        Self { kind: broker.kind, state, away_since }
    }
}

impl From<Depth> for DepthView {
    fn from(depth: Depth) -> Self {
        let oldest_seconds = depth.oldest.map(|age| age.as_secs());
        Self { waiting: depth.count, more: depth.is_more, oldest_seconds }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::*;
    use crate::events::Standing;

    #[test]
    fn what_waits_has_its_units_and_what_is_unknown_is_null() {
        let name: ServiceName = "a".parse().expect("a name");
        let outbox = Some(Depth { count: 10_000, is_more: true, oldest: Some(Duration::from_millis(61_999)) });
        let standing = Standing { outbox, deliveries: None, dead_letters: Some(2) };
        let reach = Reach::Away { since: UNIX_EPOCH + Duration::from_secs(1) };
        let broker = BrokerState { kind: "rabbitmq", reach };
        let found = Found { broker, services: BTreeMap::from([(name.clone(), standing)]) };
        let shown = serde_json::to_value(EventsView::of(&name, &found)).expect("JSON");
        let expected = json!({
            "broker": {"kind": "rabbitmq", "state": "away", "away_since": "1970-01-01T00:00:01.000000Z"},
            "outbox": {"waiting": 10_000, "more": true, "oldest_seconds": 61},
            "deliveries": null,
            "dead_letters": 2,
        });
        assert_eq!(shown, expected);
        assert!(EventsView::of(&"b".parse().expect("a name"), &found).is_none());
    }
}
