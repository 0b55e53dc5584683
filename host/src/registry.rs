//! Services, their revisions, and the snapshot that requests see.
//!
//! A [`Snapshot`] is immutable: a request takes one and keeps it from its start to its end. Activation builds the
//! next one and replaces the old one whole, so no request sees half of a change.
//!
//! Not here: how a component is compiled and run (see `runtime`), picking and running (see `dispatch`).

mod activate;
mod contract;
mod description;
mod routes;
mod snapshot;

pub use self::activate::{ActivateError, Registry, ServiceError};
pub use self::contract::Breach;
pub use self::description::{Access, DescriptionError, Method, Route, ServiceDescription, Task};
pub use self::routes::{MatchedRoute, RouteCollision, RouteMatch, RouteTable};
pub use self::snapshot::{Revision, Snapshot, SnapshotError};
