//! Remembers what the statements of guests are, so that each text is read once and not at every call.
//!
//! Kept is only what was admitted, for one database, and no more than fits: a text that comes later begins anew.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::statement::{self, Reading};

/// Texts that are kept; a service has a few dozen.
const MAX_TEXTS: usize = 256;

/// Longest text that is kept, in bytes; those that are longer are written by a program, and seldom twice.
const MAX_LENGTH: usize = 2 << 10;

/// The readings of one database's guests.
#[derive(Clone, Default)]
pub(super) struct Readings(Arc<RwLock<HashMap<Box<str>, Reading>>>);

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
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(text).copied();
        if let Some(reading) = known {
            return Ok(reading);
        }
        let reading = statement::classify_for_guest(text)?;
        let mut texts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if texts.len() >= MAX_TEXTS {
            texts.clear();
        }
        texts.insert(text.into(), reading);
        Ok(reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(readings: &Readings) -> usize {
        readings.0.read().unwrap_or_else(PoisonError::into_inner).len()
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
        assert_eq!(kept(&readings), 2, "what is refused is not kept");
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let readings = Readings::default();
        for number in 0..=MAX_TEXTS {
            let reading = readings.classify_for_guest(&format!("SELECT {number}"));
            assert!(reading.is_ok(), "{number}");
            assert!((1..=MAX_TEXTS).contains(&kept(&readings)), "{number}");
        }
        let before = kept(&readings);
        let long = format!("SELECT 1 {}", " ".repeat(MAX_LENGTH));
        assert!(readings.classify_for_guest(&long).is_ok());
        assert_eq!(kept(&readings), before);
    }
}
