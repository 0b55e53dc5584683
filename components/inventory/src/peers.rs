//! Typed calls to other services.

use provesi_sdk::{Error, Result};

/// The typed interfaces, generated.
pub(crate) mod generated {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        reason = "generated"
    )]
    wit_bindgen::generate!({
        path: ["../../wit/products", "../../wit/inventory"],
        world: "provesi:inventory/peers",
        generate_all,
    });
    #[cfg(target_arch = "wasm32")]
    pub(crate) use export as export_peers;
}

use generated::provesi::products::catalog;

/// An active product, as the catalogue knows it.
pub(crate) use catalog::Product;

/// Finds an active product by name.
pub(crate) fn product(name: &str) -> Result<Product> {
    catalog::find_by_name(name).map_err(failed)
}

/// Finds an active product by its id.
#[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "used by the exports of the component"))]
pub(crate) fn product_of(id: i64) -> Result<Product> {
    catalog::find(id).map_err(failed)
}

fn failed(error: catalog::Error) -> Error {
    match error {
        catalog::Error::NotFound => Error::not_found("Producto no encontrado"),
        catalog::Error::Unavailable => Error::unavailable("Error al comunicarse con el servicio de productos"),
    }
}
