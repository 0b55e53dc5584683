//! From uploaded bytes to a linked component.

#![no_main]

use std::sync::LazyLock;

use provesi::fuzzing::Deploys;

static DEPLOYS: LazyLock<Deploys> = LazyLock::new(|| Deploys::new(&std::env::temp_dir().join("provesi-fuzz-deploy")));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    DEPLOYS.check(bytes);
});
