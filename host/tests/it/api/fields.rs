//! What the fields of all services share: where null is refused, and that all that is taken is named.

use crate::support::{Answer, on_both_databases, send};
use serde_json::{Value, json};

const NULL: &str = "Este campo no puede ser nulo.";

const USER: &[&str] = &["username", "password", "email", "first_name", "last_name", "role", "is_active"];
const PRODUCT: &[&str] =
    &["name", "unit_price", "cost_price", "min_stock", "max_stock", "is_active", "requires_special_handling"];
const SUPPLIER: &[&str] =
    &["name", "nit", "email", "phone", "address", "city", "contact_person", "is_active", "credit_days", "rating"];
const WAREHOUSE: &[&str] = &["name", "latitude", "longitude", "capacity", "is_active"];

on_both_databases! {
    async fn null_is_refused_where_there_is_always_a_value(app) {
        let admin = app.token("admin").await;
        for (method, path, fields) in [
            ("POST", "/api/auth/login/", &["username", "password"][..]),
            ("POST", "/api/auth/password/", &["current_password", "new_password"]),
            ("POST", "/api/users/", USER),
            ("PATCH", "/api/users/3/", USER),
            ("POST", "/api/products/", PRODUCT),
            ("POST", "/api/products/create/", PRODUCT),
            ("PATCH", "/api/products/1/", PRODUCT),
            ("POST", "/api/suppliers/", SUPPLIER),
            ("PATCH", "/api/suppliers/1/", SUPPLIER),
            ("POST", "/api/variables/", &["name"]),
            ("PATCH", "/api/variables/1/", &["name"]),
            ("POST", "/api/warehouses/", WAREHOUSE),
            ("PATCH", "/api/warehouses/1/", WAREHOUSE),
            ("POST", "/api/measurements/", &["variable_name", "unit", "place"]),
            ("PATCH", "/api/orders/1/status/", &["status"]),
        ] {
            let body = object(fields, &Value::Null);
            let answer = send(app.request(method, path).bearer_auth(&admin).json(&body)).await;
            assert_eq!((answer.status, answer.body), (400, object(fields, &json!([NULL]))), "{method} {path}");
        }
        for (list, id, good, field) in [
            ("/api/users/", 3, json!({ "city": "Cali" }), "is_active"),
            ("/api/products/", 1, json!({ "category": "Otra" }), "min_stock"),
            ("/api/suppliers/", 1, json!({ "city": "Cali" }), "rating"),
            ("/api/warehouses/", 1, json!({ "phone": "1" }), "capacity"),
        ] {
            let before = app.get(list, &admin).await.body;
            let mut patch = good;
            patch[field] = Value::Null;
            let answer = app.patch(&format!("{list}{id}/"), &admin, &patch).await;
            assert_eq!((answer.status, answer.body), (400, object(&[field], &json!([NULL]))), "{list}");
            assert_eq!(app.get(list, &admin).await.body, before, "nothing of it is changed: {list}");
        }
    }

    async fn null_clears_what_may_be_absent(app) {
        let admin = app.token("admin").await;
        for (path, fields) in [
            ("/api/users/3/", &["phone", "address", "document_type", "document_number", "city"][..]),
            ("/api/products/1/", &["description", "sku", "supplier", "category"]),
            ("/api/suppliers/1/", &["notes"]),
            ("/api/variables/1/", &["product"]),
            ("/api/warehouses/1/", &["address", "phone"]),
        ] {
            let changed = app.patch(path, &admin, &object(fields, &Value::Null)).await;
            assert_eq!(changed.status, 200, "{path} {:?}", changed.body);
            for field in fields {
                assert_eq!(changed.body.get(field), Some(&Value::Null), "{path} {field}");
            }
        }
        let absent = object(&["description", "sku", "supplier", "category"], &Value::Null);
        let mut product = json!({ "name": "Silbato" });
        merge(&mut product, absent);
        assert_eq!(app.post("/api/products/", &admin, &product).await.status, 201);
        let mut measurement = json!({ "variable_name": "Temperatura", "unit": "C", "place": 1 });
        merge(&mut measurement, object(&["value", "product_id", "product_name"], &Value::Null));
        let stored = app.post("/api/measurements/", &admin, &measurement).await;
        assert_eq!((stored.status, &stored.body["value"]), (201, &Value::Null), "{:?}", stored.body);
    }

    async fn all_that_is_taken_is_named(app) {
        let admin = app.token("admin").await;
        let taken = json!({ "name": "Casco de Seguridad", "sku": "GIN-001" });
        assert_taken(&app.post("/api/products/", &admin, &taken).await, &["name", "sku"]);
        assert_taken(&app.patch("/api/products/3/", &admin, &taken).await, &["name", "sku"]);
        // Its own name is not another product's.
        assert_taken(&app.patch("/api/products/1/", &admin, &taken).await, &["sku"]);
        let own = json!({ "name": "Casco de Seguridad", "sku": "CSI-001" });
        assert_eq!(app.patch("/api/products/1/", &admin, &own).await.status, 200);

        let mut supplier = json!({
            "name": "Distribuidora Andina", "nit": "900123456-7", "email": "ventas@andina.co", "phone": "1",
            "address": "Calle 1", "city": "Cali", "contact_person": "Ana",
        });
        let names = ["email", "name", "nit"];
        assert_taken(&app.post("/api/suppliers/", &admin, &supplier).await, &names);
        let andina = supplier.clone();
        merge(&mut supplier, json!({ "name": "Acme", "nit": "800111222-3", "email": "hola@acme.co" }));
        let other = app.post("/api/suppliers/", &admin, &supplier).await;
        let other = format!("/api/suppliers/{}/", other.body["id"]);
        assert_taken(&app.patch(&other, &admin, &andina).await, &names);
        assert_eq!(app.patch("/api/suppliers/1/", &admin, &andina).await.status, 200);
        assert_eq!(app.patch("/api/suppliers/99/", &admin, &andina).await.status, 404);

        let document = app.patch("/api/users/2/", &admin, &json!({ "document_number": "77" })).await;
        assert_eq!(document.status, 200, "{:?}", document.body);
        let taken = json!({
            "username": "admin", "document_number": "77", "password": "correo-lento-7", "email": "a@logistica.com",
        });
        for answer in [app.post("/api/users/", &admin, &taken).await, app.patch("/api/users/3/", &admin, &taken).await] {
            assert_taken(&answer, &["document_number", "username"]);
        }
    }

    async fn of_products_with_one_name_and_sku_at_once_one_is_stored(app) {
        let token = app.token("operario").await;
        let body = json!({ "name": "Silbato", "sku": "SIL-001" });
        let answers = futures::future::join_all((0..8).map(|_| app.post("/api/products/", &token, &body))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            assert_eq!(answer.status, 400, "{:?}", answer.body);
            assert!(answer.body["name"][0].is_string(), "{:?}", answer.body);
        }
    }

    async fn two_changes_of_one_row_at_once_both_count(app) {
        let admin = app.token("admin").await;
        for round in 0..10 {
            let (left, right) = (format!("Cali {round}"), format!("Calle {round}"));
            let change = async |body: Value| app.patch("/api/users/3/", &admin, &body).await.status;
            let both = futures::future::join(change(json!({ "city": left })), change(json!({ "address": right })));
            assert_eq!(both.await, (200, 200));
            let user = app.get("/api/users/3/", &admin).await.body;
            assert_eq!((&user["city"], &user["address"]), (&json!(left), &json!(right)));
        }
    }
}

/// An object that has one value under each of some keys.
fn object(keys: &[&str], value: &Value) -> Value {
    keys.iter().map(|key| ((*key).to_owned(), value.clone())).collect()
}

fn merge(object: &mut Value, more: Value) {
    let Value::Object(more) = more else { panic!("no object: {more}") };
    object.as_object_mut().expect("an object").extend(more);
}

/// Checks that an answer names exactly these fields, in the order of the alphabet, as taken.
fn assert_taken(answer: &Answer, fields: &[&str]) {
    assert_eq!(answer.status, 400, "{:?} for {fields:?}", answer.body);
    let object = answer.body.as_object().expect("an object");
    assert_eq!(object.keys().collect::<Vec<_>>(), fields);
    for (field, messages) in object {
        assert!(messages[0].as_str().is_some_and(|text| text.starts_with("Ya existe")), "{field}: {messages}");
    }
}
