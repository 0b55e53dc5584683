//! Reservations: what orders hold, have taken, or gave back. Every step can be repeated without harm.

use provesi_sdk::sql::{Connection, Transaction};
use provesi_sdk::{Result, clock, params, row};

use crate::levels::{self, Change, MinStock};

row! {
    /// What an order has done to the stock.
    pub(crate) struct Reservation {
        pub(crate) product_id: i64,
        pub(crate) warehouse_id: i64,
        pub(crate) units: i64,
        pub(crate) state: String,
    }
}

/// How a reservation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reserved {
    /// The units are held.
    Held(MinStock),
    /// The warehouse has not so many available.
    Insufficient,
    /// The order holds something else, or gave back for good.
    Mismatch,
}

/// Finds what an order has done. On PostgreSQL a second transaction for the same order waits at its first change.
pub(crate) fn find(tx: &impl Connection, order: i64) -> Result<Option<Reservation>> {
    const FIND: &str = "SELECT product_id, warehouse_id, units, state FROM reservations WHERE order_id = $1";
    Ok(tx.first(FIND, params![order])?)
}

pub(crate) fn reserve(tx: &Transaction, order: i64, product: i64, warehouse: i64, units: i64) -> Result<Reserved> {
    const CLAIM: &str = "INSERT INTO reservations (order_id, product_id, warehouse_id, units, state, updated_at) \
        VALUES ($1, $2, $3, $4, 'HELD', $5) ON CONFLICT (order_id) DO NOTHING";
    const HOLD: &str = "UPDATE stock SET reserved_quantity = reserved_quantity + $1, updated_at = $2 \
        WHERE product_id = $3 AND warehouse_id = $4 AND quantity - reserved_quantity >= $5";
    let now = clock::now();
    if tx.execute(CLAIM, params![order, product, warehouse, units, now])? == 0 {
        let found = find(tx, order)?;
        let same = found.is_some_and(|found| {
            found.state != "RELEASED"
                && (found.product_id, found.warehouse_id, found.units) == (product, warehouse, units)
        });
        return Ok(if same { Reserved::Held(MinStock::Known) } else { Reserved::Mismatch });
    }
    if tx.execute(HOLD, params![units, now, product, warehouse, units])? == 1 {
        return Ok(Reserved::Held(levels::tell(tx, product, warehouse, Change::Taken)?));
    }
    tx.execute("DELETE FROM reservations WHERE order_id = $1", params![order])?;
    Ok(Reserved::Insufficient)
}

/// Takes held units out for good; says whether the order holds or has taken any.
pub(crate) fn settle(tx: &Transaction, order: i64) -> Result<bool> {
    const STATE: &str =
        "UPDATE reservations SET state = 'SETTLED', updated_at = $1 WHERE order_id = $2 AND state = 'HELD'";
    const TAKE: &str = "UPDATE stock SET quantity = quantity - $1, reserved_quantity = reserved_quantity - $2, \
        updated_at = $3 WHERE product_id = $4 AND warehouse_id = $5";
    let now = clock::now();
    let changed = tx.execute(STATE, params![now, order])?;
    let Some(found) = find(tx, order)? else { return Ok(false) };
    if changed == 1 {
        tx.execute(TAKE, params![found.units, found.units, now, found.product_id, found.warehouse_id])?;
        levels::tell(tx, found.product_id, found.warehouse_id, Change::Taken)?;
    }
    Ok(found.state == "SETTLED")
}

/// Gives back what an order holds or has taken; it can hold nothing afterwards.
pub(crate) fn release(tx: &Transaction, order: i64) -> Result<()> {
    const CLOSE: &str = "INSERT INTO reservations (order_id, product_id, warehouse_id, units, state, updated_at) \
        VALUES ($1, 0, 0, 0, 'RELEASED', $2) ON CONFLICT (order_id) DO NOTHING";
    const LET_GO: &str =
        "UPDATE reservations SET state = 'RELEASED', updated_at = $1 WHERE order_id = $2 AND state = $3";
    const UNHOLD: &str = "UPDATE stock SET reserved_quantity = reserved_quantity - $1, updated_at = $2 \
        WHERE product_id = $3 AND warehouse_id = $4";
    const RETURN: &str = "UPDATE stock SET quantity = quantity + $1, updated_at = $2 \
        WHERE product_id = $3 AND warehouse_id = $4";
    let now = clock::now();
    if tx.execute(CLOSE, params![order, now])? == 1 {
        return Ok(());
    }
    for (state, give_back) in [("HELD", UNHOLD), ("SETTLED", RETURN)] {
        if tx.execute(LET_GO, params![now, order, state])? == 1 {
            let found = find(tx, order)?.expect("the row was just changed");
            tx.execute(give_back, params![found.units, now, found.product_id, found.warehouse_id])?;
            levels::tell(tx, found.product_id, found.warehouse_id, Change::Given)?;
        }
    }
    Ok(())
}
