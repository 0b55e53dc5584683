//! Who publishes what and who takes it, among the live services; and what of it does not fit together.
//!
//! A publisher and a subscriber may be deployed in any order, so what does not fit is a warning, never a refusal.

use super::snapshot::{Revision, Snapshot};
use crate::names::ServiceName;

impl Snapshot {
    /// Returns the services that take the events of a topic, by name; the revision with most of the traffic decides.
    pub fn subscribers(&self, topic: &str) -> Vec<ServiceName> {
        let takes = |revision: &Revision| revision.description.subscriptions.contains(topic);
        self.services().filter(|(_, live)| takes(live.main())).map(|(name, _)| name.clone()).collect()
    }

    /// Says whether a live revision of any service but one publishes a topic.
    fn is_published(&self, topic: &str, but: &ServiceName) -> bool {
        self.services()
            .filter(|(name, _)| *name != but)
            .any(|(_, live)| live.revisions().iter().any(|(revision, _)| revision.description.topics.contains(topic)))
    }
}

/// Names subscriptions that nobody serves, and topics that somebody would miss.
pub(super) fn warnings(snapshot: &Snapshot, next: &Revision) -> Vec<String> {
    let mut warnings = Vec::new();
    for topic in &next.description.subscriptions {
        if !next.description.topics.contains(topic) && !snapshot.is_published(topic, &next.service) {
            warnings.push(format!("it subscribes to {topic}, which no live service publishes"));
        }
    }
    let Some(live) = snapshot.service(&next.service) else { return warnings };
    for topic in live.main().description.topics.difference(&next.description.topics) {
        let others = snapshot.subscribers(topic).into_iter().filter(|name| *name != next.service);
        for subscriber in others {
            warnings.push(format!("{topic} is no longer published; {subscriber} subscribes to it"));
        }
    }
    warnings
}
