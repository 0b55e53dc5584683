//! The REST contract of each service, through HTTP, on SQLite and on PostgreSQL.

mod auth;
mod edge;
mod inventory;
mod orders;
mod products;
