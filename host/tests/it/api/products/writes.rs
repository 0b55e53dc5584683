//! Products as staff creates and changes them, also with a key.

use super::{NAMES, PRODUCT, array, assert_access, assert_fields, assert_keys, assert_no_product, names, supplier};
use crate::support::{Answer, TestApp, on_both_databases, send};
use serde_json::{Value, json};

async fn create_with_key(app: &TestApp, token: &str, key: &str, body: &Value) -> Answer {
    send(app.request("POST", "/api/products/").bearer_auth(token).header("Idempotency-Key", key).json(body)).await
}

on_both_databases! {
    async fn staff_creates_a_product_with_nothing_but_a_name(app) {
        let new = json!({ "name": "  Linterna LED  " });
        let cliente = app.token("cliente").await;
        for path in ["/api/products/", "/api/products/create/"] {
            assert_access(&app.post(path, "", &new).await, &app.post(path, &cliente, &new).await);
        }
        let token = app.token("operario").await;
        let created = app.post("/api/products/", &token, &new).await;
        assert_eq!(created.status, 201, "{:?}", created.body);
        let keys: Vec<&str> = PRODUCT.into_iter().filter(|key| *key != "supplier_name").collect();
        assert_keys(&created.body, &keys);
        for (key, value) in [
            ("name", json!("Linterna LED")), ("description", json!(null)), ("sku", json!(null)),
            ("supplier", json!(null)), ("unit_price", json!("0.00")), ("cost_price", json!("0.00")),
            ("category", json!(null)), ("min_stock", json!(0)), ("max_stock", json!(10000)),
            ("is_active", json!(true)), ("requires_special_handling", json!(false)), ("profit_margin", json!(0.0)),
        ] {
            assert_eq!(created.body[key], value, "{key}");
        }
        let priced =
            json!({ "name": "Cinta", "sku": "CIN-1", "supplier": 1, "unit_price": 100.5, "cost_price": "300" });
        let priced = app.post("/api/products/create/", &app.token("admin").await, &priced).await;
        assert_eq!(priced.status, 201, "{:?}", priced.body);
        assert_keys(&priced.body, &PRODUCT);
        for (key, value) in [
            ("supplier_name", json!("Distribuidora Andina")), ("unit_price", json!("100.50")),
            ("cost_price", json!("300.00")), ("profit_margin", json!(-66.5)),
        ] {
            assert_eq!(priced.body[key], value, "{key}");
        }

        let path = format!("/api/products/{}/", priced.body["id"]);
        let patch = json!({ "sku": null, "supplier": null, "unit_price": 99_999_999.99 });
        assert_access(&app.patch(&path, "", &patch).await, &app.patch(&path, &cliente, &patch).await);
        assert_access(&app.delete(&path, "").await, &app.delete(&path, &cliente).await);
        let changed = app.patch(&path, &token, &patch).await;
        assert_eq!(changed.status, 200, "{:?}", changed.body);
        assert_keys(&changed.body, &keys);
        assert_eq!((&changed.body["sku"], &changed.body["unit_price"]), (&Value::Null, &json!("99999999.99")));
        assert_eq!(changed.body["cost_price"], "300.00", "what is not sent stays");
        assert_no_product(&app.patch("/api/products/99/", &token, &patch).await);
    }

    async fn a_product_with_wrong_fields_is_refused(app) {
        let token = app.token("operario").await;
        let several = json!({
            "name": "", "unit_price": "gratis", "min_stock": -1, "max_stock": 1.5, "is_active": "sí", "category": 7,
            "supplier": "andina",
        });
        let fields = ["name", "unit_price", "min_stock", "max_stock", "is_active", "category", "supplier"];
        assert_fields(&app.post("/api/products/", &token, &several).await, &fields);
        assert_fields(&app.post("/api/products/create/", &token, &json!({})).await, &["name"]);
        for (key, value) in [
            ("name", json!("Casco de Seguridad")),
            ("name", json!("a/b")),
            ("name", json!("x".repeat(101))),
            ("sku", json!("CSI-001")),
            ("sku", json!("x".repeat(51))),
            ("supplier", json!(99)),
            ("unit_price", json!(10.999)),
            ("unit_price", json!("10.999")),
            ("cost_price", json!(-1)),
            ("cost_price", json!("100000000")),
        ] {
            let mut body = json!({ "name": "Nuevo" });
            body[key] = value.clone();
            assert_fields(&app.post("/api/products/", &token, &body).await, &[key]);
            let mut patch = json!({});
            patch[key] = value;
            assert_fields(&app.patch("/api/products/2/", &token, &patch).await, &[key]);
        }
        let body = json!({ "name": "Nuevo", "min_stock": 11, "max_stock": 10 });
        assert_fields(&app.post("/api/products/", &token, &body).await, &["non_field_errors"]);
        let above = json!({ "min_stock": 501 });
        assert_fields(&app.patch("/api/products/1/", &token, &above).await, &["non_field_errors"]);
        assert_eq!(names(&app.get("/api/products/", "").await), NAMES, "nothing was stored");
    }

    async fn a_repeated_key_creates_one_product(app) {
        let (operario, admin) = (app.token("operario").await, app.token("admin").await);
        let first = create_with_key(app, &operario, "k-1", &json!({ "name": "Linterna" })).await;
        assert_eq!(first.status, 201, "{:?}", first.body);
        let again = create_with_key(app, &operario, "k-1", &json!({ "name": "Linterna" })).await;
        assert_eq!((again.status, &again.body), (201, &first.body));
        let other = create_with_key(app, &operario, "k-1", &json!({ "name": "Cuerda" })).await;
        assert_eq!(other.status, 409);
        assert_keys(&other.body, &["error"]);
        let others_key = create_with_key(app, &admin, "k-1", &json!({ "name": "Cuerda" })).await;
        assert_eq!(others_key.status, 201, "a key is the caller's own: {:?}", others_key.body);
        let no_key = app.post("/api/products/", &operario, &json!({ "name": "Linterna" })).await;
        assert_fields(&no_key, &["name"]);
        assert_eq!(array(&app.get("/api/products/?search=linterna", "").await).len(), 1);

        let variable = json!({ "name": "Peso", "product": 1 });
        for (path, body) in [("/api/suppliers/", &supplier()), ("/api/variables/", &variable)] {
            let request = || app.request("POST", path).bearer_auth(&admin).header("Idempotency-Key", "k").json(body);
            let (first, again) = (send(request()).await, send(request()).await);
            assert_eq!((first.status, again.status, &again.body), (201, 201, &first.body), "{path}");
        }
    }

    async fn requests_with_one_key_at_once_create_one_product(app) {
        let token = app.token("operario").await;
        let body = json!({ "name": "Linterna" });
        let answers = futures::future::join_all((0..8).map(|_| create_with_key(app, &token, "k-1", &body))).await;
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (201, &answers[0].body));
        }
        let list = app.get("/api/products/", "").await;
        assert_eq!(names(&list).into_iter().filter(|name| *name == "Linterna").count(), 1);
    }
}
