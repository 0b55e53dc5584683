//! Suppliers, for the signed in.

use super::{SUPPLIER, assert_access, assert_fields, assert_keys, names, supplier};
use crate::support::on_both_databases;
use serde_json::{Value, json};

on_both_databases! {
    async fn suppliers_are_listed_for_the_signed_in_and_kept_by_staff(app) {
        let (cliente, token) = (app.token("cliente").await, app.token("operario").await);
        assert_eq!(app.get("/api/suppliers/", "").await.status, 401);
        let list = app.get("/api/suppliers/", &cliente).await;
        assert_eq!((list.status, names(&list)), (200, vec!["Distribuidora Andina"]));
        assert_keys(&list.body[0], &SUPPLIER);
        for (key, value) in [
            ("id", json!(1)), ("nit", json!("900123456-7")), ("email", json!("ventas@andina.co")),
            ("city", json!("Bogotá")), ("contact_person", json!("Juan Pérez")), ("credit_days", json!(30)),
            ("rating", json!("4.50")), ("notes", json!(null)), ("products_count", json!(8)),
        ] {
            assert_eq!(list.body[0][key], value, "{key}");
        }

        let (path, new) = ("/api/suppliers/", supplier());
        assert_access(&app.post(path, "", &new).await, &app.post(path, &cliente, &new).await);
        let created = app.post(path, &token, &new).await;
        assert_eq!(created.status, 201, "{:?}", created.body);
        assert_keys(&created.body, &SUPPLIER);
        for (key, value) in [
            ("is_active", json!(true)), ("credit_days", json!(30)), ("notes", json!(null)),
            ("products_count", json!(0)),
        ] {
            assert_eq!(created.body[key], value, "{key}");
        }
        assert_eq!(names(&app.get(path, &token).await), ["Acme", "Distribuidora Andina"]);
        let page = app.get("/api/suppliers/?limit=1&offset=1", &token).await;
        assert_eq!(page.status, 200, "{:?}", page.body);
        assert_eq!((names(&page), page.header("x-total-count")), (vec!["Distribuidora Andina"], "2"));

        let one = format!("/api/suppliers/{}/", created.body["id"]);
        let patch = json!({ "rating": 3.5, "notes": "Paga tarde", "credit_days": 0 });
        assert_access(&app.patch(&one, "", &patch).await, &app.patch(&one, &cliente, &patch).await);
        let changed = app.patch(&one, &token, &patch).await;
        assert_eq!((changed.status, &changed.body["rating"]), (200, &json!("3.50")), "{:?}", changed.body);
        assert_eq!((&changed.body["notes"], &changed.body["credit_days"]), (&json!("Paga tarde"), &json!(0)));
        let cleared = app.patch(&one, &token, &json!({ "notes": null })).await;
        assert_eq!((&cleared.body["notes"], &cleared.body["name"]), (&Value::Null, &json!("Acme")));
        assert_access(&app.delete(&one, "").await, &app.delete(&one, &cliente).await);
        assert_eq!(app.delete(&one, &token).await.status, 204);
        assert_eq!(names(&app.get(path, &token).await), ["Distribuidora Andina"]);
        let unknown = "/api/suppliers/99/";
        for none in [app.patch(unknown, &token, &patch).await, app.delete(unknown, &token).await] {
            assert_eq!(none.status, 404);
            assert_keys(&none.body, &["error"]);
        }
    }

    async fn a_supplier_with_wrong_fields_is_refused(app) {
        let token = app.token("operario").await;
        let required = ["name", "nit", "email", "phone", "address", "city", "contact_person"];
        assert_fields(&app.post("/api/suppliers/", &token, &json!({})).await, &required);
        let other = app.post("/api/suppliers/", &token, &supplier()).await;
        let other = format!("/api/suppliers/{}/", other.body["id"]);
        let mut unused = supplier();
        for (key, value) in [("name", "Nueva"), ("nit", "800123456-2"), ("email", "ventas@nueva.co")] {
            unused[key] = json!(value);
        }
        for (key, value) in [
            ("name", json!("Distribuidora Andina")),
            ("nit", json!("900123456-7")),
            ("email", json!("ventas@andina.co")),
            ("nit", json!("900123456")),
            ("nit", json!("90012345-67")),
            ("nit", json!("900123456-77")),
            ("email", json!("andina.co")),
            ("rating", json!("5.01")),
            ("rating", json!(4.555)),
            ("credit_days", json!(366)),
            ("credit_days", json!(-1)),
            ("city", json!("x".repeat(101))),
        ] {
            let mut body = unused.clone();
            body[key] = value.clone();
            assert_fields(&app.post("/api/suppliers/", &token, &body).await, &[key]);
            let mut patch = json!({});
            patch[key] = value;
            assert_fields(&app.patch(&other, &token, &patch).await, &[key]);
        }
    }
}
