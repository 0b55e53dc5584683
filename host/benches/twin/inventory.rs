//! What lies in the warehouses, and what orders hold of it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::App;
use super::answer::{Answer, ApiError, Operation};
use super::database::{on, row};
use super::products;
use super::values::Timestamp;

pub(super) static LIST: Operation = Operation::new("inventory", "list-stock");

row! {
    struct StockRow {
        id: i64,
        product_id: i64,
        product_name: String,
        warehouse: i64,
        warehouse_name: String,
        quantity: i64,
        reserved_quantity: i64,
        updated_at: Timestamp,
        last_restock_date: Option<Timestamp>,
    }
}

#[derive(Serialize)]
struct Stock {
    id: i64,
    product_id: i64,
    product_name: String,
    warehouse: i64,
    warehouse_name: String,
    quantity: i64,
    reserved_quantity: i64,
    available_quantity: i64,
    updated_at: Timestamp,
    last_restock_date: Option<Timestamp>,
}

row! {
    /// A warehouse that could serve an order.
    pub(super) struct Warehouse {
        id: i64,
        name: String,
        latitude: f64,
        longitude: f64,
    }
}

/// What an order wants to hold.
pub(super) struct Claim {
    pub(super) order: i64,
    pub(super) product: i64,
    pub(super) warehouse: i64,
    pub(super) units: i64,
}

impl From<StockRow> for Stock {
    fn from(row: StockRow) -> Self {
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

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(product_name): Path<String>,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    const SELECT: &str = "SELECT s.id, s.product_id, s.product_name, s.warehouse_id, w.name, s.quantity, \
        s.reserved_quantity, s.updated_at, s.last_restock_date FROM stock s \
        JOIN warehouses w ON w.id = s.warehouse_id WHERE s.product_id = $1 ORDER BY s.id";
    app.tokens.staff(&headers)?;
    let product = products::find_by_name(&app, &product_name).await?;
    let product = product.ok_or_else(|| ApiError::not_found("Producto no encontrado"))?;
    let rows = on!(app.inventory.reads, pool => {
        sqlx::query_as::<_, StockRow>(SELECT).bind(product.id).fetch_all(pool).await
    })?;
    let stock: Vec<Stock> = rows.into_iter().map(Stock::from).collect();
    Ok(Answer::json(&LIST, StatusCode::OK, &stock))
}

/// Finds the warehouse whose units an order holds or has taken.
pub(super) async fn holder(app: &App, order: i64) -> Result<Option<Warehouse>, ApiError> {
    const FIND: &str = "SELECT w.id, w.name, w.latitude, w.longitude FROM warehouses w \
        JOIN reservations r ON r.warehouse_id = w.id WHERE r.order_id = $1 AND r.state <> 'RELEASED'";
    Ok(on!(app.inventory.reads, pool => {
        sqlx::query_as::<_, Warehouse>(FIND).bind(order).fetch_optional(pool).await
    })?)
}

/// Lists the active warehouses with enough units of a product.
pub(super) async fn candidates(app: &App, product: i64, units: i64) -> Result<Vec<Warehouse>, ApiError> {
    const FIND: &str = "SELECT w.id, w.name, w.latitude, w.longitude FROM warehouses w \
        JOIN stock s ON s.warehouse_id = w.id WHERE s.product_id = $1 \
        AND s.quantity - s.reserved_quantity >= $2 AND w.is_active = $3 ORDER BY w.id LIMIT 500";
    Ok(on!(app.inventory.reads, pool => {
        sqlx::query_as::<_, Warehouse>(FIND).bind(product).bind(units).bind(true).fetch_all(pool).await
    })?)
}

/// Holds units for an order; says whether the warehouse had them.
pub(super) async fn reserve(app: &App, claim: &Claim) -> Result<bool, ApiError> {
    const CLAIM: &str = "INSERT INTO reservations (order_id, product_id, warehouse_id, units, state, updated_at) \
        VALUES ($1, $2, $3, $4, 'HELD', $5) ON CONFLICT (order_id) DO NOTHING";
    const HOLD: &str = "UPDATE stock SET reserved_quantity = reserved_quantity + $1, updated_at = $2 \
        WHERE product_id = $3 AND warehouse_id = $4 AND quantity - reserved_quantity >= $5";
    let Claim { order, product, warehouse, units } = *claim;
    let now = Timestamp::now();
    on!(app.inventory.writes, pool => {
        let mut tx = pool.begin_with(app.inventory.begin).await?;
        let claiming = sqlx::query(CLAIM).bind(order).bind(product).bind(warehouse).bind(units).bind(now);
        let claimed = claiming.execute(&mut *tx).await?.rows_affected() == 1;
        let holding = sqlx::query(HOLD).bind(units).bind(now).bind(product).bind(warehouse).bind(units);
        // Dropped without a commit, the transaction takes the claim back.
        if claimed && holding.execute(&mut *tx).await?.rows_affected() == 1 {
            tx.commit().await?;
            return Ok(true);
        }
        Ok(false)
    })
}

/// Takes held units out for good; again is no error.
pub(super) async fn settle(app: &App, order: i64) -> Result<(), ApiError> {
    const STATE: &str =
        "UPDATE reservations SET state = 'SETTLED', updated_at = $1 WHERE order_id = $2 AND state = 'HELD'";
    const FIND: &str = "SELECT product_id, warehouse_id, units, state FROM reservations WHERE order_id = $1";
    const TAKE: &str = "UPDATE stock SET quantity = quantity - $1, reserved_quantity = reserved_quantity - $2, \
        updated_at = $3 WHERE product_id = $4 AND warehouse_id = $5";
    let now = Timestamp::now();
    on!(app.inventory.writes, pool => {
        let mut tx = pool.begin_with(app.inventory.begin).await?;
        let changed = sqlx::query(STATE).bind(now).bind(order).execute(&mut *tx).await?.rows_affected();
        let found = sqlx::query_as::<_, (i64, i64, i64, String)>(FIND).bind(order);
        let (product, warehouse, units, _) = found.fetch_one(&mut *tx).await?;
        if changed == 1 {
            let taking = sqlx::query(TAKE).bind(units).bind(units).bind(now).bind(product).bind(warehouse);
            taking.execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    })
}
