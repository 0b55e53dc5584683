//! What lies in the databases of a host, read beside it and not through it.

use std::collections::{BTreeMap, BTreeSet};

use provesi::db::{Cell, Database, Value};

use super::deployer::{Deployer, FIRST_MIGRATION};
use super::operator::Operator;
use super::variants::digest;
use crate::support::{Process, send};

/// The registry's database and that of products.
struct Stored {
    registry: Database,
    products: Database,
}

/// A revision of products.
#[derive(Debug)]
struct Kept {
    number: u64,
    digest: String,
    /// Whether it ever had traffic.
    served: bool,
    /// Names of the migrations that it describes.
    migrations: BTreeSet<String>,
}

/// Checks that the databases hold what is served, and of each migration all or nothing.
pub(super) async fn check(process: &Process, operator: &Operator, deployer: &Deployer) {
    let stored = Stored::open(process).await;
    let live: BTreeMap<u64, &str> = deployer.live().collect();
    let applied = stored.applied().await;
    let kept = stored.revisions().await;
    for revision in &kept {
        let due: BTreeSet<String> = revision.migrations.difference(&applied).cloned().collect();
        assert!(due.is_empty() || !revision.served, "{due:?} of {revision:?} was not applied");
        let served = live.get(&revision.number);
        if served.is_none() && revision.served {
            continue;
        }
        let component = stored.component(&revision.digest).await;
        assert_eq!(digest(&component), revision.digest, "the component of {revision:?}");
        assert!(served.is_none_or(|served| *served == revision.digest), "{served:?} is served as {revision:?}");
        let checked = send(operator.upload("products/check", component)).await;
        assert_eq!(checked.status, 200, "{:?}", checked.body);
        let told: BTreeSet<String> =
            serde_json::from_value(checked.body["migrations"].clone()).expect("the names of what is due");
        assert_eq!(told, due, "due for {revision:?}, by the host and by the ledger");
    }
    let described: BTreeSet<String> = kept.into_iter().flat_map(|revision| revision.migrations).collect();
    assert!(applied.is_subset(&described), "{applied:?} was applied, and only {described:?} were ever described");
    for name in &described {
        assert_eq!(stored.has_effect_of(name).await, applied.contains(name), "table and ledger, of {name}");
    }
    stored.close().await;
}

impl Stored {
    async fn open(process: &Process) -> Self {
        let registry = process.database("provesi_registry").await;
        let products = process.database("products").await;
        Self { registry, products }
    }

    async fn close(self) {
        self.registry.close().await;
        self.products.close().await;
    }

    /// Reads all revisions of products.
    async fn revisions(&self) -> Vec<Kept> {
        let select = "SELECT number, digest, served, migrations FROM revisions WHERE service = $1 ORDER BY number";
        let products = [Value::Text("products".to_owned())];
        let rows = self.registry.query(select, &products).await.expect("an answer");
        let kept = |row: Vec<Cell<'_>>| match row[..] {
            [Cell::Integer(number), Cell::Text(digest), Cell::Integer(served), Cell::Text(migrations)] => {
                let names: BTreeMap<String, bool> = serde_json::from_str(migrations).expect("names, and their kind");
                Kept {
                    number: number.try_into().expect("a small number"),
                    digest: digest.to_owned(),
                    served: served == 1,
                    migrations: names.into_keys().collect(),
                }
            }
            _ => panic!("a revision, not {row:?}"),
        };
        rows.rows().map(kept).collect()
    }

    /// Reads the component of a digest.
    async fn component(&self, digest: &str) -> Vec<u8> {
        let select = "SELECT bytes FROM components WHERE digest = $1";
        let rows = self.registry.query(select, &[Value::Text(digest.to_owned())]).await.expect("an answer");
        let row = rows.rows().next().expect("the component of a revision is kept");
        let [Cell::Blob(bytes)] = row[..] else { panic!("bytes, not {row:?}") };
        bytes.to_vec()
    }

    /// Reads the names of the migrations that were applied to products.
    async fn applied(&self) -> BTreeSet<String> {
        let rows = self.products.query("SELECT name FROM provesi_migrations", &[]).await.expect("an answer");
        let name = |row: Vec<Cell<'_>>| match row[..] {
            [Cell::Text(name)] => name.to_owned(),
            _ => panic!("a name, not {row:?}"),
        };
        rows.rows().map(name).collect()
    }

    /// Says whether the table of a migration is there; those that products itself has are always applied.
    async fn has_effect_of(&self, migration: &str) -> bool {
        let number = migration.split('_').next().and_then(|number| number.parse::<u64>().ok());
        let number = number.expect("a migration begins with its number");
        let select = format!("SELECT COUNT(*) FROM more_{number}");
        number < FIRST_MIGRATION || self.products.query(&select, &[]).await.is_ok()
    }
}
