//! Copies that follow: names that other services have copied are those that their owners give, soon after.

use std::time::Duration;

use crate::support::{TestApp, eventually, on_both_databases};
use serde_json::{Value, json};

/// Longest wait for a copy: far more than an event needs, also on a busy machine.
const BOUND: Duration = Duration::from_secs(30);

const CASCO: &str = "/api/orders/Casco%20de%20Seguridad/";

/// Places an order of the helmet for a customer, and returns its path.
async fn order(app: &TestApp, token: &str) -> String {
    let body = json!({ "units": 1, "lat": 4.711, "lon": -74.072, "customer_id": 3 });
    let answer = app.post(CASCO, token, &body).await;
    assert_eq!((answer.status, &answer.body["confirmed"]), (200, &json!(true)), "{:?}", answer.body);
    format!("/api/orders/{}/", answer.body["order"]["id"])
}

/// Changes something, which has to be accepted.
async fn change(app: &TestApp, path: &str, token: &str, body: &Value) {
    let answer = app.patch(path, token, body).await;
    assert_eq!(answer.status, 200, "{path} {body}: {:?}", answer.body);
}

async fn field(app: &TestApp, path: &str, token: &str, name: &str) -> Value {
    let answer = app.get(path, token).await;
    assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
    answer.body[name].clone()
}

/// Returns the names that a list of stock has for its product.
async fn names_of_stock(app: &TestApp, path: &str, operario: &str) -> Vec<Value> {
    let answer = app.get(path, operario).await;
    assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
    answer.body.as_array().expect("a bare array").iter().map(|row| row["product_name"].clone()).collect()
}

/// Returns how many orders a filter by product name finds.
async fn orders_of(app: &TestApp, operario: &str, name: &str) -> usize {
    let answer = app.get(&format!("/api/orders/?limit=10&product_name={}", name.replace(' ', "%20")), operario).await;
    assert_eq!(answer.status, 200, "{name}: {:?}", answer.body);
    let found = answer.body.as_array().expect("a bare array").len();
    assert_eq!(answer.header("x-total-count"), found.to_string(), "{name}");
    found
}

on_both_databases! {
    async fn a_renamed_product_is_renamed_where_its_name_was_copied(app) {
        let operario = app.token("operario").await;
        let path = order(app, &operario).await;
        for (name, stock) in [
            ("Casco Dieléctrico", "/api/inventory/Casco%20Diel%C3%A9ctrico/"),
            ("Casco Minero", "/api/inventory/Casco%20Minero/"),
        ] {
            change(app, "/api/products/1/", &operario, &json!({ "name": name })).await;
            let follows = async || field(app, &path, &operario, "product_name").await == name;
            eventually("the order has the new name", BOUND, follows).await;
            let follows = async || names_of_stock(app, stock, &operario).await.iter().all(|found| found == name);
            eventually("the stock has the new name", BOUND, follows).await;
            assert_eq!(names_of_stock(app, stock, &operario).await.len(), 3, "{name}");
        }
        assert_eq!(orders_of(app, &operario, "Casco Minero").await, 1);
        for gone in ["Casco de Seguridad", "Casco Dieléctrico"] {
            assert_eq!(orders_of(app, &operario, gone).await, 0, "{gone}");
        }
        // Nothing else has another name, also where the name is one that was given up.
        change(app, "/api/products/2/", &operario, &json!({ "name": "Casco de Seguridad" })).await;
        let other = order(app, &operario).await;
        let follows = async || field(app, &other, &operario, "product_name").await == "Casco de Seguridad";
        eventually("an order of the other product has its name", BOUND, follows).await;
        assert_eq!(field(app, &path, &operario, "product_name").await, "Casco Minero");
        assert_eq!(orders_of(app, &operario, "Casco de Seguridad").await, 1);
    }

    async fn stock_of_a_new_warehouse_has_the_name_of_now(app) {
        let operario = app.token("operario").await;
        change(app, "/api/products/3/", &operario, &json!({ "name": "Gafas Claras" })).await;
        let restock = json!({ "units": 5, "warehouse": "Bodega Sur" });
        let answer = app.post("/api/inventory/Gafas%20Claras/restock/", &operario, &restock).await;
        assert_eq!((answer.status, &answer.body["quantity"]), (200, &json!(5)), "{:?}", answer.body);
        let path = "/api/inventory/Gafas%20Claras/";
        let follow = async || names_of_stock(app, path, &operario).await == vec![json!("Gafas Claras"); 3];
        eventually("all rows have the new name", BOUND, follow).await;
    }

    async fn a_renamed_user_is_renamed_in_orders(app) {
        let (operario, admin) = (app.token("operario").await, app.token("admin").await);
        let path = order(app, &operario).await;
        assert_eq!(field(app, &path, &operario, "customer_name").await, "Maria Garcia");
        // A change that is none of the name tells nobody.
        change(app, "/api/users/3/", &admin, &json!({ "phone": "3000000000" })).await;
        for (body, name) in [
            (json!({ "first_name": "Ana" }), "Ana Garcia"),
            (json!({ "first_name": "María", "last_name": "Ruiz" }), "María Ruiz"),
        ] {
            change(app, "/api/users/3/", &admin, &body).await;
            let follows = async || field(app, &path, &operario, "customer_name").await == name;
            eventually("the order has the new name", BOUND, follows).await;
        }
    }
}
