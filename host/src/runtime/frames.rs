//! The functions that a guest was in when it was ended, by name, for the one line in the log.
//!
//! Names come from the component, so they are cut and cleaned: a name can be as long as its author likes.

use std::fmt::{self, Write as _};

use wasmtime::WasmBacktrace;

/// Bytes of wasmtime's text that are looked at; it has twenty frames at most.
const MAX_TEXT: usize = 32 << 10;

/// Bytes of one name that are kept.
const MAX_NAME: usize = 160;

/// Names of the functions that a guest was in, innermost first; none where it was not running.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames(Vec<String>);

impl Frames {
    /// Takes the names out of the backtrace that an error carries.
    pub(super) fn of(error: &wasmtime::Error) -> Self {
        let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Self::default() };
        let mut text = Bounded(String::new());
        // Cut off where it is too long, which ends the writing with an error.
        let _ = write!(text, "{backtrace}");
        Self::read(&text.0)
    }

    /// Reads wasmtime's text, which has the names demangled: `  0: 0x1f4 - module!function`, a line each.
    fn read(text: &str) -> Self {
        let frames = text.lines().filter_map(|line| {
            let (number, frame) = line.trim_start().split_once(": ")?;
            number.parse::<u32>().ok()?;
            let name = frame.split_once(" - ").map_or(frame, |(_, name)| name);
            let name = name.split_once('!').map_or(name, |(_, name)| name);
            let name: String = without_hash(name).chars().filter(|c| !c.is_control()).collect();
            Some(name[..name.floor_char_boundary(MAX_NAME)].to_owned())
        });
        Self(frames.collect())
    }
}

/// Takes away what the compiler appends to a name: `::h` and sixteen digits.
fn without_hash(name: &str) -> &str {
    let is_hash = |hash: &str| hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    name.rsplit_once("::h").filter(|(_, hash)| is_hash(hash)).map_or(name, |(name, _)| name)
}

impl fmt::Display for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " < " };
            write!(f, "{separator}{name}")?;
        }
        Ok(())
    }
}

/// A text that takes no more than so much.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let room = MAX_TEXT - self.0.len();
        self.0.push_str(&piece[..piece.floor_char_boundary(room)]);
        if piece.len() <= room { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_without_places_and_hashes() {
        let text = "error while executing at wasm backtrace:\n\
                    \x20   0:   0x1f4c - fixture.wasm!fixture::endless::h0123456789abcdef\n\
                    \x20   1:   0x2000 - fixture.wasm!<wasm function 12>\n\
                    \x20   2: main!core::ops::function::FnOnce::call_once\n\
                    \x20   3:   0x3000 - provesi_sdk::handle\n\
                    \x20                   at /src/exports.rs:12:3\n\
                    note: using the `X=1` environment variable may show more";
        let frames = Frames::read(text);
        let expected = "fixture::endless < <wasm function 12> < core::ops::function::FnOnce::call_once < \
                        provesi_sdk::handle";
        assert_eq!(frames.to_string(), expected);
        assert_eq!(Frames::default().to_string(), "");
    }

    #[test]
    fn a_name_is_cut_and_writes_no_line_of_its_own() {
        let text = format!("head\n  0: 0x1 - m!{}\n", "ñ\u{7}".repeat(10_000));
        let frames = Frames::read(&text).to_string();
        assert!(frames.len() <= MAX_NAME && frames.chars().all(|c| c == 'ñ'), "{frames}");
        let mut bounded = Bounded(String::new());
        let mut write = |piece: &str| fmt::Write::write_str(&mut bounded, piece);
        assert!(write(&"ñ".repeat(MAX_TEXT / 2)).is_ok() && write("n").is_err());
        assert_eq!(bounded.0.len(), MAX_TEXT);
        assert_eq!(without_hash("a::hash"), "a::hash");
    }

    #[test]
    fn an_error_from_outside_a_guest_has_no_frames() {
        assert_eq!(Frames::of(&wasmtime::Error::msg("no")), Frames::default());
    }
}
