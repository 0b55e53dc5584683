//! The tables of events in the host's own database.

use crate::db::Database;
use crate::db::ledger::{self, Migration, MigrationError};

/// Makes the tables of leases, deliveries and dead letters, where they are missing.
///
/// # Errors
/// When the database refuses.
pub async fn prepare(database: &Database) -> Result<(), MigrationError> {
    let migration = |name: &str, sqlite: &str, postgres: &str| Migration {
        name: name.to_owned(),
        contracts: false,
        sqlite: sqlite.to_owned(),
        postgres: postgres.to_owned(),
    };
    let migrations = [
        migration("0002_leases", LEASES_SQLITE, LEASES_POSTGRES),
        migration("0003_events", include_str!("schema/sqlite.sql"), include_str!("schema/postgres.sql")),
        migration("0004_lanes", LANES, LANES),
    ];
    ledger::apply(database, &migrations).await.map(drop)
}

/// A lane is `source/key` of the event. Hosts that do not know it write none: those that read see to that.
const LANES: &str = "ALTER TABLE deliveries ADD COLUMN lane TEXT; \
    CREATE INDEX deliveries_lane ON deliveries (subscriber, lane, event_seq)";
const LEASES_SQLITE: &str =
    "CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until_us INTEGER NOT NULL) STRICT";
const LEASES_POSTGRES: &str =
    "CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until_us BIGINT NOT NULL)";
