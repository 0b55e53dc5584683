//! Statements, transactions and bounds on SQLite; `tests/it` runs both databases.

use std::time::Duration;

use super::*;

const BOUNDS: Bounds = Bounds { connections: 4, result_bytes: 1024, statement_bytes: 512, params_bytes: 512 };
const WRITE: TransactionOptions = TransactionOptions { writes: true, serializable: false };

async fn database(folder: &std::path::Path) -> Database {
    let storage = Storage::sqlite(folder.to_owned(), Duration::from_millis(500)).expect("a folder");
    let database = storage.open("a", BOUNDS).await.expect("opens");
    let migration = ledger::Migration {
        contracts: false,
        name: "0001_t".to_owned(),
        sqlite: "CREATE TABLE t (id INTEGER PRIMARY KEY, x ANY) STRICT;".to_owned(),
        postgres: String::new(),
    };
    assert_eq!(ledger::apply(&database, std::slice::from_ref(&migration)).await.expect("applies"), ["0001_t"]);
    assert!(ledger::apply(&database, &[migration]).await.expect("knows it").is_empty());
    database
}

#[tokio::test]
async fn values_come_back_as_they_went() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let values = [
        Value::Null,
        Value::Integer(i64::MIN),
        Value::Real(0.5),
        Value::Text("ñ".to_owned()),
        Value::Blob(vec![0, 255]),
    ];
    for value in &values {
        database.execute("INSERT INTO t (x) VALUES ($1)", std::slice::from_ref(value)).await.expect("stores");
    }
    let rows = database.query("SELECT x FROM t ORDER BY id", &[]).await.expect("reads");
    let cells: Vec<Cell> = rows.rows().flatten().collect();
    let expected = [Cell::Null, Cell::Integer(i64::MIN), Cell::Real(0.5), Cell::Text("ñ"), Cell::Blob(&[0, 255])];
    assert_eq!(cells, expected);
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing_and_frees_the_writer() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let mut dropped = database.begin(WRITE).await.expect("begins");
    dropped.execute("INSERT INTO t (id) VALUES (1)", &[]).await.expect("stores");
    assert!(matches!(database.begin(WRITE).await, Err(SqlError::Timeout)), "there is one writer");
    drop(dropped);
    let mut kept = database.begin(WRITE).await.expect("begins");
    kept.execute("INSERT INTO t (id) VALUES (2)", &[]).await.expect("stores");
    kept.commit().await.expect("commits");
    let rows = database.query("SELECT id FROM t", &[]).await.expect("reads");
    assert_eq!(rows.rows().flatten().collect::<Vec<_>>(), [Cell::Integer(2)]);
}

#[tokio::test]
async fn what_is_over_a_bound_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let long = format!("SELECT '{}'", "x".repeat(600));
    assert!(matches!(database.query(&long, &[]).await, Err(SqlError::TooLarge)));
    let wide = [Value::Text("x".repeat(600))];
    assert!(matches!(database.query("SELECT $1", &wide).await, Err(SqlError::TooLarge)));
    let much = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n";
    assert!(matches!(database.query(much, &[]).await, Err(SqlError::TooLarge)));
}

#[tokio::test]
async fn a_changed_migration_and_one_that_leaves_its_transaction_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let migration = |name: &str, sqlite: &str| ledger::Migration {
        contracts: false,
        name: name.to_owned(),
        sqlite: sqlite.to_owned(),
        postgres: String::new(),
    };
    let changed = ledger::apply(&database, &[migration("0001_t", "CREATE TABLE u (a TEXT)")]).await;
    assert!(matches!(changed, Err(ledger::MigrationError::Changed { .. })));
    let escaping = ledger::apply(&database, &[migration("0002_u", "CREATE TABLE u (a TEXT); COMMIT")]).await;
    assert!(matches!(escaping, Err(ledger::MigrationError::Denied { .. })));
    let broken =
        ledger::apply(&database, &[migration("0002_u", "CREATE TABLE u (a TEXT); CREATE TABLE t (a TEXT)")]).await;
    assert!(matches!(broken, Err(ledger::MigrationError::Failed { .. })));
    assert!(database.query("SELECT * FROM u", &[]).await.is_err(), "half a migration was kept");
    let second = [migration("0002_u", "CREATE TABLE u (a TEXT)"), migration("0003_v", "CREATE TABLE t (a TEXT)")];
    assert!(matches!(ledger::apply(&database, &second).await, Err(ledger::MigrationError::Failed { .. })));
    assert!(database.query("SELECT * FROM u", &[]).await.is_err(), "the first of two migrations was kept");
    assert_eq!(ledger::due(&database, &second).await.expect("reads the ledger"), ["0002_u", "0003_v"]);
}
