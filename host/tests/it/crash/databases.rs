//! Databases of services, read beside the host and not through it.

use provesi::db::{Database, PackedRows};

use crate::support::{Process, database};

/// Whose databases are read: all that publish, and all that are told.
const OWNERS: [&str; 4] = ["products", "orders", "inventory", "tally"];

/// Open databases.
pub(super) struct Databases(Vec<(&'static str, Database)>);

impl Databases {
    /// Opens them; the host must have made them.
    pub(super) async fn open(process: &Process) -> Self {
        let mut databases = Vec::new();
        for owner in OWNERS {
            databases.push((owner, process.database(owner).await));
        }
        Self(databases)
    }

    /// Counts the events that a service has handled.
    pub(super) async fn handled(&self, owner: &str) -> i64 {
        self.number(owner, "SELECT COUNT(*) FROM provesi_inbox").await
    }

    /// Reads one number.
    pub(super) async fn number(&self, owner: &str, select: &str) -> i64 {
        database::number(self.of(owner), select, &[]).await
    }

    /// Reads rows.
    pub(super) async fn rows(&self, owner: &str, select: &str) -> PackedRows {
        self.of(owner).query(select, &[]).await.expect("an answer")
    }

    fn of(&self, owner: &str) -> &Database {
        let (_, database) = self.0.iter().find(|(name, _)| *name == owner).expect("it was opened");
        database
    }

    pub(super) async fn close(self) {
        for (_, database) in &self.0 {
            database.close().await;
        }
    }
}
