//! Changes of status, and what they do to stock.

use super::{CASCO, ORDER_KEYS, is_time, keys, near_norte, placed, stock};
use crate::support::{on_both_databases, send};
use serde_json::{Value, json};

on_both_databases! {
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
}
