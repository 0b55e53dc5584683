//! The task that finishes orders: those that it cannot finish keep no others from it, and those end too whose
//! reservation inventory has lost.

use std::time::Duration;

use provesi::db::{Cell, Database, Value};

use crate::support::{eventually, on_both_databases};

/// Orders that one run takes up, and some more.
const STUCK: i64 = 40;

/// Units of one product that lie in one warehouse of the demo data, and in no other.
const UNITS: i64 = 30;

/// In which an order is finished that was cut short: the contract's minute.
const RECOVERY: Duration = Duration::from_secs(60);

/// A product in a warehouse, by their ids.
#[derive(Clone, Copy)]
struct Place {
    product: i64,
    warehouse: i64,
}

/// Stores an order of one unit that was cut short long ago, the later the higher its number, which is its id.
async fn cut_short(database: &Database, number: i64, status: &str, step: &str, place: Place) {
    const INSERT: &str = "INSERT INTO orders (id, product_id, product_name, units, status, step, warehouse_id, \
        warehouse_name, total_price_cents, latitude, longitude, created_at, updated_at, confirmed_at) \
        VALUES ($1, $2, 'Arnes de Seguridad', 1, $3, $4, $5, 'Bodega Sur', 100, 4.6, -74.0, $6, $6, $6)";
    let params = [
        Value::Integer(number),
        Value::Integer(place.product),
        Value::Text(status.to_owned()),
        Value::Text(step.to_owned()),
        Value::Integer(place.warehouse),
        Value::Timestamp(number),
    ];
    database.execute(INSERT, &params).await.expect("stores");
}

/// Stores what inventory knows of an order.
async fn reserved(database: &Database, number: i64, state: &str, place: Place) {
    const INSERT: &str = "INSERT INTO reservations (order_id, product_id, warehouse_id, units, state, updated_at) \
        VALUES ($1, $2, $3, 1, $4, $5)";
    let params = [
        Value::Integer(number),
        Value::Integer(place.product),
        Value::Integer(place.warehouse),
        Value::Text(state.to_owned()),
        Value::Timestamp(number),
    ];
    database.execute(INSERT, &params).await.expect("stores");
}

async fn numbers<const N: usize>(database: &Database, select: &str) -> [i64; N] {
    let rows = database.query(select, &[]).await.expect("an answer");
    let row = rows.rows().next().expect("a row");
    let numbers = row.iter().map(|cell| if let Cell::Integer(number) = cell { *number } else { panic!("{row:?}") });
    numbers.collect::<Vec<_>>().try_into().expect("as many columns")
}

async fn count(database: &Database, condition: &str) -> i64 {
    let [count] = numbers(database, &format!("SELECT COUNT(*) FROM orders WHERE {condition}")).await;
    count
}

/// Finds where the units lie.
async fn place(inventory: &Database) -> Place {
    let select = format!("SELECT product_id, warehouse_id FROM stock WHERE quantity = {UNITS}");
    let [product, warehouse] = numbers(inventory, &select).await;
    Place { product, warehouse }
}

on_both_databases! {
    async fn orders_that_cannot_be_finished_keep_no_others_from_it(app) {
        let (orders, inventory) = (app.database("orders").await, app.database("inventory").await);
        let place = place(&inventory).await;
        for number in 1..=STUCK {
            // Inventory contradicts itself: what it says is held is not among what is reserved, and cannot be taken.
            reserved(&inventory, number, "HELD", place).await;
            cut_short(&orders, number, "CONFIRMED", "SETTLE", place).await;
        }
        cut_short(&orders, STUCK + 1, "CANCELLED", "RELEASE", place).await;
        eventually("the last one is finished", RECOVERY, async || count(&orders, "step = 'RELEASE'").await == 0).await;
        assert_eq!(count(&orders, "step = 'SETTLE'").await, STUCK, "the others are as they were");
        orders.close().await;
        inventory.close().await;
    }

    async fn orders_whose_reservation_inventory_has_lost_end(app) {
        let (orders, inventory) = (app.database("orders").await, app.database("inventory").await);
        let place = place(&inventory).await;
        // What was taken already is not taken again.
        reserved(&inventory, STUCK + 1, "SETTLED", place).await;
        for number in 1..=STUCK + 1 {
            cut_short(&orders, number, "CONFIRMED", "SETTLE", place).await;
        }
        eventually("all have ended", RECOVERY, async || count(&orders, "step IS NOT NULL").await == 0).await;
        assert_eq!(count(&orders, "status = 'CONFIRMED'").await, UNITS + 1, "as many as there were units for");
        let select = format!(
            "SELECT quantity, reserved_quantity FROM stock WHERE product_id = {} AND warehouse_id = {}",
            place.product, place.warehouse
        );
        let [quantity, reserved] = numbers(&inventory, &select).await;
        assert_eq!((quantity, reserved), (0, 0), "each unit was taken once");

        // The others are cancelled, and who placed them can read why.
        let cancelled = app.get("/api/orders/?status=CANCELLED", &app.token("operario").await).await;
        let cancelled = cancelled.body.as_array().expect("a bare array");
        assert_eq!(cancelled.len(), usize::try_from(STUCK - UNITS).expect("a small number"));
        for order in cancelled {
            assert!(order["notes"].as_str().is_some_and(|notes| notes.starts_with("Cancelado: ")), "{order}");
        }
        orders.close().await;
        inventory.close().await;
    }
}
