//! The immutable routing state that one request sees from its start to its end.
//!
//! A service that is split between revisions is still one to a request: the request's [`Ticket`] picks one of them,
//! and the same one wherever the request meets the service again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, OnceLock};

use hyper::header::HeaderValue;

use super::contract::{self, Breach, Party};
use super::description::ServiceDescription;
use super::lane::Lane;
use super::operations::Operations;
use super::routes::{RouteCollision, RouteTable};
use super::stats::RevisionStats;
use crate::config::Limits;
use crate::names::{ComponentDigest, RevisionNumber, ServiceName};
use crate::runtime::{Compiled, Linked, track};

/// One revision that can run.
pub struct Revision {
    /// The service.
    pub service: ServiceName,
    /// Its number.
    pub number: RevisionNumber,
    /// What runs.
    pub linked: Linked,
    /// What it says of itself.
    pub description: ServiceDescription,
    /// What it may import.
    pub grants: Vec<String>,
    /// What the host enforces.
    pub limits: Limits,
    /// What it has done.
    pub stats: RevisionStats,
    /// What it can be asked for, each with its breaker.
    pub operations: Operations,
    /// The way of its service's invocations.
    pub lane: Arc<Lane>,
    /// Its name on answers, made once rather than for each.
    pub(super) header: OnceLock<HeaderValue>,
}

/// The draw of one request, from which every choice between revisions follows.
#[derive(Clone, Copy, Debug)]
pub struct Ticket(u64);

/// The revisions of a service that have traffic.
#[derive(Clone)]
pub struct Live {
    /// Newest first, with percents that add up to 100.
    revisions: Vec<(Arc<Revision>, u8)>,
    /// Different in each service, so that one request's draws are independent.
    salt: u64,
    /// The revision under watch.
    canary: Option<RevisionNumber>,
    /// When this became so, in microseconds since 1970.
    since_us: i64,
}

/// All live services.
#[derive(Default)]
pub struct Snapshot {
    services: BTreeMap<ServiceName, Live>,
    /// By interface, with as much of the version as must agree: who exports it.
    exporters: HashMap<String, ServiceName>,
    routes: RouteTable,
}

/// Why revisions cannot serve together.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Two services export one interface.
    #[error("{interface} is exported by both {first} and {second}")]
    TwoExporters {
        /// The interface.
        interface: String,
        /// Who exports it.
        first: ServiceName,
        /// Who exports it too.
        second: ServiceName,
    },
    /// Two routes answer the same requests.
    #[error(transparent)]
    Routes(#[from] RouteCollision),
    /// Typed imports are not satisfied.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Contract(Vec<Breach>),
}

// === impl Revision ===

impl Revision {
    /// Returns the digest of the component.
    pub fn digest(&self) -> ComponentDigest {
        self.linked.digest()
    }

    /// Says whether its transactions can publish events, which need an outbox and a relay.
    pub fn publishes(&self) -> bool {
        self.grants.iter().any(|grant| grant == "events") && self.linked.database().is_some()
    }

    /// Returns its name, `orders@7`, as the value of a header.
    pub fn header(&self) -> HeaderValue {
        let make = || {
            let value = HeaderValue::from_str(&self.to_string());
            value.expect("a service's name and a number have only letters, digits and '-@'")
        };
        self.header.get_or_init(make).clone()
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.service, self.number)
    }
}

// === impl Ticket ===

impl Ticket {
    /// Draws one.
    pub fn draw() -> Self {
        Self(rand::random())
    }

