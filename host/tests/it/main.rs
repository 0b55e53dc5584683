//! Tests of the whole host, with real components, real HTTP and real databases; one binary, linked once.

mod aborts;
mod api;
mod architecture;
mod contracts;
mod crash;
mod crossing;
mod deployments;
mod faults;
mod hosts;
mod open;
mod peers;
mod start;
mod support;
mod swaps;
