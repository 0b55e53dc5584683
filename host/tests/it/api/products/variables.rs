//! Variables: qualities of a product that measurements name.

use super::{array, assert_access, assert_fields, assert_keys};
use crate::support::on_both_databases;
use serde_json::json;

on_both_databases! {
    async fn variables_are_public_and_kept_by_staff(app) {
        let (cliente, token) = (app.token("cliente").await, app.token("operario").await);
        let list = app.get("/api/variables/", "").await;
        let ids: Vec<i64> = array(&list).iter().map(|variable| variable["id"].as_i64().expect("an id")).collect();
        assert_eq!((list.status, ids), (200, (1..=8).collect::<Vec<i64>>()));
        let temperature = json!({ "id": 1, "name": "Temperatura", "product": 1, "product_name": "Casco de Seguridad" });
        assert_eq!(list.body[0], temperature);
        let of_helmet = app.get("/api/variables/?product=1", "").await;
        assert_eq!((of_helmet.status, &of_helmet.body), (200, &json!([temperature])));
        assert_eq!(app.get("/api/variables/?product=99", "").await.body, json!([]));
        assert_fields(&app.get("/api/variables/?product=casco", "").await, &["product"]);
        let page = app.get("/api/variables/?limit=2", "").await;
        assert_eq!((array(&page).len(), page.header("x-total-count")), (2, "8"));

        let (path, new) = ("/api/variables/", json!({ "name": " Peso " }));
        assert_access(&app.post(path, "", &new).await, &app.post(path, &cliente, &new).await);
        let created = app.post(path, &token, &new).await;
        let id = created.body["id"].clone();
        assert_eq!(created.status, 201, "{:?}", created.body);
        assert_eq!(created.body, json!({ "id": id, "name": "Peso", "product": null }), "no name of no product");
        assert_fields(&app.post(path, &token, &json!({ "product": 1 })).await, &["name"]);
        assert_fields(&app.post(path, &token, &json!({ "name": "x".repeat(51) })).await, &["name"]);
        assert_fields(&app.post(path, &token, &json!({ "name": "Peso", "product": 99 })).await, &["product"]);

        let one = format!("/api/variables/{id}/");
        let patch = json!({ "product": 1 });
        assert_access(&app.patch(&one, "", &patch).await, &app.patch(&one, &cliente, &patch).await);
        let changed = app.patch(&one, &token, &patch).await;
        let expected = json!({ "id": id, "name": "Peso", "product": 1, "product_name": "Casco de Seguridad" });
        assert_eq!((changed.status, &changed.body), (200, &expected));
        assert_fields(&app.patch(&one, &token, &json!({ "product": 99 })).await, &["product"]);
        let loose = app.patch(&one, &token, &json!({ "name": "Masa", "product": null })).await;
        assert_eq!((loose.status, &loose.body), (200, &json!({ "id": id, "name": "Masa", "product": null })));
        assert_access(&app.delete(&one, "").await, &app.delete(&one, &cliente).await);
        assert_eq!(app.delete(&one, &token).await.status, 204);
        assert_eq!(array(&app.get(path, "").await).len(), 8);
        for none in [app.patch(&one, &token, &patch).await, app.delete(&one, &token).await] {
            assert_eq!(none.status, 404);
            assert_keys(&none.body, &["error"]);
        }
    }
}
