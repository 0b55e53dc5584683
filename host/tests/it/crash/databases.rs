//! Databases of services, read beside the host and not through it.

use std::time::Duration;

use provesi::db::{Bounds, Cell, Database, PackedRows, Storage};

use crate::support::Process;

/// Longest wait for a connection or a statement.
const WAIT: Duration = Duration::from_secs(30);

/// One connection, and room for a row of each order that a full form places.
const BOUNDS: Bounds = Bounds {
    connections: 1,
    result_bytes: 64 << 20,
    statement_bytes: 1 << 10,
    params_bytes: 1 << 10,
    statement_timeout: WAIT,
};

/// Whose databases are read: all that publish, and all that are told.
const OWNERS: [&str; 4] = ["products", "orders", "inventory", "tally"];

/// Open databases.
pub(super) struct Databases(Vec<(&'static str, Database)>);

impl Databases {
    /// Opens them; the host must have made them.
    pub(super) async fn open(process: &Process) -> Self {
        let storage = match process.url().as_str() {
            "sqlite:" => Storage::sqlite(process.data().join("db"), WAIT).expect("the folder is there"),
            url => Storage::postgres(url, WAIT).await.expect("the server runs"),
        };
        let mut databases = Vec::new();
        for owner in OWNERS {
            databases.push((owner, storage.open(owner, BOUNDS).await.expect("the database is there")));
        }
        Self(databases)
    }

    /// Counts the events that a service has handled.
    pub(super) async fn handled(&self, owner: &str) -> i64 {
        self.number(owner, "SELECT COUNT(*) FROM provesi_inbox").await
    }

    /// Reads one number.
    pub(super) async fn number(&self, owner: &str, select: &str) -> i64 {
        let rows = self.rows(owner, select).await;
        let row = rows.rows().next().expect("a row");
        let [Cell::Integer(number)] = row[..] else { panic!("one number, not {row:?}") };
        number
    }

    /// Reads rows.
    pub(super) async fn rows(&self, owner: &str, select: &str) -> PackedRows {
        let (_, database) = self.0.iter().find(|(name, _)| *name == owner).expect("it was opened");
        database.query(select, &[]).await.expect("an answer")
    }

    pub(super) async fn close(self) {
        for (_, database) in &self.0 {
            database.close().await;
        }
    }
}
