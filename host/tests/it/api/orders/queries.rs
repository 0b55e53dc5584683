//! Lists of orders and their filters.

use super::{CASCO, ids, keys, near_norte, placed};
use crate::support::{Backend, TestApp, on_both_databases};
use serde_json::Value;
use sqlx::{Connection as _, Row as _, SqliteConnection};

/// Places an order and finds it in the list at once, as it was answered.
async fn place_and_look(app: &TestApp, operario: &str) {
    let order = placed(app, "/api/orders/Mascarilla%20N95/", operario, &near_norte(1)).await;
    let list = app.get("/api/orders/?limit=500", operario).await.body;
    assert!(list.as_array().expect("a bare array").contains(&order), "{order} is not in {list}");
}

on_both_databases! {
    async fn orders_are_listed_newest_first_and_filtered(app) {
        let (operario, cliente) = (app.token("operario").await, app.token("cliente").await);
        let id = |order: &Value| order["id"].as_i64().expect("an id");
        let first = placed(app, CASCO, &cliente, &near_norte(1)).await;
        let second = placed(app, "/api/orders/Mascarilla%20N95/", &operario, &near_norte(1)).await;
        let third = app.post(CASCO, &operario, &near_norte(9_000)).await.body["order"].clone();
        let (a, b, c) = (id(&first), id(&second), id(&third));
        let since = second["created_at"].as_str().expect("a time");
        let cases = [
            (String::new(), vec![c, b, a]),
            ("?status=CONFIRMED".to_owned(), vec![b, a]),
            ("?status=REJECTED".to_owned(), vec![c]),
            ("?status=DELIVERED".to_owned(), vec![]),
            ("?customer_id=3".to_owned(), vec![a]),
            ("?product_name=Casco%20de%20Seguridad".to_owned(), vec![c, a]),
            ("?product_name=Casco+de+Seguridad&status=CONFIRMED".to_owned(), vec![a]),
            ("?warehouse_id=1".to_owned(), vec![b, a]),
            (format!("?from={since}"), vec![c, b]),
            (format!("?to={since}"), vec![b, a]),
            ("?to=2000-01-01".to_owned(), vec![]),
            ("?nada=1".to_owned(), vec![c, b, a]),
            ("?limit=2&offset=1".to_owned(), vec![b, a]),
        ];
        for (query, expected) in cases {
            let answer = app.get(&format!("/api/orders/{query}"), &operario).await;
            assert_eq!((answer.status, ids(&answer.body)), (200, expected), "{query}");
        }
        for (query, parameter) in [
            ("status=NADA", "status"),
            ("customer_id=x", "customer_id"),
            ("warehouse_id=x", "warehouse_id"),
            ("from=ayer", "from"),
            ("to=ayer", "to"),
        ] {
            let answer = app.get(&format!("/api/orders/?{query}"), &operario).await;
            assert_eq!((answer.status, keys(&answer.body)), (400, vec![parameter]), "{query}");
            assert!(answer.body[parameter][0].is_string(), "{:?}", answer.body);
        }
        let text = app.get("/api/orders/abc/", &operario).await;
        assert_eq!((text.status, text.header("allow")), (405, "POST"));
        let digits = app.post("/api/orders/5/", &operario, &near_norte(1)).await;
        assert_eq!(digits.status, 405);
        assert!(digits.header("allow").contains("GET"), "{:?}", digits.headers);
        assert!(text.body["detail"].is_string() && digits.body["detail"].is_string());
    }

    async fn an_order_is_in_the_list_as_soon_as_it_is_answered(app) {
        let operario = app.token("operario").await;
        futures::future::join_all((0..12).map(|_| place_and_look(app, &operario))).await;
        assert_eq!(ids(&app.get("/api/orders/?limit=500", &operario).await.body).len(), 12);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rows_of_a_page_are_found_in_the_order_of_an_index() {
    let app = TestApp::start(Backend::Sqlite).await.expect("SQLite needs nothing");
    let file = format!("sqlite://{}/data/db/orders.sqlite3", app.folder().display());
    let mut orders = SqliteConnection::connect(&file).await.expect("the file is there");
    // As `components/orders/src/api/read.rs` asks for them.
    for filter in ["", "WHERE o.customer_id = 1", "WHERE o.status = 'CONFIRMED'"] {
        let page = format!(
            "EXPLAIN QUERY PLAN SELECT o.id, o.product_name FROM orders o {filter} \
             ORDER BY o.created_at DESC, o.id DESC LIMIT 20"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(page)).fetch_all(&mut orders).await.expect("a plan");
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        assert!(!plan.is_empty() && plan.iter().all(|step| step.contains("USING INDEX orders_list")), "{plan:?}");
    }
    app.stop().await;
}
