//! The immutable routing state that one request sees from its start to its end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::contract::{self, Breach};
use super::description::ServiceDescription;
use super::routes::{RouteCollision, RouteTable};
use crate::config::Limits;
use crate::names::{ComponentDigest, RevisionNumber, ServiceName};
use crate::runtime::{Linked, track};

/// One activated revision of a service.
pub struct Revision {
    /// The service.
    pub service: ServiceName,
    /// Its number.
    pub number: RevisionNumber,
    /// What runs.
    pub linked: Linked,
    /// What it says of itself.
    pub description: ServiceDescription,
    /// What the host enforces.
    pub limits: Limits,
}

impl Revision {
    /// Returns the digest of the component.
    pub fn digest(&self) -> ComponentDigest {
        self.linked.digest()
    }
}

/// All live services.
#[derive(Default)]
pub struct Snapshot {
    services: BTreeMap<ServiceName, Arc<Revision>>,
    /// By interface, with as much of the version as must agree: who exports it and under which full name.
    exporters: HashMap<String, (ServiceName, String)>,
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
    /// A typed import is not satisfied.
    #[error(transparent)]
    Contract(#[from] Box<Breach>),
}

impl Snapshot {
    /// Builds a snapshot of revisions that fit together.
    ///
    /// # Errors
    /// When they do not.
    pub fn build(revisions: Vec<Arc<Revision>>) -> Result<Self, SnapshotError> {
        let mut this = Self::default();
        for revision in revisions {
            for (interface, _) in revision.linked.compiled().peer_exports() {
                let value = (revision.service.clone(), interface.clone());
                if let Some((first, _)) = this.exporters.insert(track(interface), value) {
                    let (interface, second) = (interface.clone(), revision.service.clone());
                    return Err(SnapshotError::TwoExporters { interface, first, second });
                }
            }
            this.routes.add(&revision)?;
            this.services.insert(revision.service.clone(), revision);
        }
        for consumer in this.services.values() {
            contract::check(consumer, |interface| this.exporter(interface))?;
        }
        Ok(this)
    }

    /// Returns all live services, by name.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Revision>> {
        self.services.values()
    }

    /// Returns a live service.
    pub fn service(&self, name: &ServiceName) -> Option<&Arc<Revision>> {
        self.services.get(name)
    }

    /// Returns the routes of all services.
    pub fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// Finds who exports an interface that is compatible with the named one, and under which name.
    pub fn exporter(&self, interface: &str) -> Option<(&Arc<Revision>, &str)> {
        let (service, name) = self.exporters.get(&track(interface))?;
        Some((self.services.get(service)?, name))
    }
}
