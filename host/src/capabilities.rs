//! What the host offers to guests: one module per WIT interface, each of the same five parts.
//!
//! Doc with what it grants → `XCtx` (lives as long as the instance) → `XView` (borrows it) → the generated
//! `Host` trait → `add_to_linker`. A capability knows neither the engine nor another capability.
//!
//! Not here: who is granted what (see `runtime::linker`).

pub mod cache;
pub mod log;
pub mod outbound;
pub mod passwords;
pub mod sql;
pub mod tokens;
pub mod wasi;

/// A capability was called while it does not answer: a component is only being asked what it is.
///
/// It ends the guest. Its name is the capability's.
#[derive(Debug, thiserror::Error)]
#[error("the capability {0:?} does not answer now")]
pub struct Denied(&'static str);

impl Denied {
    /// Returns the name of the capability.
    pub fn capability(&self) -> &'static str {
        self.0
    }
}
