//! What clients see while a service that others call is broken, and what is left once it is repaired.

use std::time::Duration;

use crate::support::{Backend, ORDERS_GRANTS, Setup, TestApp, database, eventually, fixture, root, send, service};
use provesi::db::Database;
use serde_json::{Value, json};

/// Within a minute of restart nothing is left half done, see DOMAIN.md §6.
const RECOVERED: Duration = Duration::from_secs(60);

const CASCO: &str = "/api/orders/Casco%20de%20Seguridad/";
const NO_INVENTORY: &str = "Error al comunicarse con el servicio de inventario";
const NO_PRODUCTS: &str = "Error al comunicarse con el servicio de productos";

/// A stock that breaks under each call, in place of inventory.
fn bad_stock(keys: &str) -> String {
    service("badpeer", &fixture("badpeer"), "\"sql\"") + keys
}

fn order() -> Value {
    json!({ "product": "Casco de Seguridad", "units": 5, "lat": 4.711, "lon": -74.072 })
}

async fn orders(app: &TestApp, operario: &str) -> Vec<Value> {
    let answer = app.get("/api/orders/", operario).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body.as_array().expect("a bare array").clone()
}

/// Checks that all orders were rejected and none says that it has a warehouse.
fn assert_rejected(orders: &[Value], count: usize) {
    assert_eq!(orders.len(), count, "{orders:?}");
    for order in orders {
        let seen = (&order["status"], &order["warehouse_id"], &order["confirmed_at"]);
        assert_eq!(seen, (&json!("REJECTED"), &Value::Null, &Value::Null), "{order}");
    }
}

/// Counts the orders that still have something to do at their peers.
async fn unfinished(database: &Database) -> i64 {
    database::number(database, "SELECT COUNT(*) FROM orders WHERE step IS NOT NULL", &[]).await
}

async fn a_trapping_stock_rejects_orders_and_is_told_once_repaired(backend: Backend) {
    let Some(app) = TestApp::start(backend).await else { return };
    app.deploy("inventory", &fixture("badpeer")).await;
    let (operario, cliente) = (app.token("operario").await, app.token("cliente").await);
    for path in [CASCO, "/api/orders/create/"] {
        let answer = app.post(path, &cliente, &order()).await;
        assert_eq!((answer.status, answer.body), (503, json!({ "error": NO_INVENTORY })), "{path}");
        assert_eq!(app.get("/api/products/1/", "").await.status, 200, "a neighbour after {path}");
    }
    assert_rejected(&orders(&app, &operario).await, 2);
    let cancelled = send(app.request("POST", "/api/orders/1/cancel/").bearer_auth(&operario)).await;
    assert_eq!(cancelled.status, 409, "rejected is final: {:?}", cancelled.body);
    let database = app.database("orders").await;
    assert_eq!(unfinished(&database).await, 2, "what they may hold is still to be given back");

    app.deploy("inventory", &root().join("target/components/inventory.wasm")).await;
    eventually("the orders are given back", RECOVERED, async || unfinished(&database).await == 0).await;
    database.close().await;
    assert_rejected(&orders(&app, &operario).await, 2);
    let stock = app.get("/api/inventory/Casco%20de%20Seguridad/", &operario).await.body;
    assert_eq!((&stock[0]["quantity"], &stock[0]["reserved_quantity"]), (&json!(150), &json!(0)));
    let placed = app.post(CASCO, &cliente, &order()).await;
    assert_eq!((placed.status, &placed.body["confirmed"]), (200, &json!(true)), "{:?}", placed.body);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trapping_stock_rejects_orders_and_is_told_once_repaired_on_sqlite() {
    a_trapping_stock_rejects_orders_and_is_told_once_repaired(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trapping_stock_rejects_orders_and_is_told_once_repaired_on_postgres() {
    a_trapping_stock_rejects_orders_and_is_told_once_repaired(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_that_never_answers_costs_an_order_no_more_than_its_deadline() {
    let more = bad_stock("limits = { deadline = \"200ms\" }\nconfig = { fault = \"loop\" }\n");
    let services = &["auth", "products", "orders"];
    let app = TestApp::start_as(&Setup { services, more: &more, ..Setup::default() }).await;
    let (operario, cliente) = (app.token("operario").await, app.token("cliente").await);
    let body = order();
    let placing = futures::future::join_all((0..3).map(|_| app.post(CASCO, &cliente, &body)));
    let others = async {
        for _ in 0..20 {
            assert_eq!(app.get("/api/products/1/", "").await.status, 200);
        }
    };
    let (answers, ()) = futures::join!(placing, others);
    for answer in answers {
        assert_eq!((answer.status, answer.body), (503, json!({ "error": NO_INVENTORY })));
    }
    assert_rejected(&orders(&app, &operario).await, 3);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_time_ran_out_at_a_peer_is_not_left_pending() {
    // Both have the same time, so that the order's own is over when the stock's is.
    let limits = "limits = { deadline = \"2s\" }\n";
    let more = bad_stock(&format!("{limits}config = {{ fault = \"loop\" }}\n"))
        + &service("orders", &root().join("target/components/orders.wasm"), ORDERS_GRANTS)
        + limits;
    let app = TestApp::start_as(&Setup { services: &["auth", "products"], more: &more, ..Setup::default() }).await;
    let (operario, cliente) = (app.token("operario").await, app.token("cliente").await);
    let answer = app.post(CASCO, &cliente, &order()).await;
    assert!(matches!(answer.status, 503 | 504), "{} {:?}", answer.status, answer.body);
    assert!(answer.body["error"].is_string(), "{:?}", answer.body);
    let rejected = async || orders(&app, &operario).await.iter().all(|order| order["status"] == "REJECTED");
    eventually("the order is rejected", RECOVERED, rejected).await;
    assert_rejected(&orders(&app, &operario).await, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trapping_catalogue_stops_what_needs_it_and_nothing_else() {
    let app = TestApp::start(Backend::Sqlite).await.expect("SQLite needs nothing");
    app.deploy("products", &fixture("badcatalog")).await;
    let (operario, cliente) = (app.token("operario").await, app.token("cliente").await);
    let restock = json!({ "units": 5, "warehouse": "Bodega Norte" });
    for answer in [
        app.post(CASCO, &cliente, &order()).await,
        app.post("/api/orders/create/", &cliente, &order()).await,
        app.get("/api/inventory/Casco%20de%20Seguridad/", &operario).await,
        app.post("/api/inventory/Casco%20de%20Seguridad/restock/", &operario, &restock).await,
    ] {
        assert_eq!((answer.status, answer.body), (503, json!({ "error": NO_PRODUCTS })));
    }
    assert_eq!(orders(&app, &operario).await, Vec::<Value>::new(), "nothing was stored");
    let norte = app.get("/api/warehouses/1/", "").await;
    assert_eq!((norte.status, &norte.body["current_stock"]), (200, &json!(2260)), "no stock was taken or added");
    assert_eq!(app.get("/api/auth/profile/", &cliente).await.status, 200);
    assert_eq!(app.get("/api/products/1/", "").await.status, 404, "nobody has that route now");

    app.deploy("products", &root().join("target/components/products.wasm")).await;
    let placed = app.post(CASCO, &cliente, &order()).await;
    assert_eq!((placed.status, &placed.body["confirmed"]), (200, &json!(true)), "{:?}", placed.body);
    app.stop().await;
}
