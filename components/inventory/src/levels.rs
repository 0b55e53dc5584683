//! What others are told of stock: each change, and that a product is running out.
//!
//! A product runs out when what is available of it in all warehouses together falls below its `min_stock`. That is told
//! once, and again only after there was enough in between.

use provesi_sdk::sql::{Connection, Transaction};
use provesi_sdk::{Result, params, row};
use serde::Serialize;

/// Topics of it.
pub(crate) const TOPICS: &[&str] = &[CHANGED, LOW];
const CHANGED: &str = "inventory.changed";
const LOW: &str = "inventory.low";

/// Which way the available units of a product went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// There are less, or as many.
    Taken,
    /// There are more.
    Given,
}

/// Whether the `min_stock` of a product is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MinStock {
    /// It is.
    Known,
    /// The catalogue was never asked.
    Unknown,
}

/// A product's stock in a warehouse is another.
#[derive(Serialize)]
struct Changed {
    product_id: i64,
    warehouse_id: i64,
    quantity: i64,
    reserved_quantity: i64,
    available_quantity: i64,
}

/// A product is running out.
#[derive(Serialize)]
struct Low {
    product_id: i64,
    available_quantity: i64,
    min_stock: i64,
}

row! {
    struct Seen {
        quantity: i64,
        reserved_quantity: i64,
        available_of_all: i64,
        min_stock: Option<i64>,
        is_low: Option<bool>,
    }
}

/// Tells of a change of a row of stock, in its transaction.
pub(crate) fn tell(tx: &Transaction, product_id: i64, warehouse_id: i64, change: Change) -> Result<MinStock> {
    const SEE: &str = "SELECT s.quantity, s.reserved_quantity, \
        CAST((SELECT SUM(t.quantity - t.reserved_quantity) FROM stock t WHERE t.product_id = s.product_id) AS BIGINT), \
        k.min_stock, k.is_low FROM stock s LEFT JOIN known_products k ON k.product_id = s.product_id \
        WHERE s.product_id = $1 AND s.warehouse_id = $2";
    let Some(seen) = tx.first::<Seen>(SEE, params![product_id, warehouse_id])? else { return Ok(MinStock::Known) };
    let Seen { quantity, reserved_quantity, .. } = seen;
    let available_quantity = quantity - reserved_quantity;
    // The row's own key: its changes wait for each other, so they are told in their order.
    let key = format!("{product_id}/{warehouse_id}");
    tx.publish(CHANGED, key, &Changed { product_id, warehouse_id, quantity, reserved_quantity, available_quantity })?;
    let Some(min_stock) = seen.min_stock else { return Ok(MinStock::Unknown) };
    judge(
        tx,
        change,
        seen.is_low.unwrap_or(false),
        Low { product_id, available_quantity: seen.available_of_all, min_stock },
    )?;
    Ok(MinStock::Known)
}

/// Tells that a product is running out, if it does by what was learnt of it.
pub(crate) fn check(tx: &Transaction, product_id: i64) -> Result<()> {
    const SEE: &str =
        "SELECT CAST(SUM(s.quantity - s.reserved_quantity) AS BIGINT) FROM stock s WHERE s.product_id = $1";
    const KNOWN: &str = "SELECT min_stock, is_low FROM known_products WHERE product_id = $1";
    // Of what was never there nothing runs out.
    let Some((Some(available_quantity),)) = tx.first::<(Option<i64>,)>(SEE, params![product_id])? else {
        return Ok(());
    };
    let Some((Some(min_stock), is_low)) = tx.first::<(Option<i64>, bool)>(KNOWN, params![product_id])? else {
        return Ok(());
    };
    judge(tx, Change::Taken, is_low, Low { product_id, available_quantity, min_stock })
}

/// Notes whether a product is low, and tells of it when it has come to be so by falling.
///
/// Two transactions at once may each miss what the other one takes; the units that both reserve are settled later, and
/// whoever settles last sees all of it.
fn judge(tx: &Transaction, change: Change, was_low: bool, seen: Low) -> Result<()> {
    const NOTE: &str = "UPDATE known_products SET is_low = $1 WHERE product_id = $2 AND is_low <> $3";
    let is_low = seen.available_quantity < seen.min_stock;
    if is_low != was_low
        && tx.execute(NOTE, params![is_low, seen.product_id, is_low])? == 1
        && is_low
        && change == Change::Taken
    {
        tx.publish(LOW, seen.product_id, &seen)?;
    }
    Ok(())
}
