//! Hashes and checks passwords on the host.

use crate::bindings::provesi::platform::passwords as wit;
use crate::{Error, Result};

/// Hashes a password.
///
/// # Errors
/// When the host is busy.
pub fn hash(password: &str) -> Result<String> {
    wit::hash(password).map_err(|_| busy())
}

/// Says whether a password belongs to a hash.
///
/// # Errors
/// When the host is busy.
pub fn matches(password: &str, hash: &str) -> Result<bool> {
    match wit::verify(password, hash) {
        Ok(outcome) => Ok(outcome == wit::Outcome::Match),
        Err(wit::Error::InvalidHash) => Ok(false),
        Err(wit::Error::Busy) => Err(busy()),
    }
}

fn busy() -> Error {
    Error::unavailable("El servicio está ocupado, intente de nuevo")
}
