//! What a team needs to write a service in Rust with little ceremony.
//!
//! A service implements [`Service`] with a table of [`Route`]s, each with its handler, and calls
//! [`export_service!`]. Handlers take a [`Request`] and return a [`Response`] or an [`Error`]; bodies are structs
//! made by [`input!`], which collects the errors of all fields; rows come through [`sql`], and what happens elsewhere
//! through [`events`].
//!
//! Everything but the calls to the host works in native tests: `cargo test -p orders`.

pub mod cache;
pub mod clock;
pub mod config;
mod decimal;
mod error;
pub mod events;
mod exports;
mod first_rows;
pub mod idempotency;
mod input;
mod json;
pub mod list;
pub mod log;
mod money;
pub mod passwords;
pub mod random;
mod request;
mod response;
mod route;
pub mod sql;
mod time;
pub mod tokens;

pub use self::error::{Error, FieldErrors, Result};
pub use self::events::{Event, Subscription};
pub use self::exports::{Service, describe, handle, report_panics};
pub use self::first_rows::fill_empty;
pub use self::input::{Body, Choice, Chosen, Decimal, Email, Field, Int, Omittable, Patch, Secret, Text, json_object};
pub use self::money::Money;
pub use self::request::{Caller, Request};
pub use self::response::Response;
pub use self::route::{Access, Handler, Migration, MigrationPhase, Route, Task};
pub use self::time::Timestamp;

pub use schemars;
pub use serde_json::Map;

/// A JSON object.
pub type JsonObject = serde_json::Map<String, serde_json::Value>;
pub use serde;

/// The platform's interfaces, generated.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::all, clippy::allow_attributes, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit/wasi-config", "../../wit/platform"],
        world: "provesi:platform/platform",
        pub_export_macro: true,
        default_bindings_module: "provesi_sdk::bindings",
        export_macro_name: "export_platform",
        generate_all,
    });
}

/// The optional export `bootstrap`, generated.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::all, clippy::allow_attributes, reason = "generated")]
pub mod bootstrap {
    wit_bindgen::generate!({
        path: ["../../wit/wasi-config", "../../wit/platform"],
        world: "provesi:platform/with-bootstrap",
        pub_export_macro: true,
        default_bindings_module: "provesi_sdk::bootstrap",
        export_macro_name: "export_bootstrap",
    });
    pub use exports::provesi::platform::bootstrap::{Guest as Bootstrap, StartMode};
}

/// The optional export `worker`, generated.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::all, clippy::allow_attributes, reason = "generated")]
pub mod worker {
    wit_bindgen::generate!({
        path: ["../../wit/wasi-config", "../../wit/platform"],
        world: "provesi:platform/with-worker",
        pub_export_macro: true,
        default_bindings_module: "provesi_sdk::worker",
        export_macro_name: "export_worker",
    });
    pub use exports::provesi::platform::worker::Guest as Worker;
}

/// The optional export `subscriber`, generated.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::all, clippy::allow_attributes, reason = "generated")]
pub mod subscriber {
    wit_bindgen::generate!({
        path: ["../../wit/wasi-config", "../../wit/platform"],
        world: "provesi:platform/with-subscriber",
        pub_export_macro: true,
        default_bindings_module: "provesi_sdk::subscriber",
        export_macro_name: "export_with_subscriber",
    });
    pub use exports::provesi::platform::subscriber::{Event, Guest as Subscriber};
}
