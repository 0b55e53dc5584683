//! Warehouses, stock, restocks and measurements.

use super::{ids, is_time, keys};
use crate::support::{on_both_databases, send};
use serde_json::{Value, json};

const CASCO: &str = "/api/inventory/Casco%20de%20Seguridad/";
const RESTOCK: &str = "/api/inventory/Casco%20de%20Seguridad/restock/";

const WAREHOUSE_KEYS: [&str; 12] = [
    "address",
    "available_capacity",
    "capacity",
    "created_at",
    "current_stock",
    "id",
    "is_active",
    "latitude",
    "longitude",
    "name",
    "phone",
    "updated_at",
];

const MEASUREMENT_KEYS: [&str; 9] =
    ["dateTime", "id", "place", "place_name", "product_id", "product_name", "unit", "value", "variable_name"];

on_both_databases! {
    async fn warehouses_are_public_and_show_what_lies_in_them(app) {
        let answer = app.get("/api/warehouses/", "").await;
        assert_eq!(answer.status, 200);
        let list = answer.body.as_array().expect("a bare array");
        let expected = [
            ("Bodega Centro", 4.598_889, -74.080_833, 3010),
            ("Bodega Norte", 4.710_989, -74.072_092, 2260),
            ("Bodega Sur", 4.570_868, -74.297_333, 1510),
        ];
        assert_eq!(list.len(), expected.len());
        for (found, (name, latitude, longitude, stock)) in list.iter().zip(expected) {
            assert_eq!(keys(found), WAREHOUSE_KEYS);
            assert_eq!(found["name"], name);
            assert_eq!((&found["latitude"], &found["longitude"]), (&json!(latitude), &json!(longitude)), "{name}");
            assert_eq!(found["capacity"], 50_000, "{name}");
            assert_eq!(found["current_stock"], stock, "{name}");
            assert_eq!(found["available_capacity"], 50_000 - stock, "{name}");
            assert_eq!((&found["address"], &found["phone"]), (&Value::Null, &Value::Null), "{name}");
            assert_eq!(found["is_active"], true, "{name}");
            assert!(is_time(&found["created_at"]) && is_time(&found["updated_at"]), "{found}");
        }
        let one = app.get("/api/warehouses/1/", "").await;
        assert_eq!((one.status, &one.body), (200, &list[1]));
        for id in ["0", "99", "99999999999999999999"] {
            let none = app.get(&format!("/api/warehouses/{id}/"), "").await;
            assert_eq!((none.status, none.body), (404, json!({ "error": "Bodega no encontrada" })), "{id}");
        }
        let page = app.get("/api/warehouses/?limit=2", "").await;
        assert_eq!((page.status, ids(&page.body)), (200, vec![2, 1]));
        assert_eq!(page.header("x-total-count"), "3");
        assert!(page.header("link").contains("rel=\"next\""), "{:?}", page.headers);
    }

    async fn staff_creates_and_changes_warehouses(app) {
        let (operario, cliente) = (app.token("operario").await, app.token("cliente").await);
        let new = json!({ "name": "  Bodega Oriente ", "latitude": 4.6, "longitude": -74.0, "phone": "6011234567" });
        assert_eq!(app.post("/api/warehouses/", "", &new).await.status, 401);
        let refused = app.post("/api/warehouses/", &cliente, &new).await;
        assert_eq!(refused.status, 403);
        assert!(refused.body["detail"].is_string(), "{:?}", refused.body);
        let created = app.post("/api/warehouses/", &operario, &new).await;
        assert_eq!(created.status, 201, "{:?}", created.body);
        assert_eq!(keys(&created.body), WAREHOUSE_KEYS);
        assert_eq!(created.body["name"], "Bodega Oriente");
        assert_eq!((&created.body["capacity"], &created.body["available_capacity"]), (&json!(50_000), &json!(50_000)));
        assert_eq!((&created.body["current_stock"], &created.body["is_active"]), (&json!(0), &json!(true)));

        let again = app.post("/api/warehouses/", &operario, &new).await;
        assert_eq!(again.status, 400);
        assert_eq!(keys(&again.body), ["name"]);
        let bad = json!({ "name": "Otra", "latitude": 90.5, "longitude": -181 });
        let bad = app.post("/api/warehouses/", &operario, &bad).await;
        assert_eq!((bad.status, keys(&bad.body)), (400, vec!["latitude", "longitude"]));
        assert!(bad.body["latitude"][0].is_string(), "{:?}", bad.body);
        let empty = app.post("/api/warehouses/", &operario, &json!({})).await;
        assert_eq!((empty.status, keys(&empty.body)), (400, vec!["latitude", "longitude", "name"]));

        let path = format!("/api/warehouses/{}/", created.body["id"]);
        assert_eq!(app.patch(&path, "", &json!({ "capacity": 10 })).await.status, 401);
        assert_eq!(app.patch(&path, &cliente, &json!({ "capacity": 10 })).await.status, 403);
        let changed = app.patch(&path, &operario, &json!({ "capacity": 10, "phone": null })).await;
        assert_eq!(changed.status, 200, "{:?}", changed.body);
        assert_eq!((&changed.body["capacity"], &changed.body["phone"]), (&json!(10), &Value::Null));
        assert_eq!(changed.body["name"], "Bodega Oriente");
        let bad = app.patch(&path, &operario, &json!({ "latitude": -91 })).await;
        assert_eq!((bad.status, keys(&bad.body)), (400, vec!["latitude"]));
        let taken = app.patch(&path, &operario, &json!({ "name": "Bodega Sur" })).await;
        assert_eq!((taken.status, keys(&taken.body)), (400, vec!["name"]));
        let none = app.patch("/api/warehouses/99/", &operario, &json!({ "capacity": 1 })).await;
        assert_eq!((none.status, none.body), (404, json!({ "error": "Bodega no encontrada" })));

        assert_eq!(app.patch(&path, &operario, &json!({ "is_active": false })).await.status, 200);
        assert_eq!(ids(&app.get("/api/warehouses/", "").await.body), [2, 1, 3]);
    }

    async fn stock_of_a_product_is_shown_to_staff_only(app) {
        let operario = app.token("operario").await;
        assert_eq!(app.get(CASCO, "").await.status, 401);
        assert_eq!(app.get(CASCO, &app.token("cliente").await).await.status, 403);
        assert_eq!(app.get(CASCO, &app.token("admin").await).await.status, 200);
        let answer = app.get(CASCO, &operario).await;
        assert_eq!(answer.status, 200);
        let expected = [("Bodega Norte", 1, 150), ("Bodega Centro", 2, 200), ("Bodega Sur", 3, 100)];
        let rows = answer.body.as_array().expect("a bare array");
        assert_eq!(rows.len(), expected.len());
        assert!(ids(&answer.body).is_sorted());
        for (row, (name, warehouse, quantity)) in rows.iter().zip(expected) {
            assert!(is_time(&row["updated_at"]), "{row}");
            let expected = json!({
                "id": row["id"], "product_id": 1, "product_name": "Casco de Seguridad", "warehouse": warehouse,
                "warehouse_name": name, "quantity": quantity, "reserved_quantity": 0,
                "available_quantity": quantity, "updated_at": row["updated_at"], "last_restock_date": null,
            });
            assert_eq!(*row, expected);
        }
        for unknown in ["Nada", "casco%20de%20seguridad", "Gafas%20de%20Protecci%C3%B3n"] {
            let none = app.get(&format!("/api/inventory/{unknown}/"), &operario).await;
            assert_eq!((none.status, none.body), (404, json!({ "error": "Producto no encontrado" })), "{unknown}");
        }
        let created = app.post("/api/products/", &operario, &json!({ "name": "Nuevo" })).await;
        assert_eq!(created.status, 201, "{:?}", created.body);
        let none = app.get("/api/inventory/Nuevo/", &operario).await;
        assert_eq!((none.status, none.body), (200, json!([])));
        let path = format!("/api/products/{}/", created.body["id"]);
        assert_eq!(app.patch(&path, &operario, &json!({ "is_active": false })).await.status, 200);
        let inactive = app.get("/api/inventory/Nuevo/", &operario).await;
        assert_eq!((inactive.status, inactive.body), (404, json!({ "error": "Producto no encontrado" })));
    }

    async fn a_restock_is_checked_in_the_order_of_the_contract(app) {
        let operario = app.token("operario").await;
        let good = json!({ "units": 1, "warehouse": "Bodega Norte" });
        assert_eq!(app.post(RESTOCK, "", &good).await.status, 401);
        assert_eq!(app.post(RESTOCK, &app.token("cliente").await, &good).await.status, 403);
        let unknown = "/api/inventory/Nada/restock/";
        // Each body has all the mistakes that are looked for later.
        for units in [json!("muchas"), json!(1.5), json!(true), Value::Null, json!(i64::MIN), json!(u64::MAX)] {
            let answer = app.post(unknown, &operario, &json!({ "units": units })).await;
            assert_eq!(answer.status, 400, "{units} {:?}", answer.body);
            assert!(answer.body["error"].is_string(), "{units} {:?}", answer.body);
        }
        assert_eq!(app.post(unknown, &operario, &json!({})).await.status, 400);
        let zero = app.post(unknown, &operario, &json!({ "units": 0 })).await;
        assert_eq!((zero.status, zero.body), (400, json!({ "error": "La cantidad no puede ser cero" })));
        for warehouse in [Value::Null, json!(""), json!("  "), json!(7)] {
            let answer = app.post(unknown, &operario, &json!({ "units": 5, "warehouse": warehouse })).await;
            assert_eq!(answer.status, 400, "{warehouse}");
            assert!(answer.body["error"].is_string(), "{:?}", answer.body);
        }
        let answer = app.post(unknown, &operario, &json!({ "units": 5, "warehouse": "Ninguna" })).await;
        assert_eq!((answer.status, answer.body), (404, json!({ "error": "Producto no encontrado" })));
        let answer = app.post(RESTOCK, &operario, &json!({ "units": 5, "warehouse": "Ninguna" })).await;
        assert_eq!(answer.status, 404);
        assert!(answer.body["error"].is_string(), "{:?}", answer.body);
        let answer = app.post(RESTOCK, &operario, &json!({ "units": -1000, "warehouse": "Bodega Norte" })).await;
        let text = "Stock insuficiente. Disponible: 150, Solicitado: 1000";
        assert_eq!((answer.status, answer.body), (400, json!({ "error": text })));
        // The smallest integer has no positive counterpart.
        let answer = app.post(RESTOCK, &operario, &json!({ "units": i64::MIN, "warehouse": "Bodega Norte" })).await;
        assert_eq!(answer.status, 400, "{:?}", answer.body);
        assert_eq!(app.get(CASCO, &operario).await.body[0]["quantity"], 150);
    }

    async fn a_restock_changes_the_row_and_its_times(app) {
        let operario = app.token("operario").await;
        let before = app.get(CASCO, &operario).await.body[0].clone();
        let taken = app.post(RESTOCK, &operario, &json!({ "units": -50, "warehouse": "Bodega Norte" })).await;
        assert_eq!(taken.status, 200, "{:?}", taken.body);
        assert_eq!(keys(&taken.body), keys(&before));
        assert_eq!((&taken.body["quantity"], &taken.body["available_quantity"]), (&json!(100), &json!(100)));
        assert_eq!(taken.body["last_restock_date"], Value::Null);
        assert!(taken.body["updated_at"].as_str() > before["updated_at"].as_str(), "{:?}", taken.body);
        let added = app.post(RESTOCK, &operario, &json!({ "units": 7, "warehouse": " Bodega Norte " })).await;
        assert_eq!(added.status, 200, "{:?}", added.body);
        assert_eq!((&added.body["id"], &added.body["quantity"]), (&before["id"], &json!(107)));
        assert!(is_time(&added.body["last_restock_date"]), "{:?}", added.body);
        let all = app.post(RESTOCK, &operario, &json!({ "units": -107, "warehouse": "Bodega Norte" })).await;
        assert_eq!((all.status, &all.body["quantity"]), (200, &json!(0)));
        assert_eq!(all.body["last_restock_date"], added.body["last_restock_date"]);

        // Where there is no row yet, one comes to be.
        let path = "/api/inventory/Gafas%20de%20Proteccion/restock/";
        let none = app.post(path, &operario, &json!({ "units": -1, "warehouse": "Bodega Sur" })).await;
        let text = "Stock insuficiente. Disponible: 0, Solicitado: 1";
        assert_eq!((none.status, none.body), (400, json!({ "error": text })));
        let new = app.post(path, &operario, &json!({ "units": 9, "warehouse": "Bodega Sur" })).await;
        assert_eq!((new.status, &new.body["quantity"], &new.body["warehouse"]), (200, &json!(9), &json!(3)));
        let rows = app.get("/api/inventory/Gafas%20de%20Proteccion/", &operario).await.body;
        assert_eq!(rows[2], new.body);
    }

    async fn restocks_at_once_lose_nothing(app) {
        let operario = app.token("operario").await;
        let body = json!({ "units": 1, "warehouse": "Bodega Norte" });
        let answers = futures::future::join_all((0..20).map(|_| app.post(RESTOCK, &operario, &body))).await;
        let mut quantities: Vec<i64> = Vec::new();
        for answer in &answers {
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            quantities.push(answer.body["quantity"].as_i64().expect("a number"));
        }
        quantities.sort_unstable();
        assert_eq!(quantities, (151..=170).collect::<Vec<_>>());
        assert_eq!(app.get(CASCO, &operario).await.body[0]["quantity"], 170);

        // Of 20 that take 10 each, 17 get them.
        let body = json!({ "units": -10, "warehouse": "Bodega Norte" });
        let answers = futures::future::join_all((0..20).map(|_| app.post(RESTOCK, &operario, &body))).await;
        let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(200), count(400)), (17, 3));
        assert_eq!(app.get(CASCO, &operario).await.body[0]["quantity"], 0);
    }

    async fn measurements_are_stored_by_staff(app) {
        let (operario, cliente) = (app.token("operario").await, app.token("cliente").await);
        let new = json!({
            "variable_name": "Temperatura", "value": 21.5, "unit": "C", "place": 1, "product_id": 1,
            "product_name": "Casco de Seguridad",
        });
        for path in ["/api/measurements/", "/api/measurements/create/"] {
            assert_eq!(app.post(path, "", &new).await.status, 401);
            assert_eq!(app.post(path, &cliente, &new).await.status, 403);
            let created = app.post(path, &operario, &new).await;
            assert_eq!(created.status, 201, "{:?}", created.body);
            assert!(is_time(&created.body["dateTime"]), "{:?}", created.body);
            let mut expected = new.clone();
            expected["id"] = created.body["id"].clone();
            expected["dateTime"] = created.body["dateTime"].clone();
            expected["place_name"] = json!("Bodega Norte");
            assert_eq!(created.body, expected);
        }
        let least = json!({ "variable_name": "Humedad", "unit": "%", "place": 2 });
        let least = app.post("/api/measurements/", &operario, &least).await;
        assert_eq!((least.status, keys(&least.body)), (201, MEASUREMENT_KEYS.to_vec()));
        for absent in ["value", "product_id", "product_name"] {
            assert_eq!(least.body[absent], Value::Null, "{absent}");
        }
        let unknown = json!({ "variable_name": "Humedad", "unit": "%", "place": 99 });
        let unknown = app.post("/api/measurements/", &operario, &unknown).await;
        assert_eq!((unknown.status, keys(&unknown.body)), (400, vec!["place"]));
        let empty = app.post("/api/measurements/", &operario, &json!({})).await;
        assert_eq!((empty.status, keys(&empty.body)), (400, vec!["place", "unit", "variable_name"]));

        let keyed = || {
            let request = app.request("POST", "/api/measurements/").bearer_auth(&operario);
            request.header("Idempotency-Key", "k").json(&new)
        };
        let (first, second) = (send(keyed()).await, send(keyed()).await);
        assert_eq!((first.status, second.status), (201, 201));
        assert_eq!(first.body, second.body);
        assert_eq!(ids(&app.get("/api/measurements/", &operario).await.body).len(), 4);
    }

    async fn measurements_are_listed_by_id_and_filtered(app) {
        let operario = app.token("operario").await;
        assert_eq!(app.get("/api/measurements/", "").await.status, 401);
        assert_eq!(app.get("/api/measurements/", &app.token("cliente").await).await.status, 403);
        assert_eq!(app.get("/api/measurements/", &operario).await.body, json!([]));
        let rows = [
            json!({ "variable_name": "Temperatura", "value": 20, "unit": "C", "place": 1, "product_id": 1 }),
            json!({ "variable_name": "Humedad", "value": 60, "unit": "%", "place": 2, "product_id": 2 }),
            json!({ "variable_name": "Temperatura", "unit": "C", "place": 2, "product_name": "Mascarilla N95" }),
        ];
        let mut stored = Vec::new();
        for row in &rows {
            let created = app.post("/api/measurements/", &operario, row).await;
            assert_eq!(created.status, 201, "{:?}", created.body);
            stored.push(created.body);
        }
        let [a, b, c] = [0, 1, 2].map(|at: usize| stored[at]["id"].as_i64().expect("an id"));
        let second = stored[1]["dateTime"].as_str().expect("a time");
        let cases = [
            (String::new(), vec![a, b, c]),
            ("?variable=Temperatura".to_owned(), vec![a, c]),
            ("?variable=temperatura".to_owned(), vec![]),
            ("?place=2".to_owned(), vec![b, c]),
            ("?place=2&variable=Temperatura".to_owned(), vec![c]),
            ("?product_id=1".to_owned(), vec![a]),
            ("?product_name=Mascarilla+N95".to_owned(), vec![c]),
            (format!("?from={second}"), vec![b, c]),
            (format!("?to={second}"), vec![a, b]),
            (format!("?from={second}&to={second}"), vec![b]),
            ("?from=2000-01-01".to_owned(), vec![a, b, c]),
            ("?to=2000-01-01".to_owned(), vec![]),
            ("?otra=1".to_owned(), vec![a, b, c]),
        ];
        for (query, expected) in cases {
            let answer = app.get(&format!("/api/measurements/{query}"), &operario).await;
            assert_eq!((answer.status, ids(&answer.body)), (200, expected), "{query}");
        }
        for (query, parameter) in [
            ("from=ayer", "from"),
            ("to=2026-13-01", "to"),
            ("place=norte", "place"),
            ("product_id=x", "product_id"),
        ] {
            let answer = app.get(&format!("/api/measurements/?{query}"), &operario).await;
            assert_eq!((answer.status, keys(&answer.body)), (400, vec![parameter]), "{query}");
            assert!(answer.body[parameter][0].is_string(), "{:?}", answer.body);
        }
        let page = app.get("/api/measurements/?limit=1&offset=1", &operario).await;
        assert_eq!((page.status, ids(&page.body), page.header("x-total-count")), (200, vec![b], "3"));
    }
}
