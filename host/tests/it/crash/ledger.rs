//! What the host says of stock and orders after the trouble, against what it had told the clients.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::client::{Placed, Wish};
use crate::support::{Process, send};

/// What is ordered; of the last one there is so little that orders are rejected too.
pub(super) const PRODUCTS: [&str; 3] = ["Mascarilla N95", "Guantes Industriales", "Arnes de Seguridad"];

/// Units added to each row of the others: more than any run can order.
const PLENTY: i64 = 1_000_000;

/// Most orders that one page has.
const PAGE: usize = 500;

/// Quantity and reserved quantity, by product and warehouse.
pub(super) type Stock = BTreeMap<(String, i64), (i64, i64)>;

/// Writes a product's name as a segment of a path.
pub(super) fn segment(product: &str) -> String {
    product.replace(' ', "%20")
}

/// Restocks what must not run out.
pub(super) async fn fill(process: &Process, operario: &str) {
    for product in &PRODUCTS[..PRODUCTS.len() - 1] {
        for row in rows(process, operario, product).await {
            let path = format!("/api/inventory/{}/restock/", segment(product));
            let body = json!({ "units": PLENTY, "warehouse": row["warehouse_name"] });
            let answer = send(process.request("POST", &path).bearer_auth(operario).json(&body)).await;
            assert_eq!(answer.status, 200, "{:?}", answer.body);
        }
    }
}

/// Reads the stock of all that is ordered.
pub(super) async fn stock(process: &Process, operario: &str) -> Stock {
    let mut stock = Stock::new();
    for product in PRODUCTS {
        for row in rows(process, operario, product).await {
            let amounts = (number(&row["quantity"]), number(&row["reserved_quantity"]));
            stock.insert((product.to_owned(), number(&row["warehouse"])), amounts);
        }
    }
    stock
}

/// Says whether no order is pending and no unit is held.
pub(super) async fn is_settled(process: &Process, operario: &str) -> bool {
    let pending = process.get("/api/orders/?status=PENDING&limit=1", operario).await;
    assert_eq!(pending.status, 200, "{:?}", pending.body);
    let stock = stock(process, operario).await;
    pending.body == json!([]) && stock.values().all(|(_, reserved)| *reserved == 0)
}

/// Checks that keys and orders match one to one, but for one order without a key, and that what was confirmed is what
/// has left the warehouses; returns what others have to be told of each order.
pub(super) async fn check<'c>(
    process: &Process,
    operario: &str,
    initial: Stock,
    kept: impl Iterator<Item = &'c (Wish, Placed)>,
    without_key: i64,
) -> BTreeMap<i64, &'static str> {
    let mut orders = orders(process, operario).await;
    let decided = orders.iter().map(|(id, order)| (*id, topic(order))).collect();
    assert!(orders.remove(&without_key).is_some(), "{without_key} is gone");
    let mut told = BTreeSet::new();
    for (wish, placed) in kept {
        assert!(told.insert(placed.id), "another key has the order of {wish:?} too: {placed:?}");
        let Some(order) = orders.get(&placed.id) else { panic!("the order of {wish:?} is gone: {placed:?}") };
        let status = if placed.confirmed { "CONFIRMED" } else { "REJECTED" };
        let found = (&order["product_name"], &order["units"], &order["status"]);
        assert_eq!(found, (&json!(wish.product), &json!(wish.units), &json!(status)), "{wish:?} {order}");
    }
    let untold: Vec<&Value> = orders.values().filter(|order| !told.contains(&number(&order["id"]))).collect();
    assert!(untold.is_empty(), "orders that nobody was told of: {untold:?}");

    let mut expected = initial;
    for order in orders.values().filter(|order| order["status"] == "CONFIRMED") {
        let product = order["product_name"].as_str().expect("a name").to_owned();
        let row = expected.get_mut(&(product, number(&order["warehouse_id"])));
        row.expect("a confirmed order has a warehouse with such stock").0 -= number(&order["units"]);
    }
    assert_eq!(stock(process, operario).await, expected);
    decided
}

/// Returns the topic of what is told of an order that is settled.
fn topic(order: &Value) -> &'static str {
    match order["status"].as_str() {
        Some("CONFIRMED") => "orders.confirmed",
        Some("REJECTED") => "orders.rejected",
        _ => panic!("not settled: {order}"),
    }
}

/// Reads all orders, by id.
async fn orders(process: &Process, operario: &str) -> BTreeMap<i64, Value> {
    let mut orders = BTreeMap::new();
    for page in 0.. {
        let path = format!("/api/orders/?limit={PAGE}&offset={}", page * PAGE);
        let answer = process.get(&path, operario).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let Value::Array(found) = answer.body else { panic!("no bare array: {:?}", answer.body) };
        let is_last = found.len() < PAGE;
        orders.extend(found.into_iter().map(|order| (number(&order["id"]), order)));
        if is_last {
            break;
        }
    }
    orders
}

async fn rows(process: &Process, operario: &str, product: &str) -> Vec<Value> {
    let answer = process.get(&format!("/api/inventory/{}/", segment(product)), operario).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let Value::Array(rows) = answer.body else { panic!("no bare array: {:?}", answer.body) };
    rows
}

fn number(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}
