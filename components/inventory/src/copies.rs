//! What is known of products, which belong to another service: their names and `min_stock`.
//!
//! Events tell of changes; what no event has told is asked for once. Each fact has the count of changes that it comes
//! from, so that an older one never takes the place of a newer one, in whatever order they come.

use provesi_sdk::sql::{Connection, Transaction};
use provesi_sdk::{Event, Result, params};
use serde::Deserialize;

use crate::levels;
use crate::peers::Product;

/// What `products.renamed` says.
#[derive(Deserialize)]
struct Renamed {
    id: i64,
    name: String,
    version: i64,
}

/// What `products.changed` says, as far as it is of use here.
#[derive(Deserialize)]
struct Changed {
    id: i64,
    min_stock: i64,
    version: i64,
}

/// Notes the new name of a product.
pub(crate) fn renamed(event: &Event, tx: &Transaction) -> Result<()> {
    const NOTE: &str = "INSERT INTO known_products (product_id, name, name_version) VALUES ($1, $2, $3) \
        ON CONFLICT (product_id) DO UPDATE SET name = excluded.name, name_version = excluded.name_version \
        WHERE known_products.name_version < excluded.name_version";
    let Renamed { id, name, version } = event.json()?;
    tx.execute(NOTE, params![id, name, version])?;
    Ok(())
}

/// Notes the `min_stock` of a product, which may be running out by it.
pub(crate) fn changed(event: &Event, tx: &Transaction) -> Result<()> {
    const NOTE: &str = "INSERT INTO known_products (product_id, min_stock, min_stock_version) VALUES ($1, $2, $3) \
        ON CONFLICT (product_id) DO UPDATE \
        SET min_stock = excluded.min_stock, min_stock_version = excluded.min_stock_version \
        WHERE known_products.min_stock_version < excluded.min_stock_version";
    let Changed { id, min_stock, version } = event.json()?;
    tx.execute(NOTE, params![id, min_stock, version])?;
    levels::check(tx, id)
}

/// Remembers what the catalogue has said of a product, unless more is known of it.
pub(crate) fn remember(tx: &Transaction, product: &Product) -> Result<()> {
    const NOTE: &str = "INSERT INTO known_products (product_id, min_stock) VALUES ($1, $2) \
        ON CONFLICT (product_id) DO UPDATE SET min_stock = excluded.min_stock \
        WHERE known_products.min_stock IS NULL";
    tx.execute(NOTE, params![product.id, product.min_stock])?;
    Ok(())
}
