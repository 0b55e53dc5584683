//! The statements that change and find rows, a resource a file.

pub(crate) mod products;
