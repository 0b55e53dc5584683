//! Times: microseconds since 1970 in UTC inside, ISO 8601 at −05:00 (Bogotá, no daylight saving) outside.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, Timelike as _};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// A moment, in microseconds since 1970-01-01, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

fn bogota() -> FixedOffset {
    FixedOffset::west_opt(5 * 3600).expect("five hours are within a day")
}

impl Timestamp {
    /// Reads a moment (`2026-11-23T21:38:17-05:00`), or a local time or date in Bogotá; a date is its first moment.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            return Some(Self(moment.timestamp_micros()));
        }
        let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
            .ok()
            .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))?;
        Some(Self(local.and_local_timezone(bogota()).single()?.timestamp_micros()))
    }

    /// Returns the moment that many seconds later.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(utc) = DateTime::from_timestamp_micros(self.0) else { return f.write_str("") };
        let local = utc.with_timezone(&bogota()).naive_local();
        let (date, time) = (local.date(), local.time());
        write!(
            f,
            "{date}T{:02}:{:02}:{:02}.{:06}-05:00",
            time.hour(),
            time.minute(),
            time.second(),
            time.nanosecond() / 1000
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_in_bogota_and_read_back() {
        let shown = "2026-11-23T21:38:17.524255-05:00";
        let moment = Timestamp::parse(shown).expect("a moment");
        assert_eq!(moment.to_string(), shown);
        assert_eq!(Timestamp::parse("2026-11-24T02:38:17.524255Z"), Some(moment));
        assert_eq!(Timestamp::parse("2026-11-23T21:38:17.524255"), Some(moment));
        let midnight = Timestamp::parse("2026-11-23").expect("a date");
        assert_eq!(midnight.to_string(), "2026-11-23T00:00:00.000000-05:00");
        for bad in ["", "ayer", "2026-13-01", "2026-11-23T25:00:00"] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }
}
