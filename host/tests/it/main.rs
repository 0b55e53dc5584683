//! Tests of the whole host, with real components, real HTTP and real databases; one binary, linked once.

mod aborts;
mod api;
mod architecture;
mod cache;
mod compiled;
mod connections;
mod contracts;
mod crash;
mod crossing;
mod dangers;
mod deployments;
mod events;
mod faults;
mod hosts;
mod limits;
mod open;
mod outbound;
mod overload;
mod peers;
mod start;
mod support;
mod swaps;
mod tasks;
