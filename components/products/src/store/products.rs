//! Products in the database.

use provesi_sdk::sql::{Connection, Error};
use provesi_sdk::{Timestamp, params, row};

use crate::domain;

row! {
    /// The columns that can be set.
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
    const INSERT: &str = "INSERT INTO products (name, description, sku, supplier_id, unit_price_cents, \
        cost_price_cents, category, min_stock, max_stock, is_active, requires_special_handling, search_text, \
        created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id";
    let search = domain::search_text(&new.name, new.sku.as_deref(), new.description.as_deref());
    let params = params![
        &new.name,
        new.description.as_deref(),
        new.sku.as_deref(),
        new.supplier_id,
        new.unit_price_cents,
        new.cost_price_cents,
        new.category.as_deref(),
        new.min_stock,
        new.max_stock,
        new.is_active,
        new.requires_special_handling,
        search,
        now,
        now,
    ];
    Ok(tx.first::<(i64,)>(INSERT, params)?.expect("RETURNING answers the new row").0)
}

pub(crate) fn find(tx: &impl Connection, id: i64) -> Result<Option<Fields>, Error> {
    const FIND: &str = "SELECT name, description, sku, supplier_id, unit_price_cents, cost_price_cents, category, \
        min_stock, max_stock, is_active, requires_special_handling FROM products WHERE id = $1";
    tx.first(FIND, params![id])
}

pub(crate) fn update(tx: &impl Connection, id: i64, new: &Fields, now: Timestamp) -> Result<u64, Error> {
    const UPDATE: &str = "UPDATE products SET name = $1, description = $2, sku = $3, supplier_id = $4, \
        unit_price_cents = $5, cost_price_cents = $6, category = $7, min_stock = $8, max_stock = $9, is_active = $10, \
        requires_special_handling = $11, search_text = $12, updated_at = $13 WHERE id = $14";
    let search = domain::search_text(&new.name, new.sku.as_deref(), new.description.as_deref());
    let params = params![
        &new.name,
        new.description.as_deref(),
        new.sku.as_deref(),
        new.supplier_id,
        new.unit_price_cents,
        new.cost_price_cents,
        new.category.as_deref(),
        new.min_stock,
        new.max_stock,
        new.is_active,
        new.requires_special_handling,
        search,
        now,
        id,
    ];
    tx.execute(UPDATE, params)
}

pub(crate) fn deactivate(tx: &impl Connection, id: i64, now: Timestamp) -> Result<u64, Error> {
    tx.execute("UPDATE products SET is_active = $1, updated_at = $2 WHERE id = $3", params![false, now, id])
}
