//! Tests of the whole host, with real components, real HTTP and real databases; one binary, linked once.

mod api;
mod architecture;
mod faults;
mod support;
