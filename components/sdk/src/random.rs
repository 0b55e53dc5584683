//! The host's secure random numbers.

/// Returns random bytes, fit for passwords and keys.
///
/// # Panics
/// When the host has none, which it always has.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the host has random numbers");
    bytes
}
