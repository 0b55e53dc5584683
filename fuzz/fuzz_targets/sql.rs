//! Rows between host and guest, and statements.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| provesi::fuzzing::sql(bytes));
