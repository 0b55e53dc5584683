//! Statements, transactions and bounds on SQLite; `tests/it` runs both databases.

use std::path::Path;

use super::*;

const BOUNDS: Bounds = Bounds {
    connections: 4,
    result_bytes: 1024,
    statement_bytes: 512,
    params_bytes: 512,
    statement_timeout: Duration::from_secs(30),
};

const WRITE: TransactionOptions = TransactionOptions { writes: true, serializable: false };

/// Runs until it is stopped, on a connection that reads.
const ENDLESS_READ: &str =
    "SELECT COUNT(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)";

/// The same on the one that writes.
const ENDLESS_WRITE: &str =
    "UPDATE t SET x = (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n)";

/// So long a test lets a statement run that has no end.
const MOMENT: Duration = Duration::from_millis(50);

/// Opens a database with a table; a statement waits for a connection at most `wait`.
async fn open(folder: &Path, bounds: Bounds, wait: Duration) -> Database {
    let storage = Storage::sqlite(folder.to_owned(), wait).expect("a folder");
    let database = storage.open("a", bounds).await.expect("opens");
    let migration = migration("0001_t", "CREATE TABLE t (id INTEGER PRIMARY KEY, x ANY) STRICT;");
    ledger::apply(&database, &[migration]).await.expect("applies");
    database
}

async fn database(folder: &Path) -> Database {
    open(folder, BOUNDS, Duration::from_millis(500)).await
}

/// The same with one connection of each kind, for which statements wait patiently.
async fn narrow(folder: &Path, statement_timeout: Duration) -> Database {
    open(folder, Bounds { connections: 2, statement_timeout, ..BOUNDS }, Duration::from_secs(30)).await
}

fn migration(name: &str, sqlite: &str) -> ledger::Migration {
    ledger::Migration { contracts: false, name: name.to_owned(), sqlite: sqlite.to_owned(), postgres: String::new() }
}

fn guest() -> Caller {
    Caller::Guest { until: Instant::now() + Duration::from_secs(30) }
}

async fn ids(database: &Database) -> Vec<i64> {
    let rows = database.query("SELECT id FROM t ORDER BY id", &[]).await.expect("reads");
    let id = |cell| if let Cell::Integer(id) = cell { id } else { panic!("an id, not {cell:?}") };
    rows.rows().flatten().map(id).collect()
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
    assert_eq!(ids(&database).await, [2]);
}

#[tokio::test]
async fn a_dropped_query_stops_its_statement() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = narrow(folder.path(), BOUNDS.statement_timeout).await;
    database.execute("INSERT INTO t (id) VALUES (1)", &[]).await.expect("stores");
    for _ in 0..3 {
        assert!(tokio::time::timeout(MOMENT, database.query(ENDLESS_READ, &[])).await.is_err(), "it has no end");
        assert_eq!(ids(&database).await, [1], "the only reader is free again");
        assert!(tokio::time::timeout(MOMENT, database.execute(ENDLESS_WRITE, &[])).await.is_err(), "it has no end");
        database.execute("UPDATE t SET x = 1", &[]).await.expect("the writer is free again");
    }
}

#[tokio::test]
async fn a_statement_without_an_end_ends_in_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = narrow(folder.path(), Duration::from_secs(2)).await;
    assert!(matches!(database.query(ENDLESS_READ, &[]).await, Err(SqlError::Timeout)));
    let until = Instant::now() + MOMENT;
    let query = database.query_for(Caller::Guest { until }, ENDLESS_READ, &[]).await;
    assert!(matches!(query, Err(SqlError::Timeout)), "a guest has what is left of its deadline");
    let past = Caller::Guest { until: Instant::now() };
    assert!(matches!(database.query_for(past, ENDLESS_READ, &[]).await, Err(SqlError::Timeout)));
    assert!(ids(&database).await.is_empty(), "the only reader is free again");
}

