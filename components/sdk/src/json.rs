//! Writes JSON: the text that `serde_json` writes, for a fifth of its instructions in a guest.
//!
//! Most of what a handler computes are the texts of its answer. They are looked at and copied eight bytes at a time
//! here: a copy whose length the compiler does not know is a call out of the guest.
//!
//! Not here: reading, and floating-point numbers, which are left to `serde_json`.

mod open;
mod text;
mod writer;

use std::fmt;

use serde::ser::{self, Serialize};

use self::writer::Writer;

/// Room for most answers of one thing.
const CAPACITY: usize = 512;

/// Why a value is no JSON: a key of a map is no text, or the value itself says so.
#[derive(Debug)]
pub(crate) struct NoJson(String);

/// Writes a value.
///
/// # Errors
/// See [`NoJson`].
pub(crate) fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, NoJson> {
    let mut out = Vec::with_capacity(CAPACITY);
    write(&mut out, value)?;
    Ok(out)
}

/// Writes a value behind what is there.
///
/// # Errors
/// See [`NoJson`]; the value is written in part then.
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), NoJson> {
    value.serialize(Writer(out))
}

impl fmt::Display for NoJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoJson {}

impl ser::Error for NoJson {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

#[cfg(test)]
mod tests;
