//! Orders in the database. `step` says what is left to be done with the stock of other services.
//!
//! What others are told of an order is told by the transaction that changes it.

use provesi_sdk::sql::{self, Connection, Database, Transaction, Value};
use provesi_sdk::{Choice as _, Money, Result, Timestamp, clock, columns, params, row};
use serde::Serialize;

use crate::domain::{Status, Warehouse};
use crate::saga::Step;

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Place => "PLACE",
            Self::Settle => "SETTLE",
            Self::Release => "RELEASE",
        }
    }
}

/// Topics of what others are told.
pub(crate) const TOPICS: &[&str] = &[CONFIRMED, REJECTED, CANCELLED];
const CONFIRMED: &str = "orders.confirmed";
const REJECTED: &str = "orders.rejected";
const CANCELLED: &str = "orders.cancelled";

/// Why an order was cancelled that nobody has called off, as others are told.
const STOCK_LOST: &str = "stock-lost";

/// The same, as its customer reads it.
const STOCK_LOST_NOTE: &str = "Cancelado: la bodega ya no tiene las unidades que estaban reservadas";

/// Orders that one run of the task takes up: their statements and typed calls, seven each with three warehouses, stay
/// below those that an invocation may have.
const AT_ONCE: usize = 32;

/// When an order was last touched, by whomever: who has waited longest is next. The index `orders_turn` has it.
const TURN: &str = "COALESCE(attempted_at, updated_at)";

/// A new order.
pub(crate) struct NewOrder<'a> {
    pub(crate) product_id: i64,
    pub(crate) product_name: &'a str,
    pub(crate) units: i64,
    pub(crate) customer_id: Option<i64>,
    pub(crate) customer_name: Option<&'a str>,
    pub(crate) total_price_cents: i64,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) main_warehouse: Option<&'a str>,
}

row! {
    /// What placement needs of an order.
    pub(crate) struct Draft {
        pub(crate) id: i64,
        pub(crate) product_id: i64,
        pub(crate) units: i64,
        pub(crate) latitude: f64,
        pub(crate) longitude: f64,
        pub(crate) main_warehouse: Option<String>,
        step: Option<String>,
    }
}

impl Draft {
    /// Returns what is left to be done with the order.
    pub(crate) fn step(&self) -> Option<Step> {
        [Step::Place, Step::Settle, Step::Release].into_iter().find(|step| Some(step.name()) == self.step.as_deref())
    }
}

const DRAFT: &str = "SELECT id, product_id, units, latitude, longitude, main_warehouse, step FROM orders";

/// Stores an order as PENDING and still to be placed.
pub(crate) fn insert(tx: &Transaction, new: &NewOrder<'_>) -> Result<i64> {
    let now = clock::now();
    let columns = columns! {
        product_id: new.product_id,
        product_name: new.product_name,
        units: new.units,
        status: Status::Pending.name(),
        step: Step::Place.name(),
        customer_id: new.customer_id,
        customer_name: new.customer_name,
        total_price_cents: new.total_price_cents,
        latitude: new.latitude,
        longitude: new.longitude,
        main_warehouse: new.main_warehouse,
        created_at: now,
        updated_at: now,
    };
    Ok(sql::insert(tx, "orders", columns)?)
}

/// Finds an order for placement.
pub(crate) fn draft(id: i64) -> Result<Option<Draft>> {
    Ok(Database.first(&format!("{DRAFT} WHERE id = $1"), params![id])?)
}

/// Lists orders with something left to be done that nobody has touched for some seconds, the longest untouched first.
pub(crate) fn unfinished(now: Timestamp, seconds: i64) -> Result<Vec<Draft>> {
    let after = format!("{DRAFT} WHERE step IS NOT NULL AND {TURN} > $1 ORDER BY {TURN} LIMIT {AT_ONCE}");
    let before = format!("{DRAFT} WHERE step IS NOT NULL AND {TURN} < $1 ORDER BY {TURN} LIMIT {AT_ONCE}");
    // One from the future was touched before a clock was set back: nobody is still at it, and its turn would come last.
    let mut drafts = Database.all::<Draft>(&after, params![now.plus_seconds(seconds)])?;
    drafts.extend(Database.all::<Draft>(&before, params![now.plus_seconds(-seconds)])?);
    drafts.truncate(AT_ONCE);
    Ok(drafts)
}

/// Notes that the task takes an order up: whatever becomes of it, others have their turn before it comes again.
pub(crate) fn attempt(id: i64) -> Result<()> {
    const ATTEMPT: &str = "UPDATE orders SET attempted_at = $1 WHERE id = $2 AND step IS NOT NULL";
    Database.execute(ATTEMPT, params![clock::now(), id])?;
    Ok(())
}

