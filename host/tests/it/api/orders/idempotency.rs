//! Keys of callers: an order is placed once, and its first answer given again.

use super::{CASCO, ids, near_norte, stock};
use crate::support::{Answer, TestApp, on_both_databases, send};
use serde_json::{Value, json};

async fn keyed(app: &TestApp, path: &str, token: &str, key: &str, body: &Value) -> Answer {
    send(app.request("POST", path).bearer_auth(token).header("Idempotency-Key", key).json(body)).await
}

on_both_databases! {
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
}
