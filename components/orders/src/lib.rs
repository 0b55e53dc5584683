//! The service `orders`: places orders on stock that other services hold.
//!
//! An order moves through durable steps, each of which can be repeated; the task `recover` finishes or undoes what
//! a crash or an unavailable peer left.

mod api;
pub mod domain;
#[cfg(target_arch = "wasm32")]
mod exports;
mod names;
mod peers;
#[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "used by the exports of the component"))]
mod placement;
pub mod saga;
mod store;

use std::time::Duration;

use provesi_sdk::{Access, Migration, Route, Service, Subscription, Task, idempotency, migration};

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
    const MIGRATIONS: &'static [Migration] = &[
        idempotency::MIGRATION,
        migration!("orders", "0001_orders"),
        migration!("orders", "0002_names"),
        migration!("orders", "0003_attempts"),
        migration!("orders", "0004_lists"),
    ];
    const TOPICS: &'static [&'static str] = store::TOPICS;
    const SUBSCRIPTIONS: &'static [Subscription] = &[
        Subscription::new("products.renamed", names::product),
        Subscription::new("auth.user-renamed", names::customer),
    ];
    // Both short, for the minute of the contract: a run takes up a part of what an outage has left, and one in which the
    // host is killed may keep others from running until its deadline.
    const TASKS: &'static [Task] = &[Task::every("recover", Duration::from_secs(2)).deadline(Duration::from_secs(10))];
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
provesi_sdk::export_subscriber!(Orders);
