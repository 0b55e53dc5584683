//! Every danger of the fixture `dangers`, each a component of its own, deployed and met: it ends as it should, its
//! neighbours answer, and the host holds no more than before.
//!
//! `docs/dangers.md` is the same as a table.

mod arena;
mod component;
mod expected;
#[path = "../fixtures/dangers/src/list.rs"]
mod list;
mod table;
mod usage;

use std::time::Duration;

use futures::future::join_all;
use provesi::db::Database;

use self::arena::Arena;
use self::expected::expected;
use self::list::{ALL, Danger, Description, Endless, Sql};
use crate::support::{Backend, Process, Setup, TestApp, Usage, database, eventually, root, send};

/// Requests at once that open all that a host opens by and by.
const BURST: usize = 16;

/// Longest wait for a session of the database to come to rest.
const REST: Duration = Duration::from_secs(15);

/// Most that a danger may write to the log: the lines of a few instances at their full length, and their escapes.
const MOST_LOG: u64 = 4 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_danger_ends_as_it_should_and_leaves_nothing_behind() {
    let process = Process::start(Backend::Sqlite).await.expect("SQLite needs nothing");
    let arena = Arena::of_process(&process);
    open_everything(&arena, &process).await;
    let before = Usage::at_rest(&process).await;
    let mut met = 0;
    for family in ALL.chunk_by(|(_, one), (_, other)| std::mem::discriminant(one) == std::mem::discriminant(other)) {
        for (name, danger) in family {
            let log = log_bytes(&process);
            arena.meet(name, *danger).await;
            let written = log_bytes(&process) - log;
            assert!(written < MOST_LOG, "{name} wrote {written} bytes to the log");
        }
        met += family.len();
        let (last, _) = family.last().expect("a family has members");
        usage::comes_back(&process, before, met, last).await;
    }
    // What hashes passwords is free again, too.
    process.token("operario").await;
}

/// Opens what a host opens once somebody wants it, so that nothing of it is taken for a leak later.
async fn open_everything(arena: &Arena, process: &Process) {
    let opens = |danger: Danger| {
        matches!(danger, Danger::Sql(Sql::ThousandTransactions) | Danger::Endless(Endless::HashesPasswordsWithoutEnd))
    };
    for (name, danger) in ALL.iter().filter(|(_, danger)| opens(*danger)) {
        arena.meet(name, *danger).await;
    }
    let asks = (0..BURST).flat_map(|_| {
        [process.request("GET", "/api/products/"), arena.operate("GET", "/v1/services/dangers/revisions")]
    });
    for answer in join_all(asks.map(send)).await {
        assert_eq!(answer.status, 200, "{:?}", answer.body);
    }
    process.token("operario").await;
}

/// Returns how much the first start of a host has written.
fn log_bytes(process: &Process) -> u64 {
    std::fs::metadata(process.data().with_file_name("host-1.log")).expect("the host has a log").len()
}

/// Meets all dangers to the database, after each of which nothing is open in it.
async fn dangers_to_the_database_leave_nothing_open(backend: Backend) {
    let setup = Setup { services: &["products"], ..Setup::default() };
    let Some(app) = TestApp::start_on(backend, &setup).await else { return };
    let arena = Arena::of_app(&app);
    for (name, danger) in ALL.iter().filter(|(_, danger)| matches!(danger, Danger::Sql(_))) {
        arena.meet(name, *danger).await;
        if backend == Backend::Postgres {
            let database = app.database("dangers").await;
            let what = format!("no session is busy after {name}");
            eventually(&what, REST, async || busy_sessions(&database).await == 0).await;
            database.close().await;
        }
    }
    app.stop().await;
}

mod dangers_to_the_database_leave_nothing_open_on {
    use crate::support::Backend;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        super::dangers_to_the_database_leave_nothing_open(Backend::Sqlite).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        super::dangers_to_the_database_leave_nothing_open(Backend::Postgres).await;
    }
}

/// Counts the dangers' other sessions that run a statement or have a transaction open.
async fn busy_sessions(database: &Database) -> i64 {
    let statement = "SELECT COUNT(*) FROM pg_stat_activity \
                     WHERE usename = current_user AND pid <> pg_backend_pid() AND state <> 'idle'";
    database::number(database, statement, &[]).await
}

#[test]
fn every_danger_stands_in_the_table_of_the_docs() {
    let docs = std::fs::read_to_string(root().join("docs/dangers.md")).expect("the table");
    let rows = docs.lines().filter(|line| line.starts_with("| `"));
    // Danger, what it does, outcome, evidence; nothing stands before the first stroke and behind the last.
    let rows: Vec<Vec<&str>> = rows.map(|line| line.split('|').map(str::trim).collect()).collect();
    let told: Vec<&str> = rows.iter().map(|row| row[1].trim_matches('`')).collect();
    let known: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(told, known, "docs/dangers.md tells of others than the fixture has");
    for ((name, danger), row) in ALL.iter().zip(&rows) {
        let [_, _, _, outcome, evidence, _] = row[..] else { panic!("four columns, not {row:?}") };
        assert!(expected(*danger).is_told_by(outcome), "{name} ends as {:?}, not {outcome:?}", expected(*danger));
        let tests: Vec<&str> = evidence.split(", ").collect();
        let is_sql = matches!(danger, Danger::Sql(_));
        let is_migration =
            matches!(danger, Danger::Description(Description::MigratesBadly | Description::MigrationCommits));
        let named = (tests.contains(&"H"), tests.contains(&"D"), tests.contains(&"M"));
        assert_eq!(named, (true, is_sql, is_migration), "{name}: {evidence}");
    }
}
