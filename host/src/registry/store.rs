//! The durable side of the registry: components, revisions, pointers and the audit trail, in `provesi_registry`.
//!
//! One number, the generation, rises with every moved pointer: who moves one says which generation it has seen,
//! so that two hosts on one database never decide on each other's past.

use std::collections::BTreeMap;
use std::time::Duration;

use super::audit::Entry;
use crate::config::Limits;
use crate::db::{Bounds, Cell, Database, OpenError, SqlError, Storage, Transaction, TransactionOptions, Value, ledger};
use crate::names::{ComponentDigest, RevisionNumber, ServiceName};

/// Percent by revision.
pub(super) type Weights = super::status::Weights;

/// Where hosts tell each other that a pointer has moved.
pub(super) const CHANNEL: &str = "activations";

/// The largest component is 64 MiB; the rest of a row is small.
const BOUNDS: Bounds = Bounds {
    connections: 5,
    result_bytes: 80 << 20,
    statement_bytes: 64 << 10,
    params_bytes: 80 << 20,
    statement_timeout: Duration::from_secs(30),
};

const WRITES: TransactionOptions = TransactionOptions { writes: true, serializable: false };

/// The registry's database.
pub(super) struct Store {
    database: Database,
}

/// Where a service points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) service: ServiceName,
    pub(super) weights: Weights,
    /// What had the traffic before: the way back.
    pub(super) previous: Option<Weights>,
    /// The revision under watch.
    pub(super) canary: Option<RevisionNumber>,
    pub(super) changed_us: i64,
}

/// A revision as it was stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) number: RevisionNumber,
    pub(super) digest: String,
    pub(super) version: String,
    pub(super) grants: Vec<String>,
    pub(super) limits: Limits,
    /// Names of its schema changes, and whether each contracts.
    pub(super) migrations: BTreeMap<String, bool>,
    pub(super) created_us: i64,
    pub(super) by: String,
    pub(super) refused: Option<String>,
    pub(super) served: bool,
}

/// A revision to be stored.
pub(super) struct New<'n> {
    pub(super) service: &'n ServiceName,
    pub(super) digest: ComponentDigest,
    pub(super) version: String,
    pub(super) grants: &'n [String],
    pub(super) limits: &'n Limits,
    pub(super) migrations: BTreeMap<&'n str, bool>,
    pub(super) by: &'n str,
}

