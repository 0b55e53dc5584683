//! Two hosts on one database, as far as one process can play them; `tests/it` has two processes on PostgreSQL.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::db::{Bounds, Storage};

async fn database(folder: &std::path::Path) -> Arc<Database> {
    let storage = Storage::sqlite(folder.to_owned(), Duration::from_secs(5)).expect("a folder");
    let bounds = Bounds {
        connections: 4,
        result_bytes: 1 << 20,
        statement_bytes: 64 << 10,
        params_bytes: 64 << 10,
        statement_timeout: Duration::from_secs(10),
    };
    let database = Arc::new(storage.open("host", bounds).await.expect("opens"));
    crate::events::prepare(&database).await.expect("makes the tables");
    database
}

fn hosts(database: &Arc<Database>) -> (Leases, Leases) {
    let host = |name: &str| Leases::of_host(Arc::clone(database), name.to_owned());
    (host("first"), host("second"))
}

async fn set_end(database: &Database, difference: i64) {
    let statement = format!("UPDATE leases SET until_us = {} + $1", database.clock());
    database.execute(&statement, &[Value::Integer(difference)]).await.expect("sets it");
}

#[tokio::test]
async fn one_host_at_a_time_holds_a_lease() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let (first, second) = hosts(&database);
    assert!(first.acquire("x").await.expect("answers"));
    assert!(first.acquire("x").await.expect("answers"), "its own it gets again");
    assert!(!second.acquire("x").await.expect("answers"));
    assert!(second.acquire("y").await.expect("answers"), "another lease");
    second.release("x").await.expect("answers");
    assert!(!second.acquire("x").await.expect("answers"), "what it does not hold it cannot give back");
    first.release("x").await.expect("answers");
    assert!(second.acquire("x").await.expect("answers"));
    assert!(!first.renew("x").await.expect("answers"), "what was given back is not renewed");
    assert!(second.renew("x").await.expect("answers"));
}

#[tokio::test]
async fn a_lease_that_was_not_renewed_is_free() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let (first, second) = hosts(&database);
    assert!(first.acquire("x").await.expect("answers"));
    set_end(&database, 9_000_000).await;
    assert!(!second.acquire("x").await.expect("answers"));
    set_end(&database, -1).await;
    assert!(second.acquire("x").await.expect("answers"));
    assert!(!first.renew("x").await.expect("answers"));
}

#[tokio::test]
async fn a_clock_that_is_put_back_leaves_no_lease_forever() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let (first, second) = hosts(&database);
    assert!(first.acquire("x").await.expect("answers"));
    set_end(&database, 3_600_000_000).await;
    assert!(second.acquire("x").await.expect("answers"), "no lease lasts an hour");
}

#[tokio::test]
async fn a_new_process_on_its_own_database_waits_for_no_dead_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let (first, _) = hosts(&database);
    assert!(first.acquire("x").await.expect("answers"));
    let next = Leases::open(Arc::clone(&database)).await.expect("opens");
    assert!(next.acquire("x").await.expect("answers"));
}

#[tokio::test]
async fn a_work_begins_with_the_lease_and_ends_with_the_word_to_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let (first, second) = hosts(&database);
    let stop = CancellationToken::new();
    let begun = AtomicU32::new(0);
    let held = || async {
        begun.fetch_add(1, Ordering::SeqCst);
        stop.cancel();
        std::future::pending::<()>().await;
    };
    let run = first.run("x", &stop, held, std::future::pending::<()>);
    tokio::time::timeout(Duration::from_secs(30), run).await.expect("it ends");
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    assert!(second.acquire("x").await.expect("answers"), "it was given back");
}
