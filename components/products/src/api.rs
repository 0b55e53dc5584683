//! JSON ↔ domain, a resource a file.

pub(crate) mod products;
pub(crate) mod suppliers;
pub(crate) mod variables;
