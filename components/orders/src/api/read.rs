//! Lists and reads orders.

use provesi_sdk::list::{self, List};
use provesi_sdk::sql::{Connection, Database};
use provesi_sdk::{Choice as _, Money, Request, Response, Result, Timestamp, params, row};
use schemars::JsonSchema;
use serde::Serialize;

use super::{not_found, only_customer};
use crate::domain::Status;

/// An order, as clients see it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Order<'r> {
    pub(super) id: i64,
    product_id: i64,
    pub(super) product_name: &'r str,
    pub(super) units: i64,
    pub(super) status: &'r str,
    status_display: &'static str,
    warehouse_id: Option<i64>,
    pub(super) warehouse_name: Option<&'r str>,
    customer_id: Option<i64>,
    customer_name: Option<&'r str>,
    delivery_address: Option<&'r str>,
    delivery_zone: Option<&'r str>,
    total_price: Money,
    notes: Option<&'r str>,
    created_at: Timestamp,
    updated_at: Timestamp,
    confirmed_at: Option<Timestamp>,
    delivered_at: Option<Timestamp>,
}

row! {
    struct OrderRow<'r> {
        id: i64,
        product_id: i64,
        product_name: &'r str,
        units: i64,
        status: &'r str,
        warehouse_id: Option<i64>,
        warehouse_name: Option<&'r str>,
        customer_id: Option<i64>,
        customer_name: Option<&'r str>,
        delivery_address: Option<&'r str>,
        delivery_zone: Option<&'r str>,
        total_price: Money,
        notes: Option<&'r str>,
        created_at: Timestamp,
        updated_at: Timestamp,
        confirmed_at: Option<Timestamp>,
        delivered_at: Option<Timestamp>,
    }
}

const SELECT: &str = "SELECT o.id, o.product_id, COALESCE(p.name, o.product_name), o.units, o.status, o.warehouse_id, \
    o.warehouse_name, o.customer_id, COALESCE(c.name, o.customer_name), o.delivery_address, o.delivery_zone, \
    o.total_price_cents, o.notes, o.created_at, o.updated_at, o.confirmed_at, o.delivered_at FROM orders o \
    LEFT JOIN product_names p ON p.product_id = o.product_id \
    LEFT JOIN customer_names c ON c.customer_id = o.customer_id";

impl<'r> From<OrderRow<'r>> for Order<'r> {
    fn from(row: OrderRow<'r>) -> Self {
        Self {
            id: row.id,
            product_id: row.product_id,
            product_name: row.product_name,
            units: row.units,
            status_display: Status::parse(row.status).map_or("", Status::display),
            status: row.status,
            warehouse_id: row.warehouse_id,
            warehouse_name: row.warehouse_name,
            customer_id: row.customer_id,
            customer_name: row.customer_name,
            delivery_address: row.delivery_address,
            delivery_zone: row.delivery_zone,
            total_price: row.total_price,
            notes: row.notes,
            created_at: row.created_at,
            updated_at: row.updated_at,
            confirmed_at: row.confirmed_at,
            delivered_at: row.delivered_at,
        }
    }
}

impl Order<'_> {
    /// Says whether it was placed; a later change of status does not undo that.
    pub(super) fn confirmed(&self) -> bool {
        self.confirmed_at.is_some()
    }
}

pub(crate) fn list(request: &Request) -> Result<Response> {
    let mut list = List::of(request);
    if let Some(customer) = only_customer(request) {
        list.filter("o.customer_id = ?", customer);
    }
    match request.query("status").map(|text| (text, Status::parse(text))) {
        Some((_, Some(status))) => list.filter("o.status = ?", status.name()),
        Some((text, None)) => list.wrong("status", list::no_choice(text)),
        None => {}
    }
    list.id("customer_id", "o.customer_id = ?");
    list.text("product_name", by_name(request)?);
    list.id("warehouse_id", "o.warehouse_id = ?");
    list.moment("from", "o.created_at >= ?");
    list.moment("to", "o.created_at <= ?");
    let order = "o.created_at DESC, o.id DESC";
    list.answer(SELECT, order, |rows| list::json(rows.read::<OrderRow>().map(Order::from)))
}

/// Returns the condition that finds a product's orders by its name, each of the two by an index.
fn by_name(request: &Request) -> Result<&'static str> {
    const RENAMED: &str = "SELECT product_id FROM product_names WHERE name = $1 LIMIT 1";
    let name = request.query("product_name").unwrap_or_default().trim();
    if !name.is_empty() && Database.first::<(i64,)>(RENAMED, params![name])?.is_some() {
        Ok("o.product_id IN (SELECT product_id FROM product_names WHERE name = ?)")
    } else {
        Ok("o.product_name = ? AND p.name IS NULL")
    }
}

pub(crate) fn get(request: &Request) -> Result<Response> {
    let id = request.path_id("id").ok_or_else(not_found)?;
    show(id, only_customer(request), |order| Response::ok(&order))
}

/// Reads an order, of a customer if one is given, and answers with it.
pub(crate) fn show(id: i64, customer: Option<i64>, answer: impl FnOnce(Order<'_>) -> Response) -> Result<Response> {
    let rows = Database.query(&format!("{SELECT} WHERE o.id = $1"), params![id])?;
    let row = rows.read::<OrderRow>().next().filter(|row| customer.is_none() || row.customer_id == customer);
    Ok(answer(row.ok_or_else(not_found)?.into()))
}
