//! What others are told of products.

use provesi_sdk::Money;
use provesi_sdk::sql::{Error, Transaction};
use serde::Serialize;

use crate::store::products::Fields;

/// Topics of it.
pub(crate) const TOPICS: &[&str] = &[RENAMED, CHANGED];
const RENAMED: &str = "products.renamed";
const CHANGED: &str = "products.changed";

/// A product has another name.
#[derive(Serialize)]
struct Renamed<'f> {
    id: i64,
    name: &'f str,
    previous: &'f str,
    /// Counts the changes of the product.
    version: i64,
}

/// What others copy of a product is another.
#[derive(Serialize)]
struct Changed<'f> {
    id: i64,
    #[serde(flatten)]
    facts: Facts<'f>,
    /// Counts the changes of the product.
    version: i64,
}

#[derive(PartialEq, Eq, Serialize)]
struct Facts<'f> {
    name: &'f str,
    unit_price: Money,
    min_stock: i64,
    is_active: bool,
}

/// Tells of a change, in its transaction, if it is one for others.
pub(crate) fn tell(tx: &Transaction, id: i64, version: i64, before: &Fields, after: &Fields) -> Result<(), Error> {
    if before.name != after.name {
        tx.publish(RENAMED, id, &Renamed { id, name: &after.name, previous: &before.name, version })?;
    }
    let facts = facts(after);
    if facts != self::facts(before) {
        tx.publish(CHANGED, id, &Changed { id, facts, version })?;
    }
    Ok(())
}

fn facts(fields: &Fields) -> Facts<'_> {
    Facts {
        name: &fields.name,
        unit_price: Money(fields.unit_price_cents),
        min_stock: fields.min_stock,
        is_active: fields.is_active,
    }
}
