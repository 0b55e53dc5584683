//! Tokens in the header and in the cookie.

#![no_main]

use std::sync::LazyLock;

use provesi::fuzzing::Tokens;

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| Tokens::new(&std::env::temp_dir().join("provesi-fuzz-token")));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TOKENS.check(bytes));
