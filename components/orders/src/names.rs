//! Newer names of products and customers than those that were copied into orders.
//!
//! An order keeps the names of its day. What is told of a new name is one row here, which comes before the order's own
//! copy when it is read: a change costs the same however many orders there are, and an order that is stored while the
//! event is on its way shows the new name too. An older event never takes the place of a newer one.

use provesi_sdk::sql::{Connection, Transaction};
use provesi_sdk::{Event, Result, params};
use serde::Deserialize;

/// What `products.renamed` and `auth.user-renamed` say.
#[derive(Deserialize)]
struct Renamed {
    id: i64,
    name: String,
    /// Counts the changes of the one that is renamed.
    version: i64,
}

/// Notes the name of a product.
pub(crate) fn product(event: &Event, tx: &Transaction) -> Result<()> {
    const NOTE: &str = "INSERT INTO product_names (product_id, name, version) VALUES ($1, $2, $3) \
        ON CONFLICT (product_id) DO UPDATE SET name = excluded.name, version = excluded.version \
        WHERE product_names.version < excluded.version";
    note(event, tx, NOTE)
}

/// Notes the name of a customer.
pub(crate) fn customer(event: &Event, tx: &Transaction) -> Result<()> {
    const NOTE: &str = "INSERT INTO customer_names (customer_id, name, version) VALUES ($1, $2, $3) \
        ON CONFLICT (customer_id) DO UPDATE SET name = excluded.name, version = excluded.version \
        WHERE customer_names.version < excluded.version";
    note(event, tx, NOTE)
}

fn note(event: &Event, tx: &Transaction, statement: &str) -> Result<()> {
    let Renamed { id, name, version } = event.json()?;
    tx.execute(statement, params![id, name, version])?;
    Ok(())
}
