//! What a bench is told by its variables.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// Reads a number of rounds, seconds or copies.
pub(crate) fn number(name: &str, default: u32, allowed: RangeInclusive<u32>) -> anyhow::Result<u32> {
    let Some(text) = variable(name) else { return Ok(default) };
    let number: u32 = text.parse().with_context(|| format!("{name} = {text:?} is no number"))?;
    ensure!(allowed.contains(&number), "{name} = {number}: {} to {}", allowed.start(), allowed.end());
    Ok(number)
}

/// Reads a variable.
#[expect(clippy::disallowed_methods, reason = "a bench is told by its variables how long it may take")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ lies in the root").to_owned()
}