#[tokio::test]
async fn a_transaction_dropped_in_the_middle_of_a_statement_frees_the_writer() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = narrow(folder.path(), BOUNDS.statement_timeout).await;
    // A statement that writes takes the whole transaction with it when it is stopped, one that reads does not.
    for endless in [ENDLESS_READ, ENDLESS_WRITE] {
        let mut dropped = database.begin(WRITE).await.expect("begins");
        dropped.execute("INSERT INTO t (id) VALUES (1)", &[]).await.expect("stores");
        assert!(tokio::time::timeout(MOMENT, dropped.query(endless, &[])).await.is_err(), "it has no end");
        drop(dropped);
        let kept = database.begin(WRITE).await.expect("the only writer begins again");
        kept.commit().await.expect("commits");
        assert!(ids(&database).await.is_empty(), "what was dropped was kept");
    }
}

#[tokio::test]
async fn a_transaction_is_over_once_a_statement_was_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = narrow(folder.path(), BOUNDS.statement_timeout).await;
    let until = Instant::now() + Duration::from_secs(2);
    let mut timed = database.begin_for(Caller::Guest { until }, WRITE).await.expect("begins");
    timed.execute("INSERT INTO t (id) VALUES (1)", &[]).await.expect("stores");
    assert!(matches!(timed.execute(ENDLESS_WRITE, &[]).await, Err(SqlError::Timeout)));
    assert!(matches!(timed.execute("INSERT INTO t (id) VALUES (2)", &[]).await, Err(SqlError::Invalid(_))));
    assert!(matches!(timed.commit().await, Err(SqlError::Invalid(_))));
    let mut large = database.begin(WRITE).await.expect("begins");
    large.execute("INSERT INTO t (id) VALUES (3)", &[]).await.expect("stores");
    assert!(matches!(large.query("SELECT zeroblob(2000)", &[]).await, Err(SqlError::TooLarge)));
    assert!(matches!(large.commit().await, Err(SqlError::Invalid(_))));
    assert!(ids(&database).await.is_empty());
}

#[tokio::test]
async fn what_follows_a_rollback_by_the_database_is_not_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = narrow(folder.path(), BOUNDS.statement_timeout).await;
    let mut tx = database.begin(WRITE).await.expect("begins");
    tx.execute("INSERT INTO t (id) VALUES (1)", &[]).await.expect("stores");
    let again = tx.execute("INSERT OR ROLLBACK INTO t (id) VALUES (1)", &[]).await;
    assert!(matches!(again, Err(SqlError::Constraint(_))), "{again:?}");
    assert!(matches!(tx.execute("INSERT INTO t (id) VALUES (2)", &[]).await, Err(SqlError::Invalid(_))));
    drop(tx);
    let mut next = database.begin(WRITE).await.expect("the next one begins");
    next.execute("INSERT INTO t (id) VALUES (3)", &[]).await.expect("stores");
    assert!(matches!(next.execute("INSERT INTO t (id) VALUES (3)", &[]).await, Err(SqlError::Constraint(_))));
    next.commit().await.expect("a broken constraint alone does not end a transaction here");
    assert_eq!(ids(&database).await, [3]);
}

#[tokio::test]
async fn what_is_over_a_bound_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let long = format!("SELECT '{}'", "x".repeat(600));
    assert!(matches!(database.query(&long, &[]).await, Err(SqlError::TooLarge)));
    let wide = [Value::Text("x".repeat(600))];
    assert!(matches!(database.query("SELECT $1", &wide).await, Err(SqlError::TooLarge)));
    let much = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    assert!(matches!(database.query(much, &[]).await, Err(SqlError::TooLarge)), "an endless answer stops early");
    let large = database.query("SELECT length(zeroblob(100000000))", &[]).await;
    assert!(matches!(large, Err(SqlError::TooLarge)), "{large:?}: no value is much larger than an answer");
    for statement in [
        format!("SELECT {}1{}", "abs(".repeat(300), ")".repeat(300)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(64)),
    ] {
        let refused = query_of_any_length(&database, &statement).await;
        assert!(matches!(refused, Err(SqlError::Invalid(_))), "{refused:?}: {statement}");
    }
}

/// Runs a statement that may be longer than the database's own bound.
async fn query_of_any_length(database: &Database, statement: &str) -> Result<PackedRows, SqlError> {
    let until = Instant::now() + Duration::from_secs(30);
    let mut lease = database.lease(StatementKind::Read, until).await?;
    lease.query(until, statement, &[], 1024).await
}

