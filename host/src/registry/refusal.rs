//! Why the registry changed nothing, as types that the operators' listener branches on.

use super::contract::Breach;
use super::snapshot::SnapshotError;
use super::store::StoreError;
use crate::db::SqlError;
use crate::db::ledger::MigrationError;
use crate::names::{RevisionNumber, ServiceName};

/// A change that was refused. What served before serves on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// The bytes are no component that can serve; the text says at which step and why.
    #[error("{0}")]
    InvalidComponent(String),
    /// It imports what it was not granted.
    #[error("imports {import}, which needs the grant {grant:?}")]
    ImportDenied {
        /// The full name of the interface.
        import: String,
        /// What would have to be granted.
        grant: String,
    },
    /// A typed import of a live service would not be satisfied.
    #[error("{}", .0.first().map_or_else(|| "the contract is broken".to_owned(), ToString::to_string))]
    Contract(Vec<Breach>),
    /// It exports an interface, or answers a route, that another service has.
    #[error("{0}")]
    Collision(String),
    /// Its schema changes cannot be applied; none of them was.
    #[error("{0}")]
    Migration(String),
    /// The schema has been contracted past what the revision can run on.
    #[error("{service}@{revision} cannot run on the present schema: it does not know {migration}, which contracts it")]
    SchemaAhead {
        /// The service.
        service: ServiceName,
        /// The revision that cannot run.
        revision: RevisionNumber,
        /// The migration that it does not know.
        migration: String,
    },
    /// The order itself makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// There is no such service.
    #[error("there is no service {0}")]
    UnknownService(String),
    /// There is no such revision, or it was refused and cannot serve.
    #[error("there is no revision {service}@{revision} that could serve")]
    UnknownRevision {
        /// The service.
        service: ServiceName,
        /// The number.
        revision: RevisionNumber,
    },
    /// No revision served before the present one.
    #[error("no revision of {0} served before the present one")]
    NothingBefore(ServiceName),
    /// Live services import what the service exports.
    #[error("{} import{} what it exports", list(.0), if .0.len() == 1 { "s" } else { "" })]
    Imported(Vec<ServiceName>),
    /// Another change of the same service is under way.
    #[error("another change of {0} is under way")]
    Busy(ServiceName),
    /// `provesi.toml` cannot be used.
    #[error("{0}")]
    Configuration(String),
    /// The registry's own database does not answer.
    #[error("{0}")]
    Storage(String),
}

impl Refusal {
    /// Returns the stable word for the kind, the last part of a problem's `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::InvalidComponent(_) => "invalid-component",
            Self::ImportDenied { .. } => "import-denied",
            Self::Contract(_) => "contract-breach",
            Self::Collision(_) => "route-collision",
            Self::Migration(_) => "migration-failed",
            Self::SchemaAhead { .. } => "schema-ahead",
            Self::Invalid(_) => "invalid-request",
            Self::UnknownService(_) => "unknown-service",
            Self::UnknownRevision { .. } => "unknown-revision",
            Self::NothingBefore(_) => "nothing-to-roll-back-to",
            Self::Imported(_) => "still-imported",
            Self::Busy(_) => "deploy-in-progress",
            Self::Configuration(_) => "invalid-configuration",
            Self::Storage(_) => "storage-unavailable",
        }
    }

    /// Returns what is broken, import by import; empty when the contract is not the reason.
    pub fn details(&self) -> &[Breach] {
        if let Self::Contract(breaches) = self { breaches } else { &[] }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Storage(chain(&error))
    }
}

impl From<MigrationError> for Refusal {
    fn from(error: MigrationError) -> Self {
        match &error {
            // A database that is away says nothing against the component.
            MigrationError::Failed { source: SqlError::Unavailable(_), .. } | MigrationError::Ledger(_) => {
                Self::Storage(chain(&error))
            }
            _ => Self::Migration(chain(&error)),
        }
    }
}

impl From<SnapshotError> for Refusal {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Contract(breaches) => Self::Contract(breaches),
            other => Self::Collision(chain(&other)),
        }
    }
}

/// Renders an error with everything that led to it, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Transparent wrappers repeat their source.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

fn list(names: &[ServiceName]) -> String {
    names.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_is_not_held_against_a_component() {
        let name = || "0001_first".to_owned();
        let away = || SqlError::Unavailable(sqlx::Error::PoolClosed);
        let kind = |error: MigrationError| Refusal::from(error).kind();
        assert_eq!(kind(MigrationError::Ledger(away())), "storage-unavailable");
        assert_eq!(kind(MigrationError::Failed { name: name(), source: away() }), "storage-unavailable");
        let wrong = SqlError::Invalid("near \"TABEL\"".to_owned());
        assert_eq!(kind(MigrationError::Failed { name: name(), source: wrong }), "migration-failed");
        assert_eq!(kind(MigrationError::Changed { name: name() }), "migration-failed");
    }
}
