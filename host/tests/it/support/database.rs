//! Opens the databases of a host beside it, and not through it.

use std::path::Path;
use std::time::Duration;

use provesi::db::{Bounds, Cell, Database, Storage, Value};

/// Longest wait for a connection or a statement, on a busy machine too.
const WAIT: Duration = Duration::from_secs(30);

/// A few connections, and room for the largest component, of 64 MiB.
const BOUNDS: Bounds = Bounds {
    connections: 2,
    result_bytes: 80 << 20,
    statement_bytes: 1 << 10,
    params_bytes: 1 << 10,
    statement_timeout: WAIT,
};

/// Opens the database of an owner, by the `storage.url` of the host that runs on it and by its data folder.
pub(crate) async fn open(url: &str, data: &Path, owner: &str) -> Database {
    let storage = match url {
        "sqlite:" => Storage::sqlite(data.join("db"), WAIT).expect("the folder is there"),
        url => Storage::postgres(url, WAIT).await.expect("the server runs"),
    };
    storage.open(owner, BOUNDS).await.expect("the database is there")
}

/// Reads one number.
pub(crate) async fn number(database: &Database, select: &str, params: &[Value]) -> i64 {
    let rows = database.query(select, params).await.expect("an answer");
    let row = rows.rows().next().expect("a row");
    let [Cell::Integer(number)] = row[..] else { panic!("one number, not {row:?}") };
    number
}
