//! Values that the operator set for this service.

use crate::bindings::wasi::config::store;

/// Reads a value; none when it is not set.
pub fn get(key: &str) -> Option<String> {
    store::get(key).ok().flatten()
}
