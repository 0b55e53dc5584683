//! From a request's path, query and header to the arguments of `handle`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| provesi::fuzzing::request(bytes));
