//! JSON ↔ domain, a verb a file.

pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod read;

use provesi_sdk::{Error, Request};

/// Returns the only customer whose orders the caller may see; none when it may see all.
///
/// Without a caller the gateway is open for clients of the old system, which checked nothing.
fn only_customer(request: &Request) -> Option<i64> {
    request.caller().filter(|caller| caller.role == "CLIENTE").map(|caller| caller.user_id)
}

fn not_found() -> Error {
    Error::not_found("Pedido no encontrado")
}
