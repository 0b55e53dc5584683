//! Whether revisions can run on the schema that there is, or that they would make.

use std::sync::Arc;

use super::prepare::ServiceError;
use super::refusal::Refusal;
use super::snapshot::Revision;
use super::store::Stored;
use crate::db::{Database, ledger};
use crate::names::{RevisionNumber, ServiceName};

/// Refuses revisions that do not know a migration by which the schema was, or will be, contracted.
pub(super) async fn check(
    service: &ServiceName,
    database: Option<&Arc<Database>>,
    revisions: &[(Arc<Revision>, u8)],
    stored: &[Stored],
) -> Result<(), Refusal> {
    let past = contracted(database, stored).await?;
    let described = || revisions.iter().flat_map(|(revision, _)| &revision.description.migrations);
    let coming = described().filter(|migration| migration.contracts).map(|migration| &migration.name);
    for migration in past.iter().copied().chain(coming) {
        for (revision, _) in revisions {
            if !revision.description.migrations.iter().any(|known| known.name == *migration) {
                let (service, revision, migration) = (service.clone(), revision.number, migration.clone());
                return Err(Refusal::SchemaAhead { service, revision, migration });
            }
        }
    }
    Ok(())
}

/// Finds the newest revision that can run on a schema on which the live one cannot: a crash came between the
/// migration of its deploy and the move of the pointer.
pub(super) async fn newest_that_runs(
    database: Option<&Arc<Database>>,
    stored: &[Stored],
) -> Result<Option<RevisionNumber>, Refusal> {
    let past = contracted(database, stored).await?;
    let runs = |stored: &&Stored| past.iter().all(|migration| stored.migrations.contains_key(*migration));
    Ok(stored.iter().filter(|stored| stored.refused.is_none()).find(runs).map(|stored| stored.number))
}

/// Returns the migrations that have contracted the schema.
async fn contracted<'s>(database: Option<&Arc<Database>>, stored: &'s [Stored]) -> Result<Vec<&'s String>, Refusal> {
    let Some(database) = database else { return Ok(Vec::new()) };
    let known = stored.iter().flat_map(|stored| &stored.migrations);
    let contracting: Vec<&String> = known.filter(|(_, contracts)| **contracts).map(|(name, _)| name).collect();
    if contracting.is_empty() {
        return Ok(contracting);
    }
    let applied = ledger::applied(database).await.map_err(ServiceError::from)?;
    Ok(contracting.into_iter().filter(|name| applied.contains(*name)).collect())
}