#[tokio::test]
async fn a_connection_reaches_nothing_but_its_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    // Past the reading of statements: what SQLite itself lets a connection do.
    for script in [
        "CREATE TEMP TABLE s (a TEXT)",
        "CREATE TEMP VIEW s AS SELECT 1",
        "CREATE TEMP TRIGGER s AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE s USING fts5(a)",
        "ATTACH ':memory:' AS s",
        "DETACH main",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA database_list",
        "SAVEPOINT s",
        "VACUUM INTO 's'",
        "SELECT * FROM pragma_database_list",
        "SELECT * FROM dbstat",
        "SELECT load_extension('s')",
        "SELECT changes()",
        "SELECT last_insert_rowid()",
        "UPDATE sqlite_master SET sql = ''",
    ] {
        let mut tx = database.begin(WRITE).await.expect("begins");
        let refused = tx.script(script).await;
        assert!(matches!(refused, Err(SqlError::Invalid(_))), "{refused:?}: {script}");
    }
    for script in [
        "CREATE TABLE s (a INTEGER PRIMARY KEY AUTOINCREMENT, b TEXT)",
        "CREATE INDEX s_b ON s (b)",
        "CREATE VIEW v AS SELECT b FROM s",
        "ALTER TABLE s ADD COLUMN c TEXT",
        "ALTER TABLE s ADD COLUMN n INTEGER NOT NULL DEFAULT 0 CHECK (n >= 0)",
        "ALTER TABLE s RENAME COLUMN c TO d",
        "ALTER TABLE s RENAME TO r",
        "INSERT INTO r (b) VALUES ('x') ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING a",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT SUM(i) OVER () FROM n",
        "SELECT value FROM json_each('[1]')",
        "DROP VIEW v",
        "DROP TABLE r",
        "ANALYZE",
    ] {
        let mut tx = database.begin(WRITE).await.expect("begins");
        tx.script(script).await.unwrap_or_else(|error| panic!("{script}: {error}"));
        tx.commit().await.expect("commits");
    }
}

#[tokio::test]
async fn the_ledger_is_not_for_guests() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let before = ledger::applied(&database).await.expect("reads");
    assert!(before.contains("0001_t"));
    for statement in [
        "DELETE FROM provesi_migrations",
        "DELETE FROM \"PROVESI_migrations\"",
        "DELETE FROM [provesi_migrations]",
        "DELETE FROM 'provesi_migrations'",
        "DELETE FROM `provesi_migrations`",
        "DELETE FROM main.provesi_migrations",
        "INSERT INTO provesi_migrations (name, checksum) VALUES ('0002_u', '')",
        "WITH x AS (SELECT 1) UPDATE provesi_migrations SET name = ''",
        "INSERT INTO t (x) SELECT checksum FROM provesi_migrations",
    ] {
        let refused = database.execute_for(guest(), statement, &[]).await;
        assert!(matches!(refused, Err(SqlError::Invalid(_))), "{refused:?}: {statement}");
        let mut tx = database.begin_for(guest(), WRITE).await.expect("begins");
        let refused = tx.execute(statement, &[]).await;
        assert!(matches!(refused, Err(SqlError::Invalid(_))), "{refused:?}: {statement}");
    }
    for script in ["DROP TABLE provesi_migrations", "CREATE VIEW v AS SELECT * FROM provesi_migrations"] {
        let refused = ledger::apply(&database, &[migration("0002_u", script)]).await;
        assert!(matches!(refused, Err(ledger::MigrationError::Denied { .. })), "{script}");
    }
    assert_eq!(ledger::applied(&database).await.expect("reads"), before);
}

#[tokio::test]
async fn a_closed_database_answers_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    database.close().await;
    assert!(matches!(database.query("SELECT 1", &[]).await, Err(SqlError::Unavailable(_))));
    assert!(matches!(database.begin(WRITE).await, Err(SqlError::Unavailable(_))));
}

#[tokio::test]
async fn a_changed_migration_and_one_that_leaves_its_transaction_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let known = migration("0001_t", "CREATE TABLE t (id INTEGER PRIMARY KEY, x ANY) STRICT;");
    assert!(ledger::apply(&database, &[known]).await.expect("knows it").is_empty());
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
