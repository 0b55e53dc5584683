//! The task that finishes orders: those that it cannot finish keep no others from it.

use std::time::Duration;

use provesi::db::{Bounds, Cell, Database, Storage, Value};

use crate::support::{Backend, TestApp, eventually};

/// Orders that one run takes up, and some more.
const STUCK: i64 = 40;

/// In which an order is finished that was cut short: the contract's minute.
const RECOVERY: Duration = Duration::from_secs(60);

/// Opens the database of orders beside the host.
async fn orders_database(app: &TestApp) -> Database {
    let (url, wait) = (app.url(), Duration::from_secs(10));
    let bounds = Bounds {
        connections: 2,
        result_bytes: 1 << 20,
        statement_bytes: 1 << 10,
        params_bytes: 1 << 10,
        statement_timeout: wait,
    };
    let storage = match url.as_str() {
        "sqlite:" => Storage::sqlite(app.folder().join("data/db"), wait).expect("the folder is there"),
        url => Storage::postgres(url, wait).await.expect("the server answers"),
    };
    storage.open("orders", bounds).await.expect("the database opens")
}

/// Stores an order that was cut short long ago, the later the higher its number.
async fn cut_short(database: &Database, status: &str, step: &str, number: i64) {
    const INSERT: &str = "INSERT INTO orders (product_id, product_name, units, status, step, total_price_cents, \
        latitude, longitude, created_at, updated_at) \
        VALUES (1, 'Casco de Seguridad', 1, $1, $2, 100, 4.6, -74.0, $3, $3)";
    let params = [Value::Text(status.to_owned()), Value::Text(step.to_owned()), Value::Timestamp(number)];
    database.execute(INSERT, &params).await.expect("stores");
}

async fn count(database: &Database, step: &str) -> i64 {
    let params = [Value::Text(step.to_owned())];
    let rows = database.query("SELECT COUNT(*) FROM orders WHERE step = $1", &params).await.expect("counts");
    let count = rows.rows().next();
    match count.as_deref() {
        Some([Cell::Integer(count)]) => *count,
        other => panic!("no number: {other:?}"),
    }
}

async fn orders_that_cannot_be_finished_keep_no_others_from_it(backend: Backend) {
    let Some(app) = TestApp::start(backend).await else { return };
    let database = orders_database(&app).await;
    for number in 1..=STUCK {
        // Inventory knows nothing of it, as after a loss of its data: there is nothing to take, however often it is
        // asked.
        cut_short(&database, "CONFIRMED", "SETTLE", number).await;
    }
    cut_short(&database, "CANCELLED", "RELEASE", STUCK + 1).await;
    eventually("the last one is finished", RECOVERY, async || count(&database, "RELEASE").await == 0).await;
    assert_eq!(count(&database, "SETTLE").await, STUCK, "the others are as they were");
    database.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_cannot_be_finished_keep_no_others_from_it_on_sqlite() {
    orders_that_cannot_be_finished_keep_no_others_from_it(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_cannot_be_finished_keep_no_others_from_it_on_postgres() {
    orders_that_cannot_be_finished_keep_no_others_from_it(Backend::Postgres).await;
}
