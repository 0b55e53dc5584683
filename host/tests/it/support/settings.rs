//! Writes the settings of a fixture into its component: one build has many behaviours, each with a digest of its own.

use std::io::Write as _;

/// First line of the settings in a fixture, see `tests/fixtures/notes/src/settings.rs`.
const MARK: &[u8] = b"#provesi-fixture-settings\n";

/// Length of the settings, this line included.
const SETTINGS: usize = 2048;

/// Writes settings into a fixture that has some.
pub(crate) fn set(bytes: &[u8], settings: &[(&str, &str)]) -> Vec<u8> {
    let windows = bytes.windows(MARK.len()).enumerate();
    let found: Vec<usize> = windows.filter(|(_, window)| *window == MARK).map(|(start, _)| start).collect();
    let [start] = found[..] else { panic!("the fixture has its settings {} times", found.len()) };
    let mut block = MARK.to_vec();
    for (key, value) in settings {
        writeln!(block, "{key}={value}").expect("a Vec takes everything");
    }
    assert!(block.len() <= SETTINGS, "{} bytes of settings", block.len());
    block.resize(SETTINGS, b' ');
    let mut bytes = bytes.to_vec();
    bytes[start..start + SETTINGS].copy_from_slice(&block);
    bytes
}
