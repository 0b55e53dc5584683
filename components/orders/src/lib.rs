//! The service `orders`: places orders on stock that other services hold.
//!
//! An order moves through durable steps, each of which can be repeated; the task `recover` finishes or undoes what
//! a crash or an unavailable peer left.

mod api;
pub mod domain;
#[cfg(target_arch = "wasm32")]
mod exports;
mod peers;
#[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "used by the exports of the component"))]
mod placement;
mod store;

use provesi_sdk::{Access, Migration, Route, Service, Task, idempotency, migration};

use crate::api::{change, create, read};

/// The service.
pub struct Orders;

const STAFF: Access = Access::Roles(&["OPERARIO", "ADMIN"]);
const KEY: &[&str] = &[idempotency::HEADER];

/// Name of the task that finishes or undoes unfinished orders.
#[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "the worker is an export of the component"))]
const RECOVER: &str = "recover";

impl Service for Orders {
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Orders of one product each, placed in one warehouse.";
    const MIGRATIONS: &'static [Migration] = &[idempotency::MIGRATION, migration!("orders", "0001_orders")];
    // Twice the age from which an order counts as unfinished, and far inside the minute of the contract.
    const TASKS: &'static [Task] = &[Task { name: "recover", interval_ms: 10_000, deadline_ms: 30_000 }];
    const ROUTES: &'static [Route] = &[
        Route::get("/orders/", "list-orders", read::list)
            .open_in_legacy()
            .answers::<Vec<read::Order>>()
            .summary("Lists orders, newest first."),
        Route::get("/orders/{id:int}/", "get-order", read::get)
            .open_in_legacy()
            .answers::<read::Order>()
            .summary("Reads an order."),
        Route::post("/orders/create/", "create-order", create::automatic)
            .open_in_legacy()
            .headers(KEY)
            .body::<create::NewOrder>()
            .answers::<create::Automatic>()
            .summary("Places an order; the product is named in the body."),
        Route::post("/orders/{product_name:text}/", "create-order-of-product", create::manual)
            .open_in_legacy()
            .headers(KEY)
            .body::<create::NewOrder>()
            .answers::<create::Manual>()
            .summary("Places an order of the named product."),
        Route::post("/orders/{id:int}/cancel/", "cancel-order", change::cancel)
            .open_in_legacy()
            .answers::<read::Order>()
            .summary("Cancels an order and gives its stock back."),
        Route::patch("/orders/{id:int}/status/", "change-order-status", change::status)
            .access(STAFF)
            .open_in_legacy()
            .body::<change::NewStatus>()
            .answers::<read::Order>()
            .summary("Moves an order to another status."),
    ];
}

provesi_sdk::export_service!(Orders);
