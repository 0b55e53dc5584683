//! Orders in the database. `step` says what is left to be done with the stock of other services.

use provesi_sdk::sql::{self, Connection, Database, Transaction};
use provesi_sdk::{Choice as _, Result, Timestamp, clock, columns, params, row};

use crate::domain::{Candidate, Status};

/// What is left to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Find a warehouse and reserve.
    Place,
    /// Take the reserved units for good.
    Settle,
    /// Give back what is held or was taken.
    Release,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Place => "PLACE",
            Self::Settle => "SETTLE",
            Self::Release => "RELEASE",
        }
    }
}

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

/// Lists orders with something left to be done that nobody has touched since, oldest first.
pub(crate) fn unfinished(before: Timestamp) -> Result<Vec<Draft>> {
    let statement = format!("{DRAFT} WHERE step IS NOT NULL AND updated_at < $1 ORDER BY updated_at LIMIT 200");
    Ok(Database.all(&statement, params![before])?)
}

/// Confirms a PENDING order in a warehouse; says whether it was still pending.
pub(crate) fn confirm(id: i64, warehouse: &Candidate) -> Result<bool> {
    const CONFIRM: &str = "UPDATE orders SET status = 'CONFIRMED', step = 'SETTLE', warehouse_id = $1, \
        warehouse_name = $2, confirmed_at = $3, updated_at = $4 WHERE id = $5 AND status = 'PENDING'";
    let now = clock::now();
    Ok(Database.execute(CONFIRM, params![warehouse.id, &warehouse.name, now, now, id])? == 1)
}

/// Rejects a PENDING order; whatever it may hold is still to be given back.
pub(crate) fn reject(id: i64) -> Result<()> {
    const REJECT: &str = "UPDATE orders SET status = 'REJECTED', step = 'RELEASE', updated_at = $1 \
        WHERE id = $2 AND status = 'PENDING'";
    Database.execute(REJECT, params![clock::now(), id])?;
    Ok(())
}

/// Notes that a step is done.
pub(crate) fn done(id: i64, step: Step) -> Result<()> {
    let statement = "UPDATE orders SET step = NULL WHERE id = $1 AND step = $2";
    Database.execute(statement, params![id, step.name()])?;
    Ok(())
}

/// Moves an order from one status to another; says whether it still had the first one.
pub(crate) fn advance(id: i64, from: Status, to: Status) -> Result<bool> {
    const ADVANCE: &str = "UPDATE orders SET status = $1, step = $2, updated_at = $3, delivered_at = $4 \
        WHERE id = $5 AND status = $6 AND (step IS NULL OR $7)";
    let now = clock::now();
    // A cancelled order may still hold or have taken stock, whatever step it was at.
    let step = (to == Status::Cancelled).then(|| Step::Release.name());
    let delivered = (to == Status::Delivered).then_some(now);
    let params = params![to.name(), step, now, delivered, id, from.name(), to == Status::Cancelled];
    Ok(Database.execute(ADVANCE, params)? == 1)
}

/// Finds an order's status and customer.
pub(crate) fn status(id: i64) -> Result<Option<(Status, Option<i64>)>> {
    let found =
        Database.first::<(String, Option<i64>)>("SELECT status, customer_id FROM orders WHERE id = $1", params![id])?;
    Ok(found.and_then(|(status, customer)| Some((Status::parse(&status)?, customer))))
}