/// Why the registry cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its tables cannot be made.
    #[error(transparent)]
    Migration(#[from] ledger::MigrationError),
    /// It does not answer.
    #[error("the registry's database does not answer")]
    Sql(#[from] SqlError),
    /// What it answers makes no sense.
    #[error("the registry holds {0}, which this host does not understand")]
    Content(String),
}

impl Store {
    pub(super) async fn open(storage: &Storage) -> Result<Self, StoreError> {
        let database = storage.open_patient("provesi_registry", BOUNDS).await?;
        let first = ledger::Migration {
            name: "0001_registry".to_owned(),
            contracts: false,
            sqlite: include_str!("store/sqlite.sql").to_owned(),
            postgres: include_str!("store/postgres.sql").to_owned(),
        };
        ledger::apply(&database, &[first]).await?;
        Ok(Self { database })
    }

    pub(super) async fn close(&self) {
        self.database.close().await;
    }

    pub(super) async fn generation(&self) -> Result<i64, StoreError> {
        let rows = self.database.query("SELECT n FROM generation", &[]).await?;
        rows.rows().next().and_then(|row| integer(&row, 0)).ok_or_else(|| StoreError::Content("no generation".into()))
    }

    /// Reads all pointers, and the generation that they belong to.
    pub(super) async fn pointers(&self) -> Result<(i64, Vec<Pointer>), StoreError> {
        const SELECT: &str = "SELECT p.service, p.weights, p.previous, p.canary, p.changed_us, g.n FROM generation g \
            LEFT JOIN pointers p ON 1 = 1 ORDER BY p.service";
        let rows = self.database.query(SELECT, &[]).await?;
        let mut pointers = Vec::new();
        let mut generation = 0;
        for row in rows.rows() {
            generation = integer(&row, 5).unwrap_or_default();
            let (Some(service), Some(weights)) = (text(&row, 0), text(&row, 1)) else { continue };
            pointers.push(Pointer {
                service: service.parse().map_err(|_| StoreError::Content(format!("service {service:?}")))?,
                weights: parse(weights)?,
                previous: text(&row, 2).map(parse).transpose()?,
                canary: integer(&row, 3).and_then(number),
                changed_us: integer(&row, 4).unwrap_or_default(),
            });
        }
        Ok((generation, pointers))
    }

    /// Reads all revisions of a service, newest first.
    pub(super) async fn revisions(&self, service: &ServiceName) -> Result<Vec<Stored>, StoreError> {
        const SELECT: &str = "SELECT number, digest, version, grants, limits, migrations, created_us, created_by, \
            refused, served FROM revisions WHERE service = $1 ORDER BY number DESC";
        let rows = self.database.query(SELECT, &[Value::Text(service.to_string())]).await?;
        rows.rows().map(|row| stored(&row)).collect()
    }

    pub(super) async fn component(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        const SELECT: &str = "SELECT bytes FROM components WHERE digest = $1";
        let rows = self.database.query(SELECT, &[Value::Text(digest.to_owned())]).await?;
        Ok(rows.rows().next().and_then(|row| match row.first() {
            Some(Cell::Blob(bytes)) => Some(bytes.to_vec()),
            _ => None,
        }))
    }

    /// Stores a revision under the next number of its service, and its component.
    pub(super) async fn keep(&self, new: &New<'_>, bytes: &[u8]) -> Result<RevisionNumber, StoreError> {
        // Two hosts can take one number at once; the key lets only one of them have it.
        for _ in 0..3 {
            match self.try_keep(new, bytes).await {
                Err(StoreError::Sql(SqlError::Constraint(_) | SqlError::Conflict)) => {}
                outcome => return outcome,
            }
        }
        self.try_keep(new, bytes).await
    }

    async fn try_keep(&self, new: &New<'_>, bytes: &[u8]) -> Result<RevisionNumber, StoreError> {
        const COMPONENT: &str = "INSERT INTO components (digest, bytes, created_us) VALUES ($1, $2, $3) \
            ON CONFLICT (digest) DO NOTHING";
        const REVISION: &str = "INSERT INTO revisions (service, number, digest, version, grants, limits, migrations, \
            created_us, created_by, served) SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4, $5, $6, \
            CAST($7 AS BIGINT), $8, 0 FROM revisions WHERE service = $1 RETURNING number";
        let digest = new.digest.to_string();
        let now = Value::Integer(now_us());
        let mut tx = self.database.begin(WRITES).await?;
        take_turns(&mut tx).await?;
        tx.execute(COMPONENT, &[Value::Text(digest.clone()), Value::Blob(bytes.to_vec()), now.clone()]).await?;
        let params = [
            Value::Text(new.service.to_string()),
            Value::Text(digest),
            Value::Text(new.version.clone()),
            Value::Text(json(&new.grants)),
            Value::Text(json(&new.limits)),
            Value::Text(json(&new.migrations)),
            now,
            Value::Text(new.by.to_owned()),
        ];
        let rows = tx.query(REVISION, &params).await?;
        let taken = rows.rows().next().and_then(|row| integer(&row, 0)).and_then(number);
        let taken = taken.ok_or_else(|| StoreError::Content("no number for a revision".to_owned()))?;
        tx.commit().await?;
        Ok(taken)
    }

    /// Marks a kept revision as refused; its component goes with it unless another revision has it.
    pub(super) async fn refuse(&self, of: &ServiceName, number: RevisionNumber, why: &str) -> Result<(), StoreError> {
        // A commit whose answer was lost may have made it live after all.
        const MARK: &str = "UPDATE revisions SET refused = $3 WHERE service = $1 AND number = $2 AND served = 0";
        const CLEAN: &str = "DELETE FROM components WHERE digest NOT IN \
            (SELECT digest FROM revisions WHERE refused IS NULL)";
        let mut tx = self.database.begin(WRITES).await?;
        take_turns(&mut tx).await?;
        let params = [Value::Text(of.to_string()), Value::Integer(number.0.into()), Value::Text(why.to_owned())];
        tx.execute(MARK, &params).await?;
        tx.execute(CLEAN, &[]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Moves a pointer and writes its line of the audit trail, if the generation is still the one that was seen.
    pub(super) async fn point(&self, seen: i64, pointer: &Pointer, entry: &Entry) -> Result<Option<i64>, StoreError> {
        const POINT: &str = "INSERT INTO pointers (service, weights, previous, canary, changed_us) \
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (service) DO UPDATE SET weights = excluded.weights, \
            previous = excluded.previous, canary = excluded.canary, changed_us = excluded.changed_us";
        const SERVED: &str = "UPDATE revisions SET served = 1 WHERE service = $1 AND number = $2 AND served = 0";
        let mut tx = self.database.begin(WRITES).await?;
        if !advance(&mut tx, seen).await? {
            return Ok(None);
        }
        let service = Value::Text(pointer.service.to_string());
        let params = [
            service.clone(),
            Value::Text(json(&pointer.weights)),
            pointer.previous.as_ref().map_or(Value::Null, |previous| Value::Text(json(previous))),
            pointer.canary.map_or(Value::Null, |canary| Value::Integer(canary.0.into())),
            Value::Integer(pointer.changed_us),
        ];
        tx.execute(POINT, &params).await?;
        for number in pointer.weights.keys() {
            tx.execute(SERVED, &[service.clone(), Value::Integer(number.0.into())]).await?;
        }
        entry.insert(&mut tx).await?;
        tx.commit().await?;
        self.database.notify(CHANNEL).await;
        Ok(Some(seen + 1))
    }

    /// Removes a pointer, likewise.
    pub(super) async fn unpoint(
        &self,
        seen: i64,
        service: &ServiceName,
        entry: &Entry,
    ) -> Result<Option<i64>, StoreError> {
        let mut tx = self.database.begin(WRITES).await?;
        if !advance(&mut tx, seen).await? {
            return Ok(None);
        }
        tx.execute("DELETE FROM pointers WHERE service = $1", &[Value::Text(service.to_string())]).await?;
        entry.insert(&mut tx).await?;
        tx.commit().await?;
        self.database.notify(CHANNEL).await;
        Ok(Some(seen + 1))
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }
}

async fn advance(tx: &mut Transaction, seen: i64) -> Result<bool, StoreError> {
    Ok(tx.execute("UPDATE generation SET n = n + 1 WHERE n = $1", &[Value::Integer(seen)]).await? == 1)
}

/// Keeps hosts from storing a component while another removes it; ends with the transaction.
async fn take_turns(tx: &mut Transaction) -> Result<(), StoreError> {
    Ok(tx.execute("UPDATE generation SET n = n WHERE one = 1", &[]).await.map(drop)?)
}

fn stored(row: &[Cell<'_>]) -> Result<Stored, StoreError> {
    let required = |index| text(row, index).ok_or_else(|| StoreError::Content("a revision without texts".to_owned()));
    Ok(Stored {
        number: integer(row, 0).and_then(number).unwrap_or(RevisionNumber(0)),
        digest: required(1)?.to_owned(),
        version: required(2)?.to_owned(),
        grants: parse(required(3)?)?,
        limits: parse(required(4)?)?,
        migrations: parse(required(5)?)?,
        created_us: integer(row, 6).unwrap_or_default(),
        by: required(7)?.to_owned(),
        refused: text(row, 8).map(str::to_owned),
        served: integer(row, 9) == Some(1),
    })
}

pub(super) fn integer(row: &[Cell<'_>], index: usize) -> Option<i64> {
    if let Cell::Integer(value) = row.get(index)? { Some(*value) } else { None }
}

pub(super) fn text<'r>(row: &[Cell<'r>], index: usize) -> Option<&'r str> {
    if let Cell::Text(value) = row.get(index)? { Some(value) } else { None }
}

fn number(value: i64) -> Option<RevisionNumber> {
    u32::try_from(value).ok().map(RevisionNumber)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("names and numbers are always JSON")
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Content(format!("{text:?} ({error})")))
}

/// Microseconds since 1970.
pub(super) fn now_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Shows microseconds since 1970 as RFC 3339 in UTC.
pub(super) fn rfc3339(us: i64) -> String {
    let since = std::time::Duration::from_micros(u64::try_from(us).unwrap_or_default());
    humantime_serde::re::humantime::format_rfc3339_micros(std::time::UNIX_EPOCH + since).to_string()
}
