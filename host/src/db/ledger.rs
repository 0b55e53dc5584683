//! Applies migrations once, in order, all that are due in one transaction, and remembers their checksums.
//!
//! The ledger `provesi_migrations` lies in the service's own database and commits with the changes themselves, so a
//! schema is at one revision or at the other and never between them. Hosts that share a PostgreSQL take turns.

use std::collections::BTreeSet;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Cell, Database, PackedRows, Pools, SqlError, Transaction, TransactionOptions, Value, statement};

/// Longest script: an index on a large table takes minutes, and a service's own limit is meant for its requests.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(300);

/// One change of a schema, in both dialects.
#[derive(Clone, Debug)]
pub struct Migration {
    /// `NNNN_what`.
    pub name: String,
    /// Whether revisions that do not know it cannot run on the schema that it leaves.
    pub contracts: bool,
    /// Statements for SQLite.
    pub sqlite: String,
    /// Statements for PostgreSQL.
    pub postgres: String,
}

/// Why a schema was not brought up to date. It is what it was before.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The script has a statement that a migration may not have.
    #[error("migration {name}: {reason}")]
    Denied {
        /// Which one.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The script was applied before with other content.
    #[error("migration {name} was applied before with another content")]
    Changed {
        /// Which one.
        name: String,
    },
    /// The database refuses the script.
    #[error("migration {name} failed")]
    Failed {
        /// Which one.
        name: String,
        /// What the database says.
        #[source]
        source: SqlError,
    },
    /// The ledger cannot be read.
    #[error("the migration ledger cannot be used")]
    Ledger(#[source] SqlError),
}

/// Brings a database up to date and returns the names of the migrations that were applied.
///
/// # Errors
/// See [`MigrationError`]; none was applied then.
pub async fn apply(database: &Database, migrations: &[Migration]) -> Result<Vec<String>, MigrationError> {
    if due(database, migrations).await?.is_empty() {
        return Ok(Vec::new());
    }
    let mut tx = begin(database).await.map_err(MigrationError::Ledger)?;
    let mut applied = Vec::new();
    for migration in migrations {
        let script = script(database, migration);
        let failed = |source| MigrationError::Failed { name: migration.name.clone(), source };
        // Looked for again: another host may have been first.
        let found = tx.query(FIND, &[Value::Text(migration.name.clone())]).await.map_err(failed)?;
        if is_due(migration, script, &found)? {
            tx.script(script).await.map_err(failed)?;
            let record = [Value::Text(migration.name.clone()), Value::Text(checksum(script))];
            tx.execute(RECORD, &record).await.map_err(failed)?;
            applied.push(migration.name.clone());
        }
    }
    tx.commit().await.map_err(MigrationError::Ledger)?;
    Ok(applied)
}

/// Returns the names of the migrations that are not applied yet.
///
/// # Errors
/// When a script has what none may have, one was applied with another content, or the ledger cannot be read.
pub async fn due(database: &Database, migrations: &[Migration]) -> Result<Vec<String>, MigrationError> {
    if migrations.is_empty() {
        return Ok(Vec::new());
    }
    create_ledger(database).await.map_err(MigrationError::Ledger)?;
    let mut missing = Vec::new();
    for migration in migrations {
        let script = script(database, migration);
        statement::check_migration(script)
            .map_err(|reason| MigrationError::Denied { name: migration.name.clone(), reason })?;
        let found = database.query(FIND, &[Value::Text(migration.name.clone())]).await;
        if is_due(migration, script, &found.map_err(MigrationError::Ledger)?)? {
            missing.push(migration.name.clone());
        }
    }
    Ok(missing)
}

/// Returns the names of all migrations that were applied; empty before the first.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn applied(database: &Database) -> Result<BTreeSet<String>, MigrationError> {
    const ALL: &str = "SELECT name FROM provesi_migrations";
    create_ledger(database).await.map_err(MigrationError::Ledger)?;
    let rows = database.query(ALL, &[]).await.map_err(MigrationError::Ledger)?;
    let name = |row: Vec<Cell<'_>>| if let [Cell::Text(name)] = row[..] { Some(name.to_owned()) } else { None };
    Ok(rows.rows().filter_map(name).collect())
}

const FIND: &str = "SELECT checksum FROM provesi_migrations WHERE name = $1";
const RECORD: &str = "INSERT INTO provesi_migrations (name, checksum) VALUES ($1, $2)";

fn is_due(migration: &Migration, script: &str, found: &PackedRows) -> Result<bool, MigrationError> {
    match found.rows().next().as_deref() {
        None => Ok(true),
        Some([Cell::Text(known)]) if *known == checksum(script) => Ok(false),
        Some(_) => Err(MigrationError::Changed { name: migration.name.clone() }),
    }
}

fn checksum(script: &str) -> String {
    hex::encode(Sha256::digest(script))
}

fn script<'a>(database: &Database, migration: &'a Migration) -> &'a str {
    match database.pools {
        Pools::Sqlite(_) => &migration.sqlite,
        Pools::Postgres(_) => &migration.postgres,
    }
}

async fn create_ledger(database: &Database) -> Result<(), SqlError> {
    const SQLITE: &str = "CREATE TABLE IF NOT EXISTS provesi_migrations \
        (name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT";
    const POSTGRES: &str = "CREATE TABLE IF NOT EXISTS provesi_migrations \
        (name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT now())";
    create(database, SQLITE, POSTGRES).await
}

/// Makes tables of the host's own in a service's database, which no ledger counts; the script must bear being run again.
pub(super) async fn create(database: &Database, sqlite: &str, postgres: &str) -> Result<(), SqlError> {
    let mut tx = begin(database).await?;
    tx.script(if matches!(database.pools, Pools::Sqlite(_)) { sqlite } else { postgres }).await?;
    tx.commit().await
}

/// Begins a transaction on the ledger. Hosts that share a PostgreSQL take turns until it ends; SQLite's writers do so
/// by themselves.
async fn begin(database: &Database) -> Result<Transaction, SqlError> {
    const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('provesi-migrations'))";
    let mut tx = database.begin(TransactionOptions { writes: true, serializable: false }).await?;
    tx.lengthen(SCRIPT_TIMEOUT).await?;
    if matches!(database.pools, Pools::Postgres(_)) {
        tx.script(LOCK).await?;
    }
    Ok(tx)
}
