//! Orders: placement, refusals, access, lists, changes of status, keys, and many at once.

use crate::support::{Answer, TestApp, on_both_databases, send};
use serde_json::{Value, json};

const CASCO: &str = "/api/orders/Casco%20de%20Seguridad/";

const ORDER_KEYS: [&str; 18] = [
    "confirmed_at",
    "created_at",
    "customer_id",
    "customer_name",
    "delivered_at",
    "delivery_address",
    "delivery_zone",
    "id",
    "notes",
    "product_id",
    "product_name",
    "status",
    "status_display",
    "total_price",
    "units",
    "updated_at",
    "warehouse_id",
    "warehouse_name",
];

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Says whether a value is a time as the contract writes it: microseconds, at −05:00.
fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 32 && text.as_bytes()[19] == b'.' && text.ends_with("-05:00"))
}

fn ids(list: &Value) -> Vec<i64> {
    list.as_array().expect("a bare array").iter().map(|item| item["id"].as_i64().expect("an id")).collect()
}

/// An order of so many units from beside Bodega Norte.
fn near_norte(units: i64) -> Value {
    json!({ "units": units, "lat": 4.711, "lon": -74.072 })
}

/// Places an order that is confirmed, and returns it.
async fn placed(app: &TestApp, path: &str, token: &str, body: &Value) -> Value {
    let answer = app.post(path, token, body).await;
    assert_eq!((answer.status, &answer.body["confirmed"]), (200, &json!(true)), "{:?}", answer.body);
    answer.body["order"].clone()
}

/// Returns quantity and reserved quantity of a product's rows, by id.
async fn stock(app: &TestApp, operario: &str, product: &str) -> Vec<(i64, i64)> {
    let answer = app.get(&format!("/api/inventory/{product}/"), operario).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let number = |value: &Value| value.as_i64().expect("a number");
    let rows = answer.body.as_array().expect("a bare array").iter();
    rows.map(|row| (number(&row["quantity"]), number(&row["reserved_quantity"]))).collect()
}

async fn keyed(app: &TestApp, path: &str, token: &str, key: &str, body: &Value) -> Answer {
    send(app.request("POST", path).bearer_auth(token).header("Idempotency-Key", key).json(body)).await
}

/// Places an order and finds it in the list at once, as it was answered.
async fn place_and_look(app: &TestApp, operario: &str) {
    let order = placed(app, "/api/orders/Mascarilla%20N95/", operario, &near_norte(1)).await;
    let list = app.get("/api/orders/?limit=500", operario).await.body;
    assert!(list.as_array().expect("a bare array").contains(&order), "{order} is not in {list}");
}

