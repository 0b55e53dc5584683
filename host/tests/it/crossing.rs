//! What a hostile component tries with SQL, on each database: other files, other databases, credentials, the session,
//! more rights, locks, the host's own ledger. All of it is denied, and no denial tells where anything is.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::support::{Backend, TestApp, fixture, service};

/// Attempts with one purpose.
type Attempts = (&'static str, &'static [&'static str]);

const ON_SQLITE: &[Attempts] = &[
    (
        "other files",
        &[
            "ATTACH '/etc/passwd' AS x",
            "ATTACH DATABASE 'file:products.sqlite3?mode=ro' AS x",
            "SELECT 1; ATTACH 'products.sqlite3' AS x",
            "DETACH main",
            "VACUUM INTO '/tmp/x'",
            "SELECT load_extension('x')",
            "SELECT \"load_extension\"('x', 'y')",
            "SELECT readfile('/etc/passwd')",
            "SELECT writefile('/tmp/x', 'y')",
            "SELECT fts3_tokenizer('simple')",
            "SELECT * FROM fsdir('/')",
            "CREATE VIRTUAL TABLE x USING csv(filename = '/etc/passwd')",
            ".read /etc/passwd",
        ],
    ),
    (
        "other databases",
        &[
            "SELECT * FROM users",
            "SELECT * FROM products",
            "SELECT * FROM products.products",
            "SELECT * FROM \"products.sqlite3\".products",
            "SELECT * FROM provesi_host.revocations",
            "SELECT * FROM temp.x",
        ],
    ),
    (
        "where the files are, and how the library was built",
        &[
            "PRAGMA database_list",
            "SELECT file FROM pragma_database_list",
            "SELECT * FROM \"pragma_database_list\"()",
            "SELECT * FROM pragma_compile_options",
            "SELECT sqlite_source_id()",
            "SELECT sqlite_compileoption_get(1)",
            "SELECT * FROM dbstat",
            "SELECT * FROM sqlite_dbpage",
        ],
    ),
    (
        "the session",
        &[
            "PRAGMA foreign_keys = OFF",
            "PRAGMA journal_mode = OFF",
            "SELECT * FROM pragma_foreign_keys",
            "CREATE TEMP TABLE x (a)",
            "CREATE TEMP VIEW x AS SELECT 1",
            "CREATE TEMP TRIGGER x AFTER INSERT ON marks BEGIN SELECT 1; END",
            "SELECT last_insert_rowid()",
            "SELECT changes()",
            "SELECT total_changes()",
            "EXPLAIN SELECT 1",
        ],
    ),
    (
        "transactions and locks",
        &[
            "BEGIN",
            "BEGIN EXCLUSIVE",
            "COMMIT",
            "END",
            "ROLLBACK",
            "SAVEPOINT x",
            "RELEASE x",
            "SELECT 1; COMMIT",
            "SELECT 1 -- \r; COMMIT",
            "SELECT [x'] FROM marks; COMMIT --'",
        ],
    ),
    (
        "more rights",
        &[
            "CREATE TABLE x (a)",
            "DROP TABLE marks",
            "ALTER TABLE marks RENAME TO x",
            "CREATE TRIGGER x AFTER INSERT ON marks BEGIN DELETE FROM marks; END",
            "CREATE VIRTUAL TABLE x USING fts5(a)",
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_master SET sql = ''",
            "DELETE FROM main.sqlite_schema",
            "INSERT INTO \"sqlite_master\" (name) VALUES ('x')",
        ],
    ),
    ("the ledger", LEDGER),
    (
        "the ledger, written as SQLite alone would read it",
        &[
            "DELETE FROM [provesi_migrations]",
            "DELETE FROM `provesi_migrations`",
            "DELETE FROM 'provesi_migrations'",
            "DELETE FROM main.provesi_migrations",
            "SELECT [x'], name FROM provesi_migrations, (SELECT 1 AS [x'])",
        ],
    ),
];

const ON_POSTGRES: &[Attempts] = &[
    (
        "files of the server",
        &[
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT pg_read_binary_file('/etc/passwd')",
            "SELECT * FROM pg_ls_dir('/')",
            "SELECT pg_stat_file('/etc/passwd')",
            "SELECT * FROM pg_hba_file_rules",
            "SELECT lo_import('/etc/passwd')",
            "SELECT lo_export(1, '/tmp/x')",
            "COPY marks TO '/tmp/x'",
            "COPY marks FROM PROGRAM 'id'",
            "LOAD 'x'",
        ],
    ),
    (
        "other databases",
        &[
            "SELECT * FROM users",
            "SELECT * FROM products_db.public.products",
            "WITH x AS (SELECT 1) SELECT * FROM dblink('dbname=products_db', 'SELECT 1') AS t(a int)",
            "SELECT dblink_connect('dbname=products_db')",
            "CREATE EXTENSION dblink",
            "CREATE SERVER x FOREIGN DATA WRAPPER postgres_fdw",
            "SELECT datname FROM pg_database",
            "\\c products_db",
        ],
    ),
    (
        "credentials and addresses",
        &[
            "SELECT * FROM pg_authid",
            "SELECT passwd FROM pg_shadow",
            "SELECT rolname FROM pg_catalog.pg_roles",
            "SELECT client_addr, query FROM pg_stat_activity",
            "SELECT inet_server_addr(), inet_server_port()",
            "SELECT inet_client_addr()",
            "SELECT current_setting('listen_addresses')",
            "SELECT \"current_setting\"('data_directory')",
            "SELECT name, setting FROM pg_settings",
            "SHOW data_directory",
        ],
    ),
    (
        "the session",
        &[
            "SET search_path TO x",
            "SELECT set_config('search_path', 'x', false)",
            "SELECT pg_catalog.\"set_config\"('x.y', 'z', false)",
            "RESET ALL",
            "DISCARD ALL",
            "CREATE TEMP TABLE x (a int)",
            "SELECT 1 AS a INTO TEMP x",
            "SELECT (1) insert INTO TEMP x",
            "WITH y AS (SELECT 1 AS a) SELECT a INTO TEMP x FROM y",
            "PREPARE x AS SELECT 1",
            "EXECUTE sqlx_s_1",
            "DECLARE x CURSOR WITH HOLD FOR SELECT 1",
            "SELECT setseed(0.5)",
            "SELECT lastval()",
            "SELECT currval('x')",
        ],
    ),
    (
        "what other sessions hear",
        &["LISTEN x", "UNLISTEN *", "NOTIFY x", "SELECT pg_notify('x', 'y')", "SELECT pg_listening_channels()"],
    ),
    (
        "transactions, locks and other sessions",
        &[
            "BEGIN",
            "COMMIT",
            "SAVEPOINT x",
            "SELECT 1; COMMIT",
            "SELECT 1 --\r; COMMIT",
            "LOCK TABLE marks",
            "SELECT pg_advisory_lock(1)",
            "SELECT pg_try_advisory_lock_shared(1)",
            "SELECT pg_terminate_backend(pg_backend_pid())",
            "SELECT pg_cancel_backend(1)",
            "SELECT pg_sleep(60)",
            "SELECT U&\"!0070g_sleep\" UESCAPE '!' (60)",
        ],
    ),
    (
        "more rights",
        &[
            "SET ROLE postgres",
            "SET SESSION AUTHORIZATION postgres",
            "SELECT set_config('role', 'postgres', false)",
            "ALTER ROLE faulty_service SUPERUSER",
            "ALTER ROLE faulty_service PASSWORD 'x'",
            "CREATE ROLE x SUPERUSER",
            "GRANT postgres TO faulty_service",
            "ALTER SYSTEM SET port = 1",
            "DO 'BEGIN END'",
            "CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "DROP DATABASE products_db",
            "DROP TABLE marks",
            "SELECT lo_creat(-1)",
        ],
    ),
    ("the ledger", LEDGER),
    (
        "the ledger, in the words of PostgreSQL alone",
        &[
            "DELETE FROM public.provesi_migrations",
            "TRUNCATE provesi_migrations",
            "TABLE provesi_migrations",
            "SELECT table_to_xml('provesi_migrations', true, false, '')",
            "SELECT query_to_xml('SELECT * FROM provesi_' || 'migrations', true, false, '')",
            "SELECT database_to_xml(true, false, '')",
            "SELECT ts_stat('SELECT name FROM provesi_' || 'migrations')",
        ],
    ),
];

const LEDGER: &[&str] = &[
    "SELECT name, checksum FROM provesi_migrations",
    "INSERT INTO provesi_migrations (name, checksum) VALUES ('0009_x', '')",
    "UPDATE Provesi_Migrations SET checksum = ''",
    "DELETE FROM \"provesi_migrations\"",
    "INSERT INTO marks (id) SELECT COUNT(*) FROM provesi_migrations",
    "WITH x AS (SELECT 1) DELETE FROM provesi_migrations",
    "DROP TABLE provesi_migrations",
];

mod a_component_reaches_nothing_but_its_own_tables {
    use super::{Backend, ON_POSTGRES, ON_SQLITE, nothing_is_reached};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        nothing_is_reached(Backend::Sqlite, ON_SQLITE).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        nothing_is_reached(Backend::Postgres, ON_POSTGRES).await;
    }
}

async fn nothing_is_reached(backend: Backend, attempts: &[Attempts]) {
    let faulty = service("faulty", &fixture("faulty"), "\"sql\"");
    let Some(app) = TestApp::start_with(backend, &faulty).await else { return };
    assert!(attempts.iter().map(|(_, statements)| statements.len()).sum::<usize>() >= 40);
    for (statement, rows) in [("SELECT 1", 1), ("INSERT INTO marks (id) VALUES (1)", 0), ("DELETE FROM marks", 0)] {
        let answer = app.get(&path("statement", statement), "").await;
        assert_eq!((answer.status, &answer.body), (200, &json!({ "Ok": rows })), "{statement}");
    }
    let folder = app.folder().display().to_string();
    let secrets = ["secret", "127.0.0.1", "postgres://", ".sqlite3", folder.as_str()];
    for (purpose, statement) in attempts.iter().flat_map(|(purpose, all)| all.iter().map(move |one| (purpose, one))) {
        for operation in ["statement", "execute"] {
            let answer = app.get(&path(operation, statement), "").await;
            let Some(reason) = answer.body["Err"].as_str().filter(|_| answer.status == 200) else {
                panic!("{purpose}: {operation} of {statement:?} was not denied: {:?}", answer.body);
            };
            // What the component has said itself may come back to it.
            let told = secrets.iter().find(|secret| reason.contains(**secret) && !statement.contains(**secret));
            assert_eq!(told, None, "{purpose}: {statement:?} is told {reason:?}");
        }
    }
    assert_eq!(app.get("/api/faulty/marks/", "").await.body, json!(0), "an attempt has written");
    assert_eq!(app.get("/api/products/1/", "").await.status, 200, "a neighbour");
    app.stop().await;
}

fn path(operation: &str, statement: &str) -> String {
    format!("/api/faulty/{operation}/?sql={}", utf8_percent_encode(statement, NON_ALPHANUMERIC))
}
