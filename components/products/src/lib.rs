//! The service `products`: suppliers, products and their variables.
//!
//! Not here: stock (see `inventory`).

mod api;
pub mod domain;
mod events;
#[cfg(target_arch = "wasm32")]
mod exports;
mod store;

use provesi_sdk::{Access, Migration, Route, Service, idempotency, migration};

use crate::api::{products, suppliers, variables};

/// The service.
pub struct Products;

const STAFF: Access = Access::Roles(&["OPERARIO", "ADMIN"]);
const KEY: &[&str] = &[idempotency::HEADER];

impl Service for Products {
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Suppliers, products and their variables.";
    const MIGRATIONS: &'static [Migration] =
        &[idempotency::MIGRATION, migration!("products", "0001_catalogue"), migration!("products", "0002_versions")];
    const TOPICS: &'static [&'static str] = events::TOPICS;
    const IDEMPOTENT: &'static [&'static str] =
        &["provesi:products/catalog#find", "provesi:products/catalog#find-by-name"];
    const ROUTES: &'static [Route] = &[
        Route::get("/products/", "list-products", products::list)
            .access(Access::Public)
            .answers::<Vec<products::Product>>()
            .summary("Lists active products by name."),
        Route::get("/products/{id:int}/", "get-product", products::get)
            .access(Access::Public)
            .answers::<products::Product>()
            .summary("Reads a product."),
        Route::get("/products/name/{name}/", "get-product-by-name", products::get_by_name)
            .access(Access::Public)
            .answers::<products::Product>()
            .summary("Reads an active product by its exact name."),
        Route::post("/products/", "create-product", products::create)
            .access(STAFF)
            .open_in_legacy()
            .headers(KEY)
            .body::<products::NewProduct>()
            .answers::<products::Product>()
            .summary("Creates a product."),
        Route::post("/products/create/", "create-product-legacy", products::create)
            .access(STAFF)
            .open_in_legacy()
            .headers(KEY)
            .body::<products::NewProduct>()
            .answers::<products::Product>()
            .summary("Creates a product, at the address of the old system."),
        Route::patch("/products/{id:int}/", "change-product", products::change)
            .access(STAFF)
            .open_in_legacy()
            .body::<products::ProductPatch>()
            .answers::<products::Product>()
            .summary("Changes a product."),
        Route::delete("/products/{id:int}/", "deactivate-product", products::deactivate)
            .access(STAFF)
            .open_in_legacy()
            .summary("Deactivates a product."),
        Route::get("/suppliers/", "list-suppliers", suppliers::list)
            .open_in_legacy()
            .answers::<Vec<suppliers::Supplier>>()
            .summary("Lists active suppliers by name."),
        Route::post("/suppliers/", "create-supplier", suppliers::create)
            .access(STAFF)
            .open_in_legacy()
            .headers(KEY)
            .body::<suppliers::NewSupplier>()
            .answers::<suppliers::Supplier>()
            .summary("Creates a supplier."),
        Route::patch("/suppliers/{id:int}/", "change-supplier", suppliers::change)
            .access(STAFF)
            .open_in_legacy()
            .body::<suppliers::SupplierPatch>()
            .answers::<suppliers::Supplier>()
            .summary("Changes a supplier."),
        Route::delete("/suppliers/{id:int}/", "deactivate-supplier", suppliers::deactivate)
            .access(STAFF)
            .open_in_legacy()
            .summary("Deactivates a supplier."),
        Route::get("/variables/", "list-variables", variables::list)
            .access(Access::Public)
            .answers::<Vec<variables::Variable>>()
            .summary("Lists variables by id."),
        Route::post("/variables/", "create-variable", variables::create)
            .access(STAFF)
            .open_in_legacy()
            .headers(KEY)
            .body::<variables::NewVariable>()
            .answers::<variables::Variable>()
            .summary("Creates a variable."),
        Route::patch("/variables/{id:int}/", "change-variable", variables::change)
            .access(STAFF)
            .open_in_legacy()
            .body::<variables::VariablePatch>()
            .answers::<variables::Variable>()
            .summary("Changes a variable."),
        Route::delete("/variables/{id:int}/", "delete-variable", variables::delete)
            .access(STAFF)
            .open_in_legacy()
            .summary("Removes a variable."),
    ];
}

provesi_sdk::export_service!(Products);
