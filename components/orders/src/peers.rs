//! Typed calls to other services.

use provesi_sdk::{Error, Result};

use crate::domain::Candidate;

mod generated {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        reason = "generated"
    )]
    wit_bindgen::generate!({
        path: ["../../wit/products", "../../wit/inventory", "../../wit/auth", "../../wit/orders"],
        world: "provesi:orders/peers",
        generate_all,
    });
}

use generated::provesi::auth::directory;
use generated::provesi::inventory::stock;
use generated::provesi::products::catalog;

pub(crate) use catalog::Product;
pub(crate) use stock::{Claim, Error as StockError};

/// Finds an active product; none when there is none of that name.
pub(crate) fn product(name: &str) -> Result<Option<Product>> {
    match catalog::find_by_name(name) {
        Ok(product) => Ok(Some(product)),
        Err(catalog::Error::NotFound) => Ok(None),
        Err(catalog::Error::Unavailable) => {
            Err(Error::unavailable("Error al comunicarse con el servicio de productos"))
        }
    }
}

/// Finds the name of an active customer; none when there is none with that id.
pub(crate) fn customer(id: i64) -> Result<Option<String>> {
    match directory::find(id) {
        Ok(user) => Ok(Some(user.display_name)),
        Err(directory::Error::NotFound) => Ok(None),
        Err(directory::Error::Unavailable) => {
            Err(Error::unavailable("Error al comunicarse con el servicio de autenticación"))
        }
    }
}

/// Lists warehouses with enough units.
pub(crate) fn candidates(product: i64, units: i64) -> Result<Vec<Candidate>, StockError> {
    Ok(stock::candidates(product, units)?.into_iter().map(candidate).collect())
}

/// Holds units for an order.
pub(crate) fn reserve(claim: Claim) -> Result<(), StockError> {
    stock::reserve(claim)
}

/// Takes held units for good.
pub(crate) fn settle(order: i64) -> Result<(), StockError> {
    stock::settle(order)
}

/// Gives back what an order holds or has taken.
pub(crate) fn release(order: i64) -> Result<(), StockError> {
    stock::release(order)
}

/// Finds the warehouse whose units an order holds or has taken.
pub(crate) fn holder(order: i64) -> Result<Option<Candidate>, StockError> {
    Ok(stock::holder(order)?.map(candidate))
}

fn candidate(found: stock::Candidate) -> Candidate {
    Candidate {
        id: found.warehouse_id,
        name: found.warehouse_name,
        latitude: found.latitude,
        longitude: found.longitude,
    }
}
