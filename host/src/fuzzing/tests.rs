//! Each entry point with the committed seeds, and with changes of them that are the same in every run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// Changed inputs of each entry point; `make fuzz` tries millions.
const ROUNDS: usize = 2000;

#[test]
fn whatever_is_requested_a_guest_gets_valid_arguments() {
    briefly("request", request);
}

#[test]
fn whatever_a_guest_answers_only_a_response_is_sent() {
    briefly("response", response);
}

#[test]
fn whatever_is_packed_is_read_as_it_was() {
    briefly("sql", sql);
}

#[test]
fn whatever_token_is_shown_only_the_issued_one_is_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let tokens = Tokens::new(folder.path());
    briefly("token", |bytes| tokens.check(bytes));
}

#[test]
fn whatever_is_deployed_the_compiler_survives() {
    let folder = tempfile::tempdir().expect("a folder");
    let deploys = Deploys::new(folder.path());
    let mut compiled = 0;
    briefly("deploy", |bytes| compiled += usize::from(deploys.check(bytes)));
    assert!(compiled > 0, "not even the seeds are components");
}

/// Calls an entry point with its seeds and with changes of them; a failure shows the bytes.
fn briefly(target: &str, mut check: impl FnMut(&[u8])) {
    let mut check = |bytes: &[u8]| {
        let outcome = catch_unwind(AssertUnwindSafe(|| check(bytes)));
        assert!(outcome.is_ok(), "{target} failed on {}", bytes.escape_ascii());
    };
    let seeds = seeds(target);
    for seed in &seeds {
        check(seed);
    }
    let mut random = Random(0x5eed);
    for _ in 0..ROUNDS {
        let mut bytes = random.one_of(&seeds).clone();
        for _ in 0..=random.below(4) {
            random.change(&mut bytes, &seeds);
        }
        check(&bytes);
    }
}

/// Reads the seeds of a target, in the order of their names.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ lies in the root");
    let folder = root.join("fuzz/seeds").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| std::fs::read(file).expect("a seed")).collect()
}

/// The generator `SplitMix64`: no numbers to be proud of, and always the same ones.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Draws a number below a bound, which is not zero.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below a usize")
    }

    fn one_of<'s, T>(&mut self, these: &'s [T]) -> &'s T {
        &these[self.below(these.len())]
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Draws a part of a number of bytes, perhaps none of them.
    fn part(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..start + self.below(length - start + 1)
    }

    /// Changes bytes in one of the ways in which inputs go wrong.
    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        match self.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1_u8 << self.below(8),
            1 if at < bytes.len() => bytes[at] = self.byte(),
            2 => bytes.insert(at, self.byte()),
            3 => drop(bytes.drain(self.part(bytes.len()))),
            4 => {
                let other = self.one_of(seeds);
                let part = self.part(other.len());
                drop(bytes.splice(at..at, other[part].iter().copied()));
            }
            _ => bytes.truncate(at),
        }
    }
}