on_both_databases! {
    async fn a_manual_order_is_placed_in_the_nearest_warehouse(app) {
        let (operario, cliente) = (app.token("operario").await, app.token("cliente").await);
        let answer = app.post(CASCO, &cliente, &near_norte(5)).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert_eq!(keys(&answer.body), ["confirmed", "order"]);
        assert_eq!(answer.body["confirmed"], true);
        let order = &answer.body["order"];
        assert_eq!(keys(order), ORDER_KEYS);
        for time in ["created_at", "updated_at", "confirmed_at"] {
            assert!(is_time(&order[time]), "{time} {order}");
        }
        let expected = json!({
            "id": order["id"], "product_id": 1, "product_name": "Casco de Seguridad", "units": 5,
            "status": "CONFIRMED", "status_display": "Confirmado", "warehouse_id": 1,
            "warehouse_name": "Bodega Norte", "customer_id": 3, "customer_name": "Maria Garcia",
            "delivery_address": null, "delivery_zone": null, "total_price": "225000.00", "notes": null,
            "created_at": order["created_at"], "updated_at": order["updated_at"],
            "confirmed_at": order["confirmed_at"], "delivered_at": null,
        });
        assert_eq!(*order, expected);
        let read = app.get(&format!("/api/orders/{}/", order["id"]), &cliente).await;
        assert_eq!((read.status, &read.body), (200, order));
        assert_eq!(stock(app, &operario, "Casco%20de%20Seguridad").await, [(145, 0), (200, 0), (100, 0)]);

        // Staff may order for nobody and for a customer.
        let body = json!({ "units": 1, "lat": 4.57, "lon": -74.29 });
        let order = placed(app, CASCO, &operario, &body).await;
        assert_eq!(order["warehouse_name"], "Bodega Sur");
        assert_eq!((&order["customer_id"], &order["customer_name"]), (&Value::Null, &Value::Null));
        let body = json!({ "units": 1, "lat": 4.6, "lon": -74.08, "customer_id": 3 });
        let order = placed(app, CASCO, &operario, &body).await;
        assert_eq!(order["warehouse_name"], "Bodega Centro");
        assert_eq!((&order["customer_id"], &order["customer_name"]), (&json!(3), &json!("Maria Garcia")));
        assert_eq!(stock(app, &operario, "Casco%20de%20Seguridad").await, [(145, 0), (199, 0), (99, 0)]);
    }

    async fn the_main_warehouse_comes_first_when_it_has_enough(app) {
        let operario = app.token("operario").await;
        let order = |units: i64, main: &str| {
            json!({ "units": units, "lat": 4.711, "lon": -74.072, "mainWarehouse": main })
        };
        let found = placed(app, CASCO, &operario, &order(5, "Bodega Sur")).await;
        assert_eq!((&found["warehouse_id"], &found["warehouse_name"]), (&json!(3), &json!("Bodega Sur")));
        // It lacks stock: the nearest of those that have it.
        let found = placed(app, CASCO, &operario, &order(120, "Bodega Sur")).await;
        assert_eq!(found["warehouse_name"], "Bodega Norte");
        // The nearest lacks stock too.
        let found = placed(app, CASCO, &operario, &order(120, "Bodega Sur")).await;
        assert_eq!(found["warehouse_name"], "Bodega Centro");
        let found = placed(app, CASCO, &operario, &order(1, "Ninguna")).await;
        assert_eq!(found["warehouse_name"], "Bodega Norte");
        assert_eq!(stock(app, &operario, "Casco%20de%20Seguridad").await, [(29, 0), (80, 0), (95, 0)]);

        let closed = app.patch("/api/warehouses/1/", &operario, &json!({ "is_active": false })).await;
        assert_eq!(closed.status, 200, "{:?}", closed.body);
        let found = placed(app, CASCO, &operario, &order(1, "Bodega Norte")).await;
        assert_eq!(found["warehouse_name"], "Bodega Centro");
    }

    async fn an_automatic_order_and_one_without_stock_are_answered(app) {
        let cliente = app.token("cliente").await;
        let automatic = |units: i64| {
            json!({ "product": "Casco de Seguridad", "units": units, "lat": 4.6, "lon": -74.08 })
        };
        let answer = app.post("/api/orders/create/", &cliente, &automatic(2)).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let seconds = answer.body["execution_time_seconds"].as_f64().expect("a number");
        assert!((0.0..5.0).contains(&seconds), "{seconds}");
        let expected = json!({
            "order_id": answer.body["order_id"], "product": "Casco de Seguridad", "units": 2, "status": "CONFIRMED",
            "assigned_warehouse": "Bodega Centro", "confirmed": true,
            "execution_time_seconds": answer.body["execution_time_seconds"], "meets_performance_ASR": true,
        });
        assert_eq!(answer.body, expected);
        assert!(answer.body["order_id"].is_i64(), "{:?}", answer.body);

        // No warehouse has 201, and orders are not split.
        let rejected = app.post("/api/orders/create/", &cliente, &automatic(201)).await;
        assert_eq!(rejected.status, 409, "{:?}", rejected.body);
        assert_eq!(keys(&rejected.body), keys(&expected));
        assert_eq!((&rejected.body["status"], &rejected.body["confirmed"]), (&json!("REJECTED"), &json!(false)));
        assert_eq!(rejected.body["assigned_warehouse"], Value::Null);

        let manual = app.post(CASCO, &cliente, &near_norte(10_000)).await;
        assert_eq!((manual.status, &manual.body["confirmed"]), (409, &json!(false)), "{:?}", manual.body);
        let order = &manual.body["order"];
        assert_eq!(keys(order), ORDER_KEYS);
        assert_eq!((&order["status"], &order["status_display"]), (&json!("REJECTED"), &json!("Rechazado")));
        for absent in ["warehouse_id", "warehouse_name", "confirmed_at"] {
            assert_eq!(order[absent], Value::Null, "{absent}");
        }
        let list = app.get("/api/orders/?status=REJECTED", &cliente).await.body;
        assert_eq!(list[0], *order);
        assert_eq!(list[1]["id"], rejected.body["order_id"]);
        let operario = app.token("operario").await;
        assert_eq!(stock(app, &operario, "Casco%20de%20Seguridad").await, [(150, 0), (198, 0), (100, 0)]);
        let cancelled = app.post(&format!("/api/orders/{}/cancel/", order["id"]), &operario, &json!({})).await;
        assert_eq!(cancelled.status, 409);
    }

    async fn bad_orders_are_refused_with_the_texts_of_the_contract(app) {
        let operario = app.token("operario").await;
        for units in [0, -1] {
            let answer = app.post(CASCO, &operario, &near_norte(units)).await;
            assert_eq!((answer.status, answer.body), (400, json!({ "error": "units must be > 0" })), "{units}");
        }
        for bad in [
            json!({}),
            json!([]),
            json!({ "lat": 4.6, "lon": -74.0 }),
            json!({ "units": 1.5, "lat": 4.6, "lon": -74.0 }),
            json!({ "units": "x", "lat": 4.6, "lon": -74.0 }),
            json!({ "units": 10_001, "lat": 4.6, "lon": -74.0 }),
            json!({ "units": 1, "lon": -74.0 }),
            json!({ "units": 1, "lat": "norte", "lon": -74.0 }),
            json!({ "units": 1, "lat": 4.6, "lon": null }),
            json!({ "units": 1, "lat": 4.6, "lon": -74.0, "mainWarehouse": 7 }),
            json!({ "units": 1, "lat": 4.6, "lon": -74.0, "customer_id": "x" }),
        ] {
            let answer = app.post(CASCO, &operario, &bad).await;
            assert_eq!(answer.status, 400, "{bad}");
            let text = answer.body["error"].as_str().unwrap_or_default();
            assert!(text.starts_with("Payload inválido"), "{bad} {:?}", answer.body);
        }
        for (lat, lon) in [(90.1, 0.0), (-90.1, 0.0), (0.0, 180.1), (0.0, -180.1)] {
            let answer = app.post(CASCO, &operario, &json!({ "units": 1, "lat": lat, "lon": lon })).await;
            assert_eq!(answer.status, 400, "{lat} {lon}");
            assert!(answer.body["error"].is_string(), "{:?}", answer.body);
        }
        let no_product = app.post("/api/orders/create/", &operario, &near_norte(1)).await;
        assert_eq!(no_product.status, 400);
        assert!(no_product.body["error"].as_str().is_some_and(|text| text.starts_with("Payload inválido")));
        let unknown = app.post("/api/orders/Pa%C3%B1o/", &operario, &near_norte(1)).await;
        assert_eq!((unknown.status, unknown.body), (400, json!({ "error": "Producto Paño no encontrado" })));
        let body = json!({ "product": "Nada", "units": 1, "lat": 4.6, "lon": -74.0 });
        let unknown = app.post("/api/orders/create/", &operario, &body).await;
        assert_eq!((unknown.status, unknown.body), (400, json!({ "error": "Producto Nada no encontrado" })));
        let body = json!({ "units": 1, "lat": 4.6, "lon": -74.0, "customer_id": 99 });
        let unknown = app.post(CASCO, &operario, &body).await;
        assert_eq!((unknown.status, unknown.body), (400, json!({ "error": "Cliente no encontrado" })));
        let inactive = app.patch("/api/products/1/", &operario, &json!({ "is_active": false })).await;
        assert_eq!(inactive.status, 200, "{:?}", inactive.body);
        let answer = app.post(CASCO, &operario, &near_norte(1)).await;
        let text = "Producto Casco de Seguridad no encontrado";
        assert_eq!((answer.status, answer.body), (400, json!({ "error": text })));
        assert_eq!(app.get("/api/orders/", &operario).await.body, json!([]));
    }

    async fn a_client_orders_for_and_sees_only_itself(app) {
        let (operario, cliente) = (app.token("operario").await, app.token("cliente").await);
        for path in ["/api/orders/", "/api/orders/1/"] {
            assert_eq!(app.get(path, "").await.status, 401, "{path}");
        }
        for path in [CASCO, "/api/orders/create/", "/api/orders/1/cancel/"] {
            assert_eq!(app.post(path, "", &near_norte(1)).await.status, 401, "{path}");
        }
        let for_another = json!({ "units": 1, "lat": 4.6, "lon": -74.0, "customer_id": 2 });
        let refused = app.post(CASCO, &cliente, &for_another).await;
        assert_eq!(refused.status, 403);
        assert!(refused.body["detail"].is_string(), "{:?}", refused.body);
        let for_itself = json!({ "units": 1, "lat": 4.6, "lon": -74.0, "customer_id": 3 });
        let own = placed(app, CASCO, &cliente, &for_itself).await;
        let other = placed(app, CASCO, &operario, &near_norte(1)).await;

        let path = format!("/api/orders/{}/", other["id"]);
        let hidden = app.get(&path, &cliente).await;
        assert_eq!((hidden.status, hidden.body), (404, json!({ "error": "Pedido no encontrado" })));
        let hidden = app.post(&format!("{path}cancel/"), &cliente, &json!({})).await;
        assert_eq!((hidden.status, hidden.body), (404, json!({ "error": "Pedido no encontrado" })));
        assert_eq!(app.get(&path, &operario).await.body, other);
        assert_eq!(app.get("/api/orders/", &cliente).await.body, json!([own]));
        let whole = app.get("/api/orders/?customer_id=2", &cliente).await;
        assert_eq!((whole.status, whole.body), (200, json!([])));
        let none = app.get("/api/orders/99/", &operario).await;
        assert_eq!((none.status, none.body), (404, json!({ "error": "Pedido no encontrado" })));

        let path = format!("/api/orders/{}/status/", own["id"]);
        assert_eq!(app.patch(&path, &cliente, &json!({ "status": "IN_TRANSIT" })).await.status, 403);
        assert_eq!(app.patch(&path, "", &json!({ "status": "IN_TRANSIT" })).await.status, 401);
        let mine = app.post(&format!("/api/orders/{}/cancel/", own["id"]), &cliente, &json!({})).await;
        assert_eq!((mine.status, &mine.body["status"]), (200, &json!("CANCELLED")), "{:?}", mine.body);
    }

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

    async fn an_order_moves_through_its_statuses_and_gives_stock_back_when_cancelled(app) {
        let operario = app.token("operario").await;
        let product = "Casco%20de%20Seguridad";
        let order = placed(app, CASCO, &operario, &near_norte(5)).await;
        assert_eq!(stock(app, &operario, product).await[0], (145, 0));
        let cancel = format!("/api/orders/{}/cancel/", order["id"]);
        // No body is needed.
        let cancelled = send(app.request("POST", &cancel).bearer_auth(&operario)).await;
        assert_eq!(cancelled.status, 200, "{:?}", cancelled.body);
        assert_eq!(keys(&cancelled.body), ORDER_KEYS);
        assert_eq!(cancelled.body["status_display"], "Cancelado");
        assert_eq!(stock(app, &operario, product).await[0], (150, 0));
        let again = app.post(&cancel, &operario, &json!({})).await;
        assert_eq!(again.status, 409);
        assert!(again.body["error"].is_string(), "{:?}", again.body);
        assert_eq!(stock(app, &operario, product).await[0], (150, 0));

        let order = placed(app, CASCO, &operario, &near_norte(5)).await;
        let path = format!("/api/orders/{}/status/", order["id"]);
        let change = async |status: &str| app.patch(&path, &operario, &json!({ "status": status })).await;
        for illegal in ["PENDING", "CONFIRMED", "REJECTED", "DELIVERED"] {
            let refused = change(illegal).await;
            assert_eq!(refused.status, 409, "{illegal}");
            assert!(refused.body["error"].is_string(), "{illegal} {:?}", refused.body);
        }
        for unknown in ["NADA", "in_transit", ""] {
            let refused = change(unknown).await;
            assert_eq!((refused.status, keys(&refused.body)), (400, vec!["status"]), "{unknown:?}");
        }
        let moved = change("IN_TRANSIT").await;
        assert_eq!((moved.status, &moved.body["status_display"]), (200, &json!("En Tránsito")), "{:?}", moved.body);
        assert_eq!(moved.body["delivered_at"], Value::Null);
        let moved = change("DELIVERED").await;
        assert_eq!((moved.status, &moved.body["status_display"]), (200, &json!("Entregado")), "{:?}", moved.body);
        assert!(is_time(&moved.body["delivered_at"]), "{:?}", moved.body);
        assert_eq!(moved.body["confirmed_at"], order["confirmed_at"]);
        for last in ["CANCELLED", "IN_TRANSIT", "CONFIRMED"] {
            assert_eq!(change(last).await.status, 409, "{last}");
        }
        let none = app.patch("/api/orders/99/status/", &operario, &json!({ "status": "IN_TRANSIT" })).await;
        assert_eq!((none.status, none.body), (404, json!({ "error": "Pedido no encontrado" })));
        assert_eq!(stock(app, &operario, product).await[0], (145, 0));

        // What is on its way comes back too, and a client cannot call it back.
        let cliente = app.token("cliente").await;
        let order = placed(app, CASCO, &cliente, &near_norte(5)).await;
        let path = format!("/api/orders/{}/", order["id"]);
        let status = format!("{path}status/");
        assert_eq!(app.patch(&status, &operario, &json!({ "status": "IN_TRANSIT" })).await.status, 200);
        assert_eq!(app.post(&format!("{path}cancel/"), &cliente, &json!({})).await.status, 403);
        assert_eq!(app.patch(&status, &operario, &json!({ "status": "CANCELLED" })).await.status, 200);
        assert_eq!(stock(app, &operario, product).await[0], (145, 0));
    }

    async fn an_order_is_in_the_list_as_soon_as_it_is_answered(app) {
        let operario = app.token("operario").await;
        futures::future::join_all((0..12).map(|_| place_and_look(app, &operario))).await;
        assert_eq!(ids(&app.get("/api/orders/?limit=500", &operario).await.body).len(), 12);
    }

    async fn a_key_places_one_order_and_gives_its_first_answer_again(app) {
        let (operario, cliente) = (app.token("operario").await, app.token("cliente").await);
        let first = keyed(app, CASCO, &operario, "k", &near_norte(5)).await;
        assert_eq!(first.status, 200, "{:?}", first.body);
        let second = keyed(app, CASCO, &operario, "k", &near_norte(5)).await;
        assert_eq!((second.status, &second.body), (200, &first.body));
        let other = keyed(app, CASCO, &operario, "k", &near_norte(6)).await;
        assert_eq!(other.status, 409);
        assert!(other.body["error"].is_string(), "{:?}", other.body);
        assert_eq!(stock(app, &operario, "Casco%20de%20Seguridad").await[0], (145, 0));
        // Keys are each caller's and each route's own.
        let others = keyed(app, CASCO, &cliente, "k", &near_norte(5)).await;
        assert_eq!(others.status, 200);
        assert_ne!(others.body["order"]["id"], first.body["order"]["id"]);
        let body = json!({ "product": "Casco de Seguridad", "units": 5, "lat": 4.711, "lon": -74.072 });
        let automatic = keyed(app, "/api/orders/create/", &operario, "k", &body).await;
        assert_eq!(automatic.status, 200, "{:?}", automatic.body);
        let again = keyed(app, "/api/orders/create/", &operario, "k", &body).await;
        assert_eq!((again.status, &again.body["order_id"]), (200, &automatic.body["order_id"]));

        let rejected = keyed(app, CASCO, &operario, "no", &near_norte(9_000)).await;
        let again = keyed(app, CASCO, &operario, "no", &near_norte(9_000)).await;
        assert_eq!((rejected.status, again.status), (409, 409));
        assert_eq!(rejected.body, again.body);
        assert_eq!(ids(&app.get("/api/orders/", &operario).await.body).len(), 4);
        assert_eq!(stock(app, &operario, "Casco%20de%20Seguridad").await[0], (135, 0));

        let body = near_norte(7);
        let path = "/api/orders/Mascarilla%20N95/";
        let answers = futures::future::join_all((0..8).map(|_| keyed(app, path, &operario, "many", &body))).await;
        let confirmed: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409)), "{answers:?}");
        assert!(confirmed.iter().all(|answer| answer.body == confirmed[0].body) && !confirmed.is_empty());
        assert_eq!(stock(app, &operario, "Mascarilla%20N95").await[0], (993, 0));
    }

    async fn a_key_gives_the_first_answer_even_after_the_order_has_moved_on(app) {
        let operario = app.token("operario").await;
        let first = keyed(app, CASCO, &operario, "k", &near_norte(5)).await;
        assert_eq!(first.status, 200, "{:?}", first.body);
        let cancel = format!("/api/orders/{}/cancel/", first.body["order"]["id"]);
        assert_eq!(app.post(&cancel, &operario, &json!({})).await.status, 200);
        let again = keyed(app, CASCO, &operario, "k", &near_norte(5)).await;
        assert_eq!((again.status, again.body), (200, first.body));
        assert_eq!(stock(app, &operario, "Casco%20de%20Seguridad").await[0], (150, 0));
    }

    async fn orders_at_once_take_what_there_is_and_no_more(app) {
        let operario = app.token("operario").await;
        let (body, path) = (near_norte(10), "/api/orders/Arnes%20de%20Seguridad/");
        let answers = futures::future::join_all((0..30).map(|_| app.post(path, &operario, &body))).await;
        let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(200), count(409)), (13, 17));
        assert_eq!(stock(app, &operario, "Arnes%20de%20Seguridad").await, [(0, 0), (0, 0), (0, 0)]);
        for (status, expected) in [("CONFIRMED", 13), ("REJECTED", 17), ("PENDING", 0)] {
            let found = app.get(&format!("/api/orders/?status={status}"), &operario).await.body;
            assert_eq!(ids(&found).len(), expected, "{status}");
        }
        let confirmed = app.get("/api/orders/?status=CONFIRMED", &operario).await.body;
        let confirmed = confirmed.as_array().expect("a bare array");
        for (warehouse, expected) in [(1, 6), (2, 4), (3, 3)] {
            let there = confirmed.iter().filter(|order| order["warehouse_id"] == warehouse).count();
            assert_eq!(there, expected, "{warehouse}");
        }
    }
}
