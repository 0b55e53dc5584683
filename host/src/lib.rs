//! `provesi`: an API gateway that is also a WebAssembly component host.
//!
//! One process. Each domain service is one component with a database of its own; requests reach it through the
//! gateway, other services through typed interfaces. Which room may know which other is in `ARCHITECTURE.md` and
//! kept by `tests/it/architecture.rs`.

pub mod admin;
pub mod app;
pub mod bindings;
pub mod cache;
pub mod capabilities;
pub mod cli;
pub mod config;
pub mod db;
pub mod dispatch;
pub mod events;
pub mod fault;
pub mod feed;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
pub mod gateway;
pub mod identity;
pub mod listener;
pub mod names;
pub mod registry;
pub mod runtime;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
