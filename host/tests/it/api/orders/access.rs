//! Who may order, see and change what.

use super::{CASCO, near_norte, placed};
use crate::support::on_both_databases;
use serde_json::json;

on_both_databases! {
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
}
