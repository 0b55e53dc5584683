//! Products in the database.

use provesi_sdk::sql::{self, Column, Connection, Error};
use provesi_sdk::{Timestamp, columns, params, row};

use crate::domain;

row! {
    /// The columns that can be set.
    #[derive(Clone)]
    pub(crate) struct Fields {
        pub(crate) name: String,
        pub(crate) description: Option<String>,
        pub(crate) sku: Option<String>,
        pub(crate) supplier_id: Option<i64>,
        pub(crate) unit_price_cents: i64,
        pub(crate) cost_price_cents: i64,
        pub(crate) category: Option<String>,
        pub(crate) min_stock: i64,
        pub(crate) max_stock: i64,
        pub(crate) is_active: bool,
        pub(crate) requires_special_handling: bool,
    }
}

pub(crate) fn insert(tx: &impl Connection, new: &Fields, now: Timestamp) -> Result<i64, Error> {
    let mut columns = columns(new, now);
    columns.extend(columns! { created_at: now });
    sql::insert(tx, "products", columns)
}

pub(crate) fn find(tx: &impl Connection, id: i64) -> Result<Option<Fields>, Error> {
    const FIND: &str = "SELECT name, description, sku, supplier_id, unit_price_cents, cost_price_cents, category, \
        min_stock, max_stock, is_active, requires_special_handling FROM products WHERE id = $1";
    tx.first(FIND, params![id])
}

/// Counts a change that is about to be made, and returns the new count; none when there is no such product.
///
/// Others that change the product wait from here on: what is read now is what the change is made of.
pub(crate) fn touch(tx: &impl Connection, id: i64, now: Timestamp) -> Result<Option<i64>, Error> {
    const TOUCH: &str = "UPDATE products SET version = version + 1, updated_at = $1 WHERE id = $2 RETURNING version";
    Ok(tx.first::<(i64,)>(TOUCH, params![now, id])?.map(|(version,)| version))
}

pub(crate) fn update(tx: &impl Connection, id: i64, new: &Fields, now: Timestamp) -> Result<u64, Error> {
    sql::update(tx, "products", id, columns(new, now))
}

fn columns(product: &Fields, now: Timestamp) -> Vec<Column> {
    let (sku, description) = (product.sku.as_deref(), product.description.as_deref());
    columns! {
        name: &product.name,
        description: description,
        sku: sku,
        supplier_id: product.supplier_id,
        unit_price_cents: product.unit_price_cents,
        cost_price_cents: product.cost_price_cents,
        category: product.category.as_deref(),
        min_stock: product.min_stock,
        max_stock: product.max_stock,
        is_active: product.is_active,
        requires_special_handling: product.requires_special_handling,
        search_text: domain::search_text(&product.name, sku, description),
        updated_at: now,
    }
}
