//! JSON ↔ domain, a resource a file.

pub(crate) mod session;
pub(crate) mod users;