/// Confirms a PENDING order in a warehouse; says whether it was still pending.
pub(crate) fn confirm(id: i64, warehouse: &Warehouse) -> Result<bool> {
    const CONFIRM: &str = "UPDATE orders SET status = 'CONFIRMED', step = 'SETTLE', warehouse_id = $1, \
        warehouse_name = $2, confirmed_at = $3, updated_at = $4, attempted_at = NULL \
        WHERE id = $5 AND status = 'PENDING'";
    let now = clock::now();
    decide(CONFIRMED, CONFIRM, params![warehouse.id, &warehouse.name, now, now, id], None)
}

/// Rejects a PENDING order; says whether it was still pending.
pub(crate) fn reject(id: i64) -> Result<bool> {
    const REJECT: &str = "UPDATE orders SET status = 'REJECTED', step = 'RELEASE', updated_at = $1, \
        attempted_at = NULL WHERE id = $2 AND status = 'PENDING'";
    decide(REJECTED, REJECT, params![clock::now(), id], None)
}

/// Cancels an order that has a status; says whether it still had it.
pub(crate) fn cancel(id: i64, from: Status) -> Result<bool> {
    // It may hold or have taken stock, whatever step it was at.
    const CANCEL: &str = "UPDATE orders SET status = 'CANCELLED', step = 'RELEASE', updated_at = $1, \
        attempted_at = NULL WHERE id = $2 AND status = $3";
    decide(CANCELLED, CANCEL, params![clock::now(), id, from.name()], None)
}

/// Finds the warehouse of an order that is confirmed and still to be settled; none when the order is not, or has none.
pub(crate) fn unsettled(id: i64) -> Result<Option<Warehouse>> {
    const FIND: &str = "SELECT warehouse_id, warehouse_name FROM orders \
        WHERE id = $1 AND status = 'CONFIRMED' AND step = 'SETTLE' AND warehouse_id IS NOT NULL";
    let found = Database.first::<(i64, Option<String>)>(FIND, params![id])?;
    Ok(found.map(|(id, name)| Warehouse { id, name: name.unwrap_or_default() }))
}

/// Cancels a confirmed order whose stock is gone; says whether it was still to be settled.
pub(crate) fn give_up(id: i64) -> Result<bool> {
    const GIVE_UP: &str = "UPDATE orders SET status = 'CANCELLED', step = 'RELEASE', updated_at = $1, \
        attempted_at = NULL, notes = COALESCE(notes, $2) \
        WHERE id = $3 AND status = 'CONFIRMED' AND step = 'SETTLE'";
    decide(CANCELLED, GIVE_UP, params![clock::now(), STOCK_LOST_NOTE, id], Some(STOCK_LOST))
}

row! {
    /// An order that a decision has changed.
    #[derive(Serialize)]
    struct Decided {
        id: i64,
        product_id: i64,
        units: i64,
        total_price: Money,
        warehouse_id: Option<i64>,
        customer_id: Option<i64>,
    }
}

/// What others are told of it.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    order: Decided,
    /// Why, where nobody has called for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Changes an order if it is as the statement wants it, and tells of it; says whether it was.
fn decide(topic: &str, statement: &str, params: &[Value], reason: Option<&'static str>) -> Result<bool> {
    const TOLD: &str = "RETURNING id, product_id, units, total_price_cents, warehouse_id, customer_id";
    let statement = format!("{statement} {TOLD}");
    sql::transaction(|tx| {
        let Some(order) = tx.first::<Decided>(&statement, params)? else { return Ok(false) };
        tx.publish(topic, order.id, &Told { order, reason })?;
        Ok(true)
    })
}

/// Notes that nothing is left to be done, if it was this step that was.
pub(crate) fn finish(id: i64, step: Step) -> Result<()> {
    const FINISH: &str = "UPDATE orders SET step = NULL WHERE id = $1 AND step = $2";
    Database.execute(FINISH, params![id, step.name()])?;
    Ok(())
}

/// Moves an order with nothing left to be done from one status to another; says whether it still had the first one.
pub(crate) fn advance(id: i64, from: Status, to: Status) -> Result<bool> {
    const ADVANCE: &str = "UPDATE orders SET status = $1, updated_at = $2, delivered_at = $3 \
        WHERE id = $4 AND status = $5 AND step IS NULL";
    let now = clock::now();
    let delivered = (to == Status::Delivered).then_some(now);
    Ok(Database.execute(ADVANCE, params![to.name(), now, delivered, id, from.name()])? == 1)
}

/// Finds an order's status and customer.
pub(crate) fn status(id: i64) -> Result<Option<(Status, Option<i64>)>> {
    let found =
        Database.first::<(String, Option<i64>)>("SELECT status, customer_id FROM orders WHERE id = $1", params![id])?;
    Ok(found.and_then(|(status, customer)| Some((Status::parse(&status)?, customer))))
}
