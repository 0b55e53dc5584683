//! What lies in the warehouses.

use provesi_sdk::list::{self, List};
use provesi_sdk::sql::{Connection, Transaction};
use provesi_sdk::{Error, JsonObject, Request, Response, Result, Timestamp, clock, idempotency, params, row};
use schemars::JsonSchema;
use serde::Serialize;

use crate::levels::{self, Change};
use crate::{copies, peers};

/// Units to add, or to take away when negative, and the warehouse's name.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used: the checks have an order that the contract fixes")]
pub(crate) struct Restock {
    units: i64,
    warehouse: String,
}

/// A product's stock in a warehouse, as clients see it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Stock<'r> {
    id: i64,
    product_id: i64,
    product_name: &'r str,
    warehouse: i64,
    warehouse_name: &'r str,
    quantity: i64,
    reserved_quantity: i64,
    available_quantity: i64,
    updated_at: Timestamp,
    last_restock_date: Option<Timestamp>,
}

row! {
    struct StockRow<'r> {
        id: i64,
        product_id: i64,
        product_name: &'r str,
        warehouse: i64,
        warehouse_name: &'r str,
        quantity: i64,
        reserved_quantity: i64,
        updated_at: Timestamp,
        last_restock_date: Option<Timestamp>,
    }
}

const SELECT: &str = "SELECT s.id, s.product_id, COALESCE(k.name, s.product_name), s.warehouse_id, w.name, \
    s.quantity, s.reserved_quantity, s.updated_at, s.last_restock_date FROM stock s \
    JOIN warehouses w ON w.id = s.warehouse_id LEFT JOIN known_products k ON k.product_id = s.product_id";

impl<'r> From<StockRow<'r>> for Stock<'r> {
    fn from(row: StockRow<'r>) -> Self {
        Self {
            id: row.id,
            product_id: row.product_id,
            product_name: row.product_name,
            warehouse: row.warehouse,
            warehouse_name: row.warehouse_name,
            quantity: row.quantity,
            reserved_quantity: row.reserved_quantity,
            available_quantity: row.quantity - row.reserved_quantity,
            updated_at: row.updated_at,
            last_restock_date: row.last_restock_date,
        }
    }
}

pub(crate) fn list(request: &Request) -> Result<Response> {
    let product = peers::product(request.path("product_name"))?;
    let mut list = List::of(request);
    list.filter("s.product_id = ?", product.id);
    list.answer(SELECT, "s.id", |rows| list::json(rows.read::<StockRow>().map(Stock::from)))
}

pub(crate) fn restock(request: &Request) -> Result<Response> {
    let (units, warehouse) = parse(request)?;
    let product = peers::product(request.path("product_name"))?;
    idempotency::once(request, |tx| {
        let find = "SELECT id FROM warehouses WHERE name = $1";
        let (warehouse,) =
            tx.first::<(i64,)>(find, params![&warehouse])?.ok_or_else(|| Error::not_found("Bodega no encontrada"))?;
        let change = if units > 0 {
            add(tx, &product, warehouse, units)?;
            Change::Given
        } else {
            take(tx, product.id, warehouse, -units)?;
            Change::Taken
        };
        copies::remember(tx, &product)?;
        levels::tell(tx, product.id, warehouse, change)?;
        let show = format!("{SELECT} WHERE s.product_id = $1 AND s.warehouse_id = $2");
        let rows = tx.query(&show, params![product.id, warehouse])?;
        let row = rows.read::<StockRow>().next().expect("the row was just changed");
        Ok(Response::ok(&Stock::from(row)))
    })
}

/// Checks the body in the contract's order: units, zero, warehouse.
fn parse(request: &Request) -> Result<(i64, String)> {
    let object: JsonObject = provesi_sdk::json_object(request.body())?;
    let units = object
        .get("units")
        .and_then(serde_json::Value::as_i64)
        .filter(|units| (-MAX_UNITS..=MAX_UNITS).contains(units));
    let units = units.ok_or_else(|| Error::bad_request("La cantidad debe ser un número entero"))?;
    if units == 0 {
        return Err(Error::bad_request("La cantidad no puede ser cero"));
    }
    let warehouse = object.get("warehouse").and_then(serde_json::Value::as_str).map(str::trim).unwrap_or_default();
    if warehouse.is_empty() || warehouse.contains('\0') {
        return Err(Error::bad_request("La bodega es requerida"));
    }
    Ok((units, warehouse.to_owned()))
}

/// Largest change at once: sums of many stay far inside 64 bits.
const MAX_UNITS: i64 = 2_147_483_647;

fn add(tx: &Transaction, product: &peers::Product, warehouse: i64, units: i64) -> Result<()> {
    const ADD: &str = "INSERT INTO stock (product_id, product_name, warehouse_id, quantity, reserved_quantity, \
        updated_at, last_restock_date) VALUES ($1, $2, $3, $4, 0, $5, $6) \
        ON CONFLICT (product_id, warehouse_id) DO UPDATE SET quantity = stock.quantity + excluded.quantity, \
        updated_at = excluded.updated_at, last_restock_date = excluded.last_restock_date";
    let now = clock::now();
    tx.execute(ADD, params![product.id, &product.name, warehouse, units, now, now])?;
    Ok(())
}

fn take(tx: &Transaction, product: i64, warehouse: i64, units: i64) -> Result<()> {
    const TAKE: &str = "UPDATE stock SET quantity = quantity - $1, updated_at = $2 \
        WHERE product_id = $3 AND warehouse_id = $4 AND quantity - reserved_quantity >= $5";
    const AVAILABLE: &str =
        "SELECT quantity - reserved_quantity FROM stock WHERE product_id = $1 AND warehouse_id = $2";
    if tx.execute(TAKE, params![units, clock::now(), product, warehouse, units])? == 1 {
        return Ok(());
    }
    let available = tx.first::<(i64,)>(AVAILABLE, params![product, warehouse])?.map_or(0, |(available,)| available);
    Err(Error::bad_request(format!("Stock insuficiente. Disponible: {available}, Solicitado: {units}")))
}