    /// Makes the ticket that belongs to a text: the same text always meets the same revisions.
    pub fn of(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Picks a number below a bound.
    pub(super) fn below(self, bound: u64, salt: u64) -> u64 {
        // The finalizer of splitmix64: one changed bit changes half of the others.
        let mut z = self.0 ^ salt;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

// === impl Live ===

impl Live {
    /// Makes the live side of a service of revisions and percents that add up to 100.
    pub(super) fn new(
        service: &ServiceName,
        mut revisions: Vec<(Arc<Revision>, u8)>,
        canary: Option<RevisionNumber>,
        since_us: i64,
    ) -> Self {
        revisions.sort_by_key(|(revision, _)| std::cmp::Reverse(revision.number));
        let mut hasher = DefaultHasher::new();
        service.hash(&mut hasher);
        Self { revisions, salt: hasher.finish(), canary, since_us }
    }

    /// Returns the revisions and their percents, newest first.
    pub fn revisions(&self) -> &[(Arc<Revision>, u8)] {
        &self.revisions
    }

    /// Returns the newest revision.
    pub fn newest(&self) -> &Arc<Revision> {
        &self.revisions.first().expect("a live service has a revision").0
    }

    /// Returns the revision that has most of the traffic.
    pub fn main(&self) -> &Arc<Revision> {
        &self.revisions.iter().max_by_key(|(_, weight)| *weight).expect("a live service has a revision").0
    }

    /// Picks the revision that a request sees.
    pub fn pick(&self, ticket: Ticket) -> &Arc<Revision> {
        pick(&self.revisions, ticket, self.salt, |(revision, weight)| (revision, *weight))
    }

    /// Makes the limits of the revision with most of the traffic those of what all revisions of the service share:
    /// lane, share of the processor, cache.
    pub(super) fn apply_limits(&self) {
        let limits = &self.main().limits;
        for (revision, _) in &self.revisions {
            revision.lane.apply(limits);
            revision.linked.apply_limits(limits);
        }
    }

    pub(super) fn salt(&self) -> u64 {
        self.salt
    }

    pub(super) fn canary(&self) -> Option<RevisionNumber> {
        self.canary
    }

    pub(super) fn since_us(&self) -> i64 {
        self.since_us
    }
}

/// Picks one of several things by their weights.
pub(super) fn pick<'t, T, R>(of: &'t [T], ticket: Ticket, salt: u64, parts: impl Fn(&'t T) -> (R, u8)) -> R {
    let total: u64 = of.iter().map(|item| u64::from(parts(item).1)).sum();
    let mut left = if of.len() == 1 { 0 } else { ticket.below(total.max(1), salt) };
    for item in of {
        let (found, weight) = parts(item);
        if left < u64::from(weight) {
            return found;
        }
        left -= u64::from(weight);
    }
    parts(of.last().expect("there is something to pick from")).0
}

// === impl Snapshot ===

impl Snapshot {
    /// Builds a snapshot of services that fit together.
    ///
    /// # Errors
    /// When they do not.
    pub fn build(services: BTreeMap<ServiceName, Live>) -> Result<Self, SnapshotError> {
        let mut this = Self { services, ..Self::default() };
        for (service, live) in &this.services {
            for (revision, _) in live.revisions() {
                for track in revision.linked.compiled().exported_tracks() {
                    let first = this.exporters.insert(track.to_owned(), service.clone());
                    if let Some(first) = first.filter(|first| first != service) {
                        let (interface, second) = (track.to_owned(), service.clone());
                        return Err(SnapshotError::TwoExporters { interface, first, second });
                    }
                }
            }
        }
        this.routes = RouteTable::build(&this.services)?;
        let breaches = this.breaches();
        if breaches.is_empty() { Ok(this) } else { Err(SnapshotError::Contract(breaches)) }
    }

    /// Checks every live revision against those that its imports reach.
    fn breaches(&self) -> Vec<Breach> {
        let all = self.services.values().flat_map(Live::revisions).map(party);
        all.flat_map(|consumer| contract::breaches(&consumer, &self.reached_by(consumer.compiled))).collect()
    }

    /// Returns the revisions that a component's typed imports reach: those of a few services, or all where an import
    /// has no exporter and the reason is looked for. Every one against every other would be a million for a thousand.
    fn reached_by(&self, consumer: &Compiled) -> Vec<Party<'_>> {
        let imports = contract::typed_imports(consumer);
        let few: Option<BTreeSet<_>> = imports.map(|(interface, _)| self.exporters.get(&track(interface))).collect();
        match few {
            Some(few) => {
                let exporting = few.into_iter().filter_map(|service| self.services.get(service));
                exporting.flat_map(Live::revisions).map(party).collect()
            }
            None => self.services.values().flat_map(Live::revisions).map(party).collect(),
        }
    }

    /// Returns all live services, by name.
    pub fn services(&self) -> impl Iterator<Item = (&ServiceName, &Live)> {
        self.services.iter()
    }

    /// Returns a copy of the live services, to be changed into the next snapshot's.
    pub fn to_services(&self) -> BTreeMap<ServiceName, Live> {
        self.services.clone()
    }

    /// Returns a live service.
    pub fn service(&self, name: &ServiceName) -> Option<&Live> {
        self.services.get(name)
    }

    /// Returns the routes of all services.
    pub fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// Finds the service that exports an interface on a track.
    pub fn exporter(&self, track: &str) -> Option<&Live> {
        self.services.get(self.exporters.get(track)?)
    }
}

/// Returns a live revision as the contract check sees it.
fn party((revision, _): &(Arc<Revision>, u8)) -> Party<'_> {
    Party { service: revision.service.as_str(), label: revision.to_string(), compiled: revision.linked.compiled() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pick_follows_the_weights() {
        let things = [("a", 90_u8), ("b", 10)];
        let picked = (0..10_000).filter(|n| {
            let ticket = Ticket::of(&n.to_string());
            pick(&things, ticket, 7, |(name, weight)| (*name, *weight)) == "b"
        });
        let share = picked.count();
        assert!((900..=1100).contains(&share), "{share} of 10000 for 10 %");
    }

    #[test]
    fn one_ticket_always_picks_the_same() {
        let things = [(1, 50_u8), (2, 50)];
        let ticket = Ticket::draw();
        let first = pick(&things, ticket, 3, |(n, weight)| (*n, *weight));
        assert!((0..100).all(|_| pick(&things, ticket, 3, |(n, weight)| (*n, *weight)) == first));
    }
}
