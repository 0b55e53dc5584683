//! JSON ↔ domain, a resource a file.

pub(crate) mod measurements;
pub(crate) mod stock;
pub(crate) mod warehouses;
