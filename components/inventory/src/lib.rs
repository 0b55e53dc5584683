//! The service `inventory`: warehouses, what lies in them, what orders hold, and measurements.
//!
//! Not here: what a product is (see `products`), placement of orders (see `orders`).

mod api;
mod copies;
#[cfg(target_arch = "wasm32")]
mod exports;
mod levels;
mod peers;
#[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "used by the exports of the component"))]
mod store;

use provesi_sdk::{Access, Migration, Route, Service, Subscription, idempotency, migration};

use crate::api::{measurements, stock, warehouses};

/// The service.
pub struct Inventory;

const STAFF: Access = Access::Roles(&["OPERARIO", "ADMIN"]);
const KEY: &[&str] = &[idempotency::HEADER];

impl Service for Inventory {
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Warehouses, stock and measurements.";
    const MIGRATIONS: &'static [Migration] = &[
        idempotency::MIGRATION,
        migration!("inventory", "0001_stock"),
        migration!("inventory", "0002_known_products"),
    ];
    const TOPICS: &'static [&'static str] = levels::TOPICS;
    const SUBSCRIPTIONS: &'static [Subscription] = &[
        Subscription::new("products.renamed", copies::renamed),
        Subscription::new("products.changed", copies::changed),
    ];
    const IDEMPOTENT: &'static [&'static str] = &[
        "provesi:inventory/stock#candidates",
        "provesi:inventory/stock#holder",
        // Each carries the order's id and is known again by it.
        "provesi:inventory/stock#reserve",
        "provesi:inventory/stock#settle",
        "provesi:inventory/stock#release",
    ];
    const ROUTES: &'static [Route] = &[
        Route::get("/warehouses/", "list-warehouses", warehouses::list)
            .access(Access::Public)
            .answers::<Vec<warehouses::Warehouse>>()
            .summary("Lists active warehouses by name."),
        Route::get("/warehouses/{id:int}/", "get-warehouse", warehouses::get)
            .access(Access::Public)
            .answers::<warehouses::Warehouse>()
            .summary("Reads a warehouse."),
        Route::post("/warehouses/", "create-warehouse", warehouses::create)
            .access(STAFF)
            .open_in_legacy()
            .headers(KEY)
            .body::<warehouses::NewWarehouse>()
            .answers::<warehouses::Warehouse>()
            .summary("Creates a warehouse."),
        Route::patch("/warehouses/{id:int}/", "change-warehouse", warehouses::change)
            .access(STAFF)
            .open_in_legacy()
            .body::<warehouses::WarehousePatch>()
            .answers::<warehouses::Warehouse>()
            .summary("Changes a warehouse."),
        Route::get("/inventory/{product_name}/", "list-stock", stock::list)
            .access(STAFF)
            .open_in_legacy()
            .answers::<Vec<stock::Stock>>()
            .summary("Lists a product's stock by warehouse."),
        Route::post("/inventory/{product_name}/restock/", "restock", stock::restock)
            .access(STAFF)
            .open_in_legacy()
            .headers(KEY)
            .body::<stock::Restock>()
            .answers::<stock::Stock>()
            .summary("Adds or takes away units of a product in a warehouse."),
        Route::get("/measurements/", "list-measurements", measurements::list)
            .access(STAFF)
            .open_in_legacy()
            .answers::<Vec<measurements::Measurement>>()
            .summary("Lists measurements by id."),
        Route::post("/measurements/", "create-measurement", measurements::create)
            .access(STAFF)
            .open_in_legacy()
            .headers(KEY)
            .body::<measurements::NewMeasurement>()
            .answers::<measurements::Measurement>()
            .summary("Stores a measurement."),
        Route::post("/measurements/create/", "create-measurement-legacy", measurements::create)
            .access(STAFF)
            .open_in_legacy()
            .headers(KEY)
            .body::<measurements::NewMeasurement>()
            .answers::<measurements::Measurement>()
            .summary("Stores a measurement, at the address of the old system."),
    ];
}

provesi_sdk::export_service!(Inventory);
provesi_sdk::export_subscriber!(Inventory);
