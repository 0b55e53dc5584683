//! What can be computed again, kept on the host for a while; keys are the service's own. Needs the grant `cache`.
//!
//! A value may be gone at any time, so what needs one computes it: [`get_or_compute`]. Where it is computed from data
//! that a request changes, that request calls [`delete`] after its commit; what was being computed from before is then
//! not kept either.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::provesi::platform::cache as wit;
use crate::{Result, json};

/// Returns a value; none when it is gone, or when another revision has stored it in another shape.
pub fn get<T: DeserializeOwned>(key: &str) -> Option<T> {
    read(&wit::get(key)?)
}

/// Keeps a value for a time, at most a day. A key of over 512 bytes or a value of over 1 MiB as JSON is not kept.
///
/// # Panics
/// When the value is no JSON: a map with keys that are no text.
pub fn set<T: Serialize + ?Sized>(key: &str, value: &T, ttl: Duration) {
    let value = json::to_vec(value).expect("a value has only keys that are text");
    wit::set(key, &value, u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
}

/// Forgets a value.
pub fn delete(key: &str) {
    wit::delete(key);
}

/// Returns a value, computed when it is not there: by one request at a time, while others wait for it.
///
/// # Errors
/// What computing returns; nothing is kept then, and one of those who wait is the next to compute.
pub fn get_or_compute<T: Serialize + DeserializeOwned>(
    key: &str,
    ttl: Duration,
    compute: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let keep = match wit::get_or_claim(key) {
        wit::Lookup::Hit(value) => match read(&value) {
            Some(value) => return Ok(value),
            None => true,
        },
        wit::Lookup::Claimed => true,
        wit::Lookup::Busy => false,
    };
    let computed = compute();
    match &computed {
        Ok(value) if keep => set(key, value, ttl),
        // Lets those who wait know before the request ends.
        Err(_) if keep => delete(key),
        _ => {}
    }
    computed
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}
