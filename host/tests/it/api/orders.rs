//! Orders: placement, refusals, access, lists, changes of status, keys, and many at once.

mod access;
mod changes;
mod idempotency;
mod placement;
mod queries;

use super::{ids, is_time, keys};
use crate::support::TestApp;
use serde_json::{Value, json};

const CASCO: &str = "/api/orders/Casco%20de%20Seguridad/";

const ORDER_KEYS: [&str; 18] = [
    "confirmed_at",
    "created_at",
    "customer_id",
    "customer_name",
    "delivered_at",
    "delivery_address",
    "delivery_zone",
    "id",
    "notes",
    "product_id",
    "product_name",
    "status",
    "status_display",
    "total_price",
    "units",
    "updated_at",
    "warehouse_id",
    "warehouse_name",
];

/// An order of so many units from beside Bodega Norte.
fn near_norte(units: i64) -> Value {
    json!({ "units": units, "lat": 4.711, "lon": -74.072 })
}

/// Places an order that is confirmed, and returns it.
async fn placed(app: &TestApp, path: &str, token: &str, body: &Value) -> Value {
    let answer = app.post(path, token, body).await;
    assert_eq!((answer.status, &answer.body["confirmed"]), (200, &json!(true)), "{:?}", answer.body);
    answer.body["order"].clone()
}

/// Returns quantity and reserved quantity of a product's rows, by id.
async fn stock(app: &TestApp, operario: &str, product: &str) -> Vec<(i64, i64)> {
    let answer = app.get(&format!("/api/inventory/{product}/"), operario).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let number = |value: &Value| value.as_i64().expect("a number");
    let rows = answer.body.as_array().expect("a bare array").iter();
    rows.map(|row| (number(&row["quantity"]), number(&row["reserved_quantity"]))).collect()
}
