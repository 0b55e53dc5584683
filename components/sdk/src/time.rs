//! Times: microseconds since 1970 in UTC inside, ISO 8601 at −05:00 (Bogotá, no daylight saving) outside.

mod calendar;
mod reader;

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use self::reader::Reader;
use crate::decimal;

/// A moment, in microseconds since 1970-01-01, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

/// Seconds by which the clocks of Bogotá are ahead of UTC.
const BOGOTA: i64 = -5 * 3600;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What a moment looks like.
const FORM: [u8; 32] = *b"0000-00-00T00:00:00.000000-05:00";

impl Timestamp {
    /// Reads a moment (`2026-11-23T21:38:17-05:00`), or a local time or date in Bogotá; a date is its first moment.
    pub fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader::new(text);
        let day = reader.date()? * DAY;
        let (time, offset) = if reader.is_done() { (0, BOGOTA) } else { (reader.time()?, reader.offset()?) };
        reader.is_done().then_some(Self(day + time - offset * SECOND))
    }

    /// Returns the moment that many seconds later.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(SECOND)))
    }

    /// Shows it in a buffer that has the form of a moment; nothing when its year has not four digits.
    fn show(self, buffer: &mut [u8; 32]) -> &str {
        let local = self.0.saturating_add(BOGOTA * SECOND);
        let (year, month, day) = calendar::date(local.div_euclid(DAY));
        if !(0..=9999).contains(&year) {
            return "";
        }
        let time = local.rem_euclid(DAY);
        decimal::fill(&mut buffer[0..4], year.unsigned_abs());
        decimal::fill(&mut buffer[5..7], month.unsigned_abs());
        decimal::fill(&mut buffer[8..10], day.unsigned_abs());
        decimal::fill(&mut buffer[11..13], (time / HOUR).unsigned_abs());
        decimal::fill(&mut buffer[14..16], (time % HOUR / MINUTE).unsigned_abs());
        decimal::fill(&mut buffer[17..19], (time % MINUTE / SECOND).unsigned_abs());
        decimal::fill(&mut buffer[20..26], (time % SECOND).unsigned_abs());
        std::str::from_utf8(buffer).expect("the form and digits are ASCII")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = FORM;
        f.write_str(self.show(&mut text))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = FORM;
        serializer.serialize_str(self.show(&mut text))
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests;
