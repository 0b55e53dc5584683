//! Components that tests make of built ones: other bytes, so another digest, with the behaviour that is wanted.

use std::path::{Path, PathBuf};

use crate::support::{fixture, root};
pub(super) use crate::support::{set, variant};

/// Returns the file of one of the four services.
pub(super) fn component(name: &str) -> PathBuf {
    root().join(format!("target/components/{name}.wasm"))
}

/// Reads a component.
pub(crate) fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap_or_else(|error| panic!("`make test` builds {}: {error}", file.display()))
}

/// Makes a revision of `notes`.
pub(super) fn notes(settings: &[(&str, &str)]) -> Vec<u8> {
    set(&read(&fixture("notes")), settings)
}

/// Gives a name of a typed interface another one of the same length, wherever it stands in a component.
pub(super) fn renamed(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "its length stands before it");
    let mut renamed = bytes.to_vec();
    for start in places(bytes, from.as_bytes()) {
        renamed[start..start + to.len()].copy_from_slice(to.as_bytes());
    }
    assert_ne!(renamed, bytes, "{from} is not in the component");
    renamed
}

fn places(bytes: &[u8], text: &[u8]) -> impl Iterator<Item = usize> {
    bytes.windows(text.len()).enumerate().filter(move |(_, window)| *window == text).map(|(start, _)| start)
}
