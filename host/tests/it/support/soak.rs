//! Which form of the long proofs is asked for, and what they say of themselves.
//!
//! Every test run has the short forms; `PROVESI_SOAK=1` (`make soak`) asks for the full ones. `PROVESI_SOAK_SEED`
//! repeats the choices of an earlier run.

/// Says whether the full forms are asked for.
pub(crate) fn is_full() -> bool {
    variable("PROVESI_SOAK").is_some_and(|value| value == "1")
}

/// Returns the seed of the run that is to be repeated.
pub(crate) fn seed() -> Option<u64> {
    variable("PROVESI_SOAK_SEED").map(|text| text.parse().expect("the seed is a number"))
}

/// Says the figures of a run to who started it.
#[expect(clippy::print_stdout, reason = "the figures of a run, read by who started it")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::disallowed_methods, reason = "how long a test takes is not the host's configuration")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
