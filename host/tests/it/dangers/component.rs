//! Makes the component of a danger: other bytes for each, so another digest.

use super::list::{Danger, Description, Memory};
use super::table;
use crate::support::fixture;

/// First line of the settings in a fixture, see `tests/fixtures/notes/src/settings.rs`.
const MARK: &[u8] = b"#provesi-fixture-settings\n";

/// Length of the settings, this line included.
const SETTINGS: usize = 2048;

/// Makes the component of a danger.
pub(super) fn component(name: &str, danger: Danger) -> Vec<u8> {
    if let Danger::Memory(Memory::GrowsItsTable) = danger {
        return table::growing();
    }
    let file = fixture("dangers");
    let built = std::fs::read(&file).unwrap_or_else(|error| panic!("`make test` builds {}: {error}", file.display()));
    let chosen = choose(built, name);
    if let Danger::Description(Description::ImportsUnknown) = danger {
        return renamed(chosen, b"provesi:platform/passwords@0.1.0", b"provesi:platform/passwordz@0.1.0");
    }
    chosen
}

/// Writes the danger's name into the fixture.
fn choose(mut bytes: Vec<u8>, name: &str) -> Vec<u8> {
    let found = places(&bytes, MARK);
    let [start] = found[..] else { panic!("the fixture has its settings {} times", found.len()) };
    let mut block = [MARK, format!("danger={name}\n").as_bytes()].concat();
    block.resize(SETTINGS, b' ');
    bytes[start..start + SETTINGS].copy_from_slice(&block);
    bytes
}

/// Gives an interface another name of the same length, wherever it stands.
fn renamed(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "its length stands before it");
    let found = places(&bytes, from);
    assert!(!found.is_empty(), "the fixture imports {}", String::from_utf8_lossy(from));
    for start in found {
        bytes[start..start + to.len()].copy_from_slice(to);
    }
    bytes
}

fn places(bytes: &[u8], text: &[u8]) -> Vec<usize> {
    bytes.windows(text.len()).enumerate().filter(|(_, window)| *window == text).map(|(start, _)| start).collect()
}
