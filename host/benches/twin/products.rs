//! The catalogue: products as clients see them, and as other parts of the server do.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;

use super::App;
use super::answer::{Answer, ApiError, Operation};
use super::database::{on, row};
use super::values::{Money, Timestamp};

pub(super) static LIST: Operation = Operation::new("products", "list-products");
pub(super) static GET: Operation = Operation::new("products", "get-product");

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT p.id, p.name, p.description, p.sku, p.supplier_id, s.name, p.unit_price_cents, ",
            "p.cost_price_cents, p.category, p.min_stock, p.max_stock, p.is_active, p.requires_special_handling, ",
            "p.created_at, p.updated_at FROM products p LEFT JOIN suppliers s ON s.id = p.supplier_id ",
            $rest
        )
    };
}

row! {
    struct ProductRow {
        id: i64,
        name: String,
        description: Option<String>,
        sku: Option<String>,
        supplier: Option<i64>,
        supplier_name: Option<String>,
        unit_price: Money,
        cost_price: Money,
        category: Option<String>,
        min_stock: i64,
        max_stock: i64,
        is_active: bool,
        requires_special_handling: bool,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

#[derive(Serialize)]
struct Product {
    id: i64,
    name: String,
    description: Option<String>,
    sku: Option<String>,
    supplier: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier_name: Option<String>,
    unit_price: Money,
    cost_price: Money,
    category: Option<String>,
    min_stock: i64,
    max_stock: i64,
    is_active: bool,
    requires_special_handling: bool,
    profit_margin: f64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What the rest of the server needs of an active product.
pub(super) struct Found {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) unit_price_cents: i64,
}

impl From<ProductRow> for Product {
    fn from(row: ProductRow) -> Self {
        Self {
            profit_margin: profit_margin(row.unit_price, row.cost_price),
            id: row.id,
            name: row.name,
            description: row.description,
            sku: row.sku,
            supplier: row.supplier,
            supplier_name: row.supplier_name,
            unit_price: row.unit_price,
            cost_price: row.cost_price,
            category: row.category,
            min_stock: row.min_stock,
            max_stock: row.max_stock,
            is_active: row.is_active,
            requires_special_handling: row.requires_special_handling,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Answer, ApiError> {
    const LIST_ACTIVE: &str = select!("WHERE p.is_active = $1 ORDER BY p.name, p.id");
    let rows = on!(app.products.reads, pool => {
        sqlx::query_as::<_, ProductRow>(LIST_ACTIVE).bind(true).fetch_all(pool).await
    })?;
    let products: Vec<Product> = rows.into_iter().map(Product::from).collect();
    Ok(Answer::json(&LIST, StatusCode::OK, &products))
}

pub(super) async fn get(State(app): State<Arc<App>>, Path(id): Path<i64>) -> Result<Answer, ApiError> {
    const GET_ONE: &str = select!("WHERE p.id = $1");
    let row = on!(app.products.reads, pool => {
        sqlx::query_as::<_, ProductRow>(GET_ONE).bind(id).fetch_optional(pool).await
    })?;
    let product: Product = row.ok_or_else(|| ApiError::not_found("Producto no encontrado"))?.into();
    Ok(Answer::json(&GET, StatusCode::OK, &product))
}

/// Finds an active product by its exact name.
pub(super) async fn find_by_name(app: &App, name: &str) -> Result<Option<Found>, ApiError> {
    const FIND: &str = "SELECT id, name, unit_price_cents, min_stock FROM products WHERE name = $1 AND is_active = $2";
    let found = on!(app.products.reads, pool => {
        sqlx::query_as::<_, (i64, String, i64, i64)>(FIND).bind(name).bind(true).fetch_optional(pool).await
    })?;
    Ok(found.map(|(id, name, unit_price_cents, _)| Found { id, name, unit_price_cents }))
}

/// Returns the margin over the cost in per cent, with two places; 0 when the cost is 0.
#[expect(clippy::cast_precision_loss, reason = "prices have at most ten digits")]
fn profit_margin(Money(unit): Money, Money(cost): Money) -> f64 {
    if cost == 0 {
        return 0.0;
    }
    let percent = (unit - cost) as f64 / cost as f64 * 100.0;
    (percent * 100.0).round() / 100.0
}
