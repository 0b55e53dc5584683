//! Reads moments, part by part: RFC 3339, whose time or offset may be missing.

use std::ops::RangeInclusive;

use super::{BOGOTA, HOUR, MINUTE, SECOND, calendar};

/// What is left of a text.
pub(super) struct Reader<'t>(&'t [u8]);

impl<'t> Reader<'t> {
    /// Starts at the beginning of a text.
    pub(super) fn new(text: &'t str) -> Self {
        Self(text.as_bytes())
    }

    /// Says whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a date, as days since 1970-01-01.
    pub(super) fn date(&mut self) -> Option<i64> {
        let year = self.number(4, 0..=9999)?;
        self.one_of(b"-")?;
        let month = self.number(2, 1..=12)?;
        self.one_of(b"-")?;
        let day = self.number(2, 1..=calendar::month_length(year, month))?;
        Some(calendar::days(year, month, day))
    }

    /// Takes what separates it from the date, and a time, as microseconds since midnight.
    pub(super) fn time(&mut self) -> Option<i64> {
        self.one_of(b"Tt ")?;
        let hour = self.number(2, 0..=23)?;
        self.one_of(b":")?;
        let minute = self.number(2, 0..=59)?;
        self.one_of(b":")?;
        // The 60th is a leap second.
        let second = self.number(2, 0..=60)?;
        Some(hour * HOUR + minute * MINUTE + second * SECOND + self.fraction()?)
    }

    /// Takes an offset from UTC, in seconds; when nothing is left it is that of Bogotá.
    pub(super) fn offset(&mut self) -> Option<i64> {
        if self.is_done() {
            return Some(BOGOTA);
        }
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.number(2, 0..=23)?;
        self.one_of(b":")?;
        Some(sign * (hours * 3600 + self.number(2, 0..=59)? * 60))
    }

    /// Takes a point and digits, if there is a point, as microseconds; what is smaller is left out.
    fn fraction(&mut self) -> Option<i64> {
        if self.one_of(b".").is_none() {
            return Some(0);
        }
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, rest) = self.0.split_at(digits);
        self.0 = rest;
        let micros = (0..6_usize).fold(0, |micros, place| micros * 10 + fraction.get(place).map_or(0, digit));
        (digits > 0).then_some(micros)
    }

    /// Takes one of some bytes.
    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first().filter(|(first, _)| bytes.contains(first))?;
        self.0 = rest;
        Some(*first)
    }

    /// Takes a number of so many digits, within bounds.
    fn number(&mut self, digits: usize, bounds: RangeInclusive<i64>) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        if !number.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = rest;
        let number = number.iter().fold(0, |number, byte| number * 10 + digit(byte));
        bounds.contains(&number).then_some(number)
    }
}

fn digit(byte: &u8) -> i64 {
    i64::from(*byte - b'0')
}
