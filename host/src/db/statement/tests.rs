//! What passes, what does not, and what tries to look like something else.

use super::*;

#[test]
fn plain_data_statements_pass() {
    for (statement, kind) in [
        ("SELECT 1", Kind::Read),
        ("  -- why\n select ';' /* ; */ ;", Kind::Read),
        ("-- of a file from elsewhere\r\nSELECT 1", Kind::Read),
        ("INSERT INTO t (a) VALUES ($1) RETURNING id", Kind::Write),
        ("INSERT OR IGNORE INTO t (a) SELECT b FROM (SELECT 1 AS b) AS x", Kind::Write),
        ("REPLACE INTO t (a) VALUES (1)", Kind::Write),
        ("WITH x AS (SELECT 1) SELECT * FROM x", Kind::Write),
        ("WITH x (a) AS (SELECT 1), y AS (SELECT 2) INSERT INTO t SELECT a FROM x", Kind::Write),
        ("WITH x AS (INSERT INTO t (a) VALUES (1) RETURNING a) SELECT a FROM x", Kind::Write),
        ("UPDATE t SET a = 'it''s; fine' WHERE \"odd;name\" = $12", Kind::Write),
        ("SELECT a[1] FROM t WHERE upgrade = 'a pg_like text' AND ñ = 'ñ'", Kind::Read),
    ] {
        assert_eq!(classify(statement).map(|reading| reading.kind), Ok(kind), "{statement}");
        assert_eq!(classify_for_guest(statement).map(|reading| reading.kind), Ok(kind), "{statement}");
    }
}

#[test]
fn whatever_reaches_out_is_refused() {
    for statement in [
        "",
        ";",
        "  -- only a comment",
        "BEGIN",
        "commit",
        "ROLLBACK",
        "SAVEPOINT a",
        "ATTACH 'x' AS y",
        "PRAGMA user_version",
        "SET ROLE postgres",
        "RESET ROLE",
        "COPY t FROM PROGRAM 'id'",
        "LISTEN c",
        "DO 'x'",
        "CREATE TABLE t (a int)",
        "DROP TABLE t",
        "VACUUM INTO 'x'",
        "EXPLAIN SELECT 1",
        "SELECT 1; COMMIT",
        "SELECT 1;;; SELECT 2",
        "SELECT '",
        "SELECT /* /* */ 1",
        "SELECT /*",
        "SELECT 1 /*/",
        "SELECT $0",
        "SELECT $01",
        "SELECT E'\\'; COMMIT --'",
        "SELECT $$;$$",
        "SELECT $a$;$a$",
        "(SELECT 1)",
        "SELECT 1\0",
        "SELECT 1 -- \r; COMMIT",
        "SELECT [a'] FROM t; COMMIT --'",
        "SELECT `a` FROM t",
    ] {
        assert!(classify(statement).is_err(), "{statement:?} passed");
    }
}

#[test]
fn a_select_makes_no_table() {
    for statement in [
        "SELECT 1 AS a INTO t",
        "select 1 as a into temp t",
        "SELECT (1) insert INTO t",
        "WITH x AS (SELECT 1) SELECT * INTO t FROM x",
        "WITH x AS (SELECT 1) SELECT (1) insert INTO t FROM x",
        "WITH insert AS (SELECT 1) SELECT (1) INTO t",
        "INSERT INTO t SELECT 1 INTO u",
        "VALUES (1) INTO t",
        "SELECT (SELECT 1 INTO t)",
    ] {
        assert!(classify(statement).is_err(), "{statement:?} passed");
    }
}

#[test]
fn a_guest_does_not_name_what_is_not_its_own() {
    for statement in [
        "SELECT * FROM provesi_migrations",
        "DELETE FROM \"provesi_migrations\"",
        "DELETE FROM 'Provesi_Migrations'",
        "DELETE FROM [provesi_migrations]",
        "DELETE FROM main.provesi_migrations",
        "SELECT/**/pg_advisory_lock(1)",
        "SELECT 1pg_advisory_lock(1)",
        "SELECT \"pg_catalog\".\"set_config\"('a', 'b', false)",
        "SELECT set_config('a', 'b', false)",
        "SELECT U&\"!0070g_sleep\" UESCAPE '!' (1)",
        "SELECT query_to_xml('select 1', true, false, '')",
        "SELECT table_to_xml($1::regclass, true, false, '')",
        "SELECT lastval()",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM pragma_database_list",
        "SELECT [a'], name FROM provesi_migrations, (SELECT 1 AS [a'])",
        "SELECT 1 -- \rFROM provesi_migrations",
    ] {
        assert!(classify_for_guest(statement).is_err(), "{statement:?} passed");
    }
    assert!(classify("SELECT name FROM provesi_migrations").is_ok(), "the host may");
}

