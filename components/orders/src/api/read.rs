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

const SELECT: &str = "SELECT id, product_id, product_name, units, status, warehouse_id, warehouse_name, customer_id, \
    customer_name, delivery_address, delivery_zone, total_price_cents, notes, created_at, updated_at, confirmed_at, \
    delivered_at FROM orders";

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
        list.filter("customer_id = ?", customer);
    }
    match request.query("status").map(|text| (text, Status::parse(text))) {
        Some((_, Some(status))) => list.filter("status = ?", status.name()),
        Some((text, None)) => list.wrong("status", list::no_choice(text)),
        None => {}
    }
    list.id("customer_id", "customer_id = ?");
    list.text("product_name", "product_name = ?");
    list.id("warehouse_id", "warehouse_id = ?");
    list.moment("from", "created_at >= ?");
    list.moment("to", "created_at <= ?");
    let order = "created_at DESC, id DESC";
    list.answer(SELECT, order, |rows| list::json(rows.read::<OrderRow>().map(Order::from)))
}

pub(crate) fn get(request: &Request) -> Result<Response> {
    let id = request.path_id("id").ok_or_else(not_found)?;
    show(id, only_customer(request), |order| Response::ok(&order))
}

/// Reads an order, of a customer if one is given, and answers with it.
pub(crate) fn show(id: i64, customer: Option<i64>, answer: impl FnOnce(Order<'_>) -> Response) -> Result<Response> {
    let rows = Database.query(&format!("{SELECT} WHERE id = $1"), params![id])?;
    let row = rows.read::<OrderRow>().next().filter(|row| customer.is_none() || row.customer_id == customer);
    Ok(answer(row.ok_or_else(not_found)?.into()))
}
