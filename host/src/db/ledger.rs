//! Applies migrations once, in order, each in a transaction, and remembers their checksums.
//!
//! The ledger `provesi_migrations` lies in the service's own database and commits with the change itself. Hosts
//! that share a PostgreSQL take turns.

use sha2::{Digest as _, Sha256};
use sqlx::AssertSqlSafe;

use super::{Database, Pools, statement};

/// One change of a schema, in both dialects.
#[derive(Clone, Debug)]
pub struct Migration {
    /// `NNNN_what`.
    pub name: String,
    /// Statements for SQLite.
    pub sqlite: String,
    /// Statements for PostgreSQL.
    pub postgres: String,
}

/// Why a schema was not brought up to date. What had been applied before stays applied.
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
        source: sqlx::Error,
    },
    /// The ledger cannot be read.
    #[error("the migration ledger cannot be used")]
    Ledger(#[source] sqlx::Error),
}

/// Brings a database up to date and returns how many migrations were applied.
///
/// # Errors
/// See [`MigrationError`].
pub async fn apply(database: &Database, migrations: &[Migration]) -> Result<usize, MigrationError> {
    create_ledger(database).await.map_err(MigrationError::Ledger)?;
    let mut applied = 0;
    for migration in migrations {
        let script = script(database, migration);
        statement::check_migration(script)
            .map_err(|reason| MigrationError::Denied { name: migration.name.clone(), reason })?;
        let outcome = apply_one(database, &migration.name, script)
            .await
            .map_err(|source| MigrationError::Failed { name: migration.name.clone(), source })?;
        match outcome {
            Outcome::Applied => applied += 1,
            Outcome::AlreadyThere => {}
            Outcome::Changed => return Err(MigrationError::Changed { name: migration.name.clone() }),
        }
    }
    Ok(applied)
}

enum Outcome {
    Applied,
    AlreadyThere,
    Changed,
}

fn script<'a>(database: &Database, migration: &'a Migration) -> &'a str {
    match database.pools {
        Pools::Sqlite(_) => &migration.sqlite,
        Pools::Postgres(_) => &migration.postgres,
    }
}

async fn create_ledger(database: &Database) -> sqlx::Result<()> {
    const SQLITE: &str = "CREATE TABLE IF NOT EXISTS provesi_migrations \
        (name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT";
    const POSTGRES: &str = "CREATE TABLE IF NOT EXISTS provesi_migrations \
        (name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT now())";
    match &database.pools {
        Pools::Sqlite(pools) => {
            sqlx::query(SQLITE).execute(&mut *pools.acquire(statement::Kind::Write).await?).await?;
        }
        Pools::Postgres(pool) => {
            let mut tx = pool.begin().await?;
            lock(&mut tx).await?;
            sqlx::query(POSTGRES).execute(&mut *tx).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}

async fn apply_one(database: &Database, name: &str, script: &str) -> sqlx::Result<Outcome> {
    const FIND: &str = "SELECT checksum FROM provesi_migrations WHERE name = $1";
    const RECORD: &str = "INSERT INTO provesi_migrations (name, checksum) VALUES ($1, $2)";
    let checksum = hex::encode(Sha256::digest(script));
    let known = |found: Option<String>| match found {
        Some(found) if found == checksum => Some(Outcome::AlreadyThere),
        Some(_) => Some(Outcome::Changed),
        None => None,
    };
    match &database.pools {
        Pools::Sqlite(pools) => {
            let mut tx = pools.begin(super::TransactionOptions { writes: true, serializable: true }).await?;
            if let Some(outcome) = known(sqlx::query_scalar(FIND).bind(name).fetch_optional(&mut *tx).await?) {
                return Ok(outcome);
            }
            sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut *tx).await?;
            sqlx::query(RECORD).bind(name).bind(&checksum).execute(&mut *tx).await?;
            tx.commit().await?;
        }
        Pools::Postgres(pool) => {
            let mut tx = pool.begin().await?;
            lock(&mut tx).await?;
            if let Some(outcome) = known(sqlx::query_scalar(FIND).bind(name).fetch_optional(&mut *tx).await?) {
                return Ok(outcome);
            }
            sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut *tx).await?;
            sqlx::query(RECORD).bind(name).bind(&checksum).execute(&mut *tx).await?;
            tx.commit().await?;
        }
    }
    Ok(Outcome::Applied)
}

/// Makes hosts that share a database take turns; ends with the transaction.
async fn lock(connection: &mut sqlx::PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('provesi-migrations'))").execute(connection).await?;
    Ok(())
}