#[test]
fn a_guest_notes_what_it_has_handled_in_these_words_only() {
    let reading = classify_for_guest(NOTE_HANDLED).expect("the SDK's statement passes");
    assert_eq!((reading.kind, reading.parameters), (Kind::Write, 2));
    for statement in [
        format!("{NOTE_HANDLED} RETURNING event_id"),
        format!("{NOTE_HANDLED}; DELETE FROM provesi_inbox"),
        NOTE_HANDLED.replace("DO NOTHING", "(event_id) DO UPDATE SET handled_us = 0"),
        NOTE_HANDLED.to_ascii_lowercase(),
        "SELECT event_id FROM provesi_inbox".to_owned(),
        "DELETE FROM provesi_inbox".to_owned(),
        "INSERT INTO provesi_outbox (id, topic, key, time_us, payload) VALUES ($1, $2, $3, $4, $5)".to_owned(),
    ] {
        assert!(classify_for_guest(&statement).is_err(), "{statement:?} passed");
    }
}

#[test]
fn a_migration_cannot_end_its_own_transaction() {
    assert_eq!(check_migration("CREATE TABLE t (a TEXT);\n-- next\nCREATE INDEX i ON t (a);\n"), Ok(()));
    for script in ["CREATE TABLE t (a TEXT); COMMIT;", "pragma journal_mode = off", "/* x */ end", "SELECT '"] {
        assert!(check_migration(script).is_err(), "{script:?} passed");
    }
}

#[test]
fn a_migration_changes_its_own_tables_and_nothing_else() {
    for script in [
        "CREATE UNIQUE INDEX i ON t (a); CREATE OR REPLACE VIEW v AS SELECT a FROM t",
        "ALTER TABLE t ADD COLUMN b TEXT; UPDATE t SET b = 'x'; DROP TABLE u;",
        "INSERT INTO t (a) VALUES (1), (2); CREATE TABLE copy AS SELECT * FROM t",
        "CREATE TABLE IF NOT EXISTS t (function TEXT)",
    ] {
        assert_eq!(check_migration(script), Ok(()), "{script}");
    }
    for script in [
        "CREATE TEMP TABLE t (a TEXT)",
        "CREATE TEMPORARY VIEW v AS SELECT 1",
        "CREATE VIRTUAL TABLE t USING fts5(a)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1'",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1'",
        "CREATE EXTENSION dblink",
        "CREATE TRIGGER t AFTER INSERT ON u BEGIN DELETE FROM v; END",
        "CREATE ROLE r SUPERUSER",
        "ALTER ROLE r PASSWORD 'x'",
        "ALTER DATABASE d SET statement_timeout = 0",
        "DROP DATABASE d",
        "GRANT ALL ON t TO r",
        "SET statement_timeout = 0",
        "DO 'begin end'",
        "COPY t FROM PROGRAM 'id'",
        "DROP TABLE provesi_migrations",
        "CREATE VIEW v AS SELECT * FROM provesi_migrations",
        "CREATE TABLE t (a TEXT DEFAULT set_config('a', 'b', false))",
        "SELECT 1 AS a INTO t",
    ] {
        assert!(check_migration(script).is_err(), "{script:?} passed");
    }
}

#[test]
fn the_highest_parameter_is_counted() {
    for (statement, parameters) in
        [("SELECT 1", 0), ("SELECT $1, $2", 2), ("SELECT $3 WHERE $1 = $1", 3), ("SELECT '$2' -- $3\n, $1", 1)]
    {
        assert_eq!(classify(statement).map(|reading| reading.parameters), Ok(parameters), "{statement}");
    }
    assert!(classify("SELECT $32767").is_err());
}
