//! Who a request comes from: signing keys, tokens, and what was revoked.
//!
//! A token is good when this host or one that shares its keys signed it, it has not expired, and neither it nor
//! its user was revoked since. Keys never leave this room.
//!
//! Not here: who gets a token (a service decides, through `capabilities::tokens`), who may call a route (see
//! `gateway::access`).

mod keys;
mod revocations;
mod tokens;
mod verified;

pub use self::keys::{KeyError, Keys};
pub use self::revocations::{RevocationError, Revocations};
pub use self::tokens::{Bearer, Claims, Identity, InvalidToken, IssueError, IssuedToken};
