//! Placement: which warehouse an order takes from, what is refused, and many at once.

use super::{CASCO, ORDER_KEYS, ids, is_time, keys, near_norte, placed, stock};
use crate::support::on_both_databases;
use serde_json::{Value, json};

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
