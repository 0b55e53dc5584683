//! Issues and revokes tokens on the host.

use crate::bindings::provesi::platform::tokens as wit;
use crate::{Error, Result};

pub use wit::{Claims, Token};

/// Signs a token.
///
/// # Errors
/// When the host cannot.
pub fn issue(claims: &Claims) -> Result<Token> {
    wit::issue(claims).map_err(failed)
}

/// Ends one token, from now on.
///
/// # Errors
/// When the host cannot store it.
pub fn revoke(token_id: &str) -> Result<()> {
    wit::revoke(token_id).map_err(failed)
}

/// Ends every token that a user has, from now on.
///
/// Last in the transaction that takes something away from the user: when this fails nothing has changed, and when the
/// commit fails the user only has to log in again.
///
/// # Errors
/// When the host cannot store it.
pub fn revoke_user(user_id: i64) -> Result<()> {
    wit::revoke_user(user_id).map_err(failed)
}

fn failed(error: wit::Error) -> Error {
    if let wit::Error::Invalid(reason) = error {
        panic!("the claims are wrong: {reason}");
    }
    Error::unavailable("El servicio de identidad no está disponible")
}
