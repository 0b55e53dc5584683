//! What operators are told as it happens: deploys, traffic, faults, breakers.
//!
//! A feed keeps no history: who subscribes hears what comes after, and who is too slow loses the oldest events and
//! is told how many. Publishing never waits.
//!
//! Not here: what is kept for good (the audit trail, see `registry`), how events reach an operator (see `admin`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use humantime_serde::re::humantime::format_rfc3339_micros;
use serde::{Serialize, Serializer};
use tokio::sync::broadcast;

/// Events that a subscriber can be behind. A deploy makes ten, so it takes a storm of faults to get there.
const CAPACITY: usize = 1024;

/// The events of this host.
pub struct Feed {
    sender: broadcast::Sender<Arc<Numbered>>,
    last_id: Mutex<u64>,
}

/// One event, with its place among all of this process.
#[derive(Clone, Debug, Serialize)]
pub struct Numbered {
    /// Counts from 1, without gaps, since the start of the process.
    pub id: u64,
    /// When it was published, RFC 3339 in UTC.
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that an operator may want to know at once.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// What kind of thing happened.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The service that it happened to.
    pub service: String,
    /// The revision, where it has a number already.
    pub revision: Option<u32>,
    /// The component's digest.
    pub digest: Option<String>,
    /// Who asked for it.
    pub by: Option<String>,
    /// The step that begins, the reason of a refusal, the fault.
    pub detail: Option<String>,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A step of a deploy begins; `detail` names it.
    DeployStep,
    /// A revision was accepted.
    DeployAccepted,
    /// A component was refused; what serves did not change.
    DeployRefused,
    /// An operator changed the weights.
    TrafficChanged,
    /// An operator went back to an older revision.
    Rollback,
    /// The host took a canary's traffic away.
    CanaryReturned,
    /// A service no longer serves.
    ServiceRemoved,
    /// A component broke its contract.
    Fault,
    /// A breaker keeps calls away from an operation, or lets them through again; `detail` says which, and why.
    Breaker,
    /// A subscriber could not handle an event; `detail` names it.
    DeadLetter,
}

impl Event {
    /// Makes an event of a service; what else is known is filled in.
    pub fn new(kind: Kind, service: &str) -> Self {
        Self { kind, service: service.to_owned(), revision: None, digest: None, by: None, detail: None }
    }
}

impl Kind {
    /// Returns the name that operators see.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeployStep => "deploy.step",
            Self::DeployAccepted => "deploy.accepted",
            Self::DeployRefused => "deploy.refused",
            Self::TrafficChanged => "traffic.changed",
            Self::Rollback => "rollback",
            Self::CanaryReturned => "canary.returned",
            Self::ServiceRemoved => "service.removed",
            Self::Fault => "fault",
            Self::Breaker => "breaker",
            Self::DeadLetter => "dead-letter",
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self::new()
    }
}

impl Feed {
    /// Makes a feed that nobody listens to yet.
    pub fn new() -> Self {
        Self { sender: broadcast::Sender::new(CAPACITY), last_id: Mutex::new(0) }
    }

    /// Tells all subscribers, if there are any.
    pub fn publish(&self, event: Event) {
        let at = format_rfc3339_micros(SystemTime::now()).to_string();
        // Held while sending, so that every subscriber sees ids in their order.
        let mut last_id = self.last_id.lock().unwrap_or_else(PoisonError::into_inner);
        *last_id += 1;
        // An error only says that nobody listens.
        let _ = self.sender.send(Arc::new(Numbered { id: *last_id, at, event }));
    }

    /// Hears every event from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Numbered>> {
        self.sender.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Kind) -> Event {
        let service = "reviews".to_owned();
        Event { kind, service, revision: Some(7), digest: None, by: None, detail: Some("link".to_owned()) }
    }

    #[test]
    fn a_subscriber_hears_what_comes_after_in_order() {
        let feed = Feed::new();
        feed.publish(event(Kind::Fault));
        let mut receiver = feed.subscribe();
        feed.publish(event(Kind::DeployStep));
        feed.publish(event(Kind::Rollback));
        let (first, second) = (receiver.try_recv().expect("an event"), receiver.try_recv().expect("an event"));
        assert_eq!((first.id, first.event.kind), (2, Kind::DeployStep));
        assert_eq!((second.id, second.event.kind), (3, Kind::Rollback));
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn an_event_is_flat_json_with_its_type_its_number_and_a_time_in_utc() {
        let feed = Feed::new();
        let mut receiver = feed.subscribe();
        feed.publish(event(Kind::DeployStep));
        let json = serde_json::to_value(&*receiver.try_recv().expect("an event")).expect("JSON");
        assert_eq!(json["type"], "deploy.step");
        assert_eq!(json["id"], 1);
        assert_eq!(json["service"], "reviews");
        assert_eq!(json["revision"], 7);
        assert_eq!(json["detail"], "link");
        assert!(json["at"].as_str().is_some_and(|at| at.contains('T') && at.ends_with('Z')), "{json}");
    }
}
