//! The REST contract of each service, through HTTP, on SQLite and on PostgreSQL.

mod auth;
mod copies;
mod edge;
mod fields;
mod inventory;
mod log_in;
mod orders;
mod products;
mod recovery;
