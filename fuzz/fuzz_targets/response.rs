//! From what a guest answers to what is sent.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| provesi::fuzzing::response(bytes));
