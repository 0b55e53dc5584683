//! Remembers what the statements of guests are, so that each text is read once and not at every call.
//!
//! Kept is only what was admitted, for one database, and no more than fits. Texts are kept in two generations: when the
//! younger is full, the older goes and the younger takes its place; a text of the older that is met again is young
//! again. So a guest that writes values into its statements, each of them met once, pushes out none that is in use.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::statement::{self, Reading};

/// Texts of one generation; a service has a few dozen.
const MAX_TEXTS: usize = 128;

/// Longest text that is kept, in bytes; those that are longer are written by a program, and seldom twice.
const MAX_LENGTH: usize = 2 << 10;

/// The readings of one database's guests.
#[derive(Clone, Default)]
pub(super) struct Readings(Arc<RwLock<Generations>>);

#[derive(Default)]
struct Generations {
    young: HashMap<Box<str>, Reading>,
    old: HashMap<Box<str>, Reading>,
}

// === impl Readings ===

impl Readings {
    /// Admits a single data statement of a guest's, as [`statement::classify_for_guest`] does.
    ///
    /// # Errors
    /// As there.
    pub(super) fn classify_for_guest(&self, text: &str) -> Result<Reading, String> {
        if text.len() > MAX_LENGTH {
            return statement::classify_for_guest(text);
        }
        let old = {
            let generations = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(reading) = generations.young.get(text) {
                return Ok(*reading);
            }
            generations.old.get(text).copied()
        };
        let reading = old.map_or_else(|| statement::classify_for_guest(text), Ok)?;
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(text, reading);
        Ok(reading)
    }
}

// === impl Generations ===

impl Generations {
    /// Takes a text into the younger generation.
    fn insert(&mut self, text: &str, reading: Reading) {
        if self.young.len() >= MAX_TEXTS {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(text.into(), reading);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many texts each generation has.
    fn kept(readings: &Readings) -> [usize; 2] {
        let generations = readings.0.read().unwrap_or_else(PoisonError::into_inner);
        [generations.young.len(), generations.old.len()]
    }

    fn knows(readings: &Readings, text: &str) -> bool {
        let generations = readings.0.read().unwrap_or_else(PoisonError::into_inner);
        generations.young.contains_key(text) || generations.old.contains_key(text)
    }

    #[test]
    fn a_text_is_read_the_same_way_every_time() {
        let readings = Readings::default();
        for text in
            ["SELECT a FROM t WHERE b = $1", "DELETE FROM t", "SELECT * FROM pg_class", "COMMIT", "", "SELECT '"]
        {
            let fresh = statement::classify_for_guest(text);
            for _ in 0..2 {
                assert_eq!(readings.classify_for_guest(text), fresh, "{text}");
            }
        }
        assert_eq!(kept(&readings), [2, 0], "what is refused is not kept");
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let readings = Readings::default();
        for number in 0..5 * MAX_TEXTS {
            let reading = readings.classify_for_guest(&format!("SELECT {number}"));
            assert!(reading.is_ok(), "{number}");
            assert!(kept(&readings).into_iter().all(|texts| texts <= MAX_TEXTS), "{number}");
        }
        let before = kept(&readings);
        let long = format!("SELECT 1 {}", " ".repeat(MAX_LENGTH));
        assert!(readings.classify_for_guest(&long).is_ok());
        assert_eq!(kept(&readings), before);
    }

    #[test]
    fn a_text_that_is_used_stays_however_many_others_come() {
        let readings = Readings::default();
        let (used, once) = ("SELECT a FROM t WHERE b = $1", "SELECT a FROM t WHERE b = 1");
        assert!(readings.classify_for_guest(once).is_ok());
        for number in 0..5 * MAX_TEXTS {
            assert!(number == 0 || knows(&readings, used), "{number}");
            for text in [used, &format!("SELECT {number}")] {
                assert!(readings.classify_for_guest(text).is_ok(), "{text}");
            }
        }
        assert!(!knows(&readings, once));
    }
}
