//! When a task is due: after an interval, or at the times of a cron expression.

use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::Cron;

/// Shortest and longest interval between two runs.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(31 * 24 * 3600);

/// Longest expression that is read.
const MAX_EXPRESSION: usize = 100;

/// When a task is due.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// This long after the end of its last run; the first time at once.
    Every(Duration),
    /// At the times of an expression of five fields, in UTC.
    Cron {
        /// As the component wrote it.
        expression: String,
        /// What it means.
        times: Box<Cron>,
    },
}

/// Why something is no schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleError {
    /// The interval is too short or too long.
    Interval,
    /// The expression means nothing.
    Cron,
    /// The expression names no day that ever comes.
    Never,
}

impl ScheduleError {
    /// Says what would be one.
    pub fn allowed(self) -> &'static str {
        match self {
            Self::Interval => "an interval from 100 ms to 31 days",
            Self::Cron => "minute, hour, day of month, month and day of week, as in `30 4 * * 1-5`",
            Self::Never => "a cron expression with a time that comes",
        }
    }
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.allowed())
    }
}

impl std::error::Error for ScheduleError {}

impl Schedule {
    /// Takes an interval.
    ///
    /// # Errors
    /// When it is too short or too long.
    pub fn every(interval: Duration) -> Result<Self, ScheduleError> {
        if INTERVALS.contains(&interval) { Ok(Self::Every(interval)) } else { Err(ScheduleError::Interval) }
    }

    /// Reads a cron expression.
    ///
    /// # Errors
    /// When it has not five fields, one of them means nothing, or no such time comes.
    pub fn cron(expression: &str) -> Result<Self, ScheduleError> {
        let fields = expression.split_ascii_whitespace().count();
        // An alpha and omega of its own (`@daily`) would be one field.
        if expression.len() > MAX_EXPRESSION || !expression.is_ascii() || fields != 5 || expression.contains('@') {
            return Err(ScheduleError::Cron);
        }
        let times = Cron::from_str(expression).map_err(|_| ScheduleError::Cron)?;
        times.find_next_occurrence(&DateTime::<Utc>::UNIX_EPOCH, false).map_err(|_| ScheduleError::Never)?;
        Ok(Self::Cron { expression: expression.to_owned(), times: Box::new(times) })
    }

    /// Returns when a task that is not yet known is due, in microseconds since 1970.
    pub(super) fn first(&self, now_us: i64) -> i64 {
        match self {
            Self::Every(_) => now_us,
            Self::Cron { .. } => self.after(now_us),
        }
    }

    /// Returns when a task is due after a run that ended now.
    pub(super) fn after(&self, now_us: i64) -> i64 {
        match self {
            Self::Every(interval) => now_us.saturating_add(micros(*interval)),
            Self::Cron { times, .. } => {
                let now = DateTime::<Utc>::from_timestamp_micros(now_us);
                let next = now.and_then(|now| times.find_next_occurrence(&now, false).ok());
                // What is past the end of the calendar never comes.
                next.map_or(i64::MAX, |next| next.timestamp_micros())
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(interval) => {
                write!(f, "every {}", humantime_serde::re::humantime::format_duration(*interval))
            }
            Self::Cron { expression, .. } => write!(f, "cron {expression}"),
        }
    }
}

/// Counts microseconds, as the tables do.
pub(super) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).expect("a time").timestamp_micros()
    }

    #[test]
    fn an_interval_counts_from_the_end_of_a_run_and_begins_at_once() {
        let schedule = Schedule::every(Duration::from_secs(10)).expect("an interval");
        assert_eq!((schedule.first(5), schedule.after(5)), (5, 10_000_005));
        assert_eq!(schedule.to_string(), "every 10s");
        for bad in [Duration::ZERO, Duration::from_millis(99), Duration::from_secs(32 * 24 * 3600), Duration::MAX] {
            assert_eq!(Schedule::every(bad).err(), Some(ScheduleError::Interval), "{bad:?}");
        }
    }

    #[test]
    fn a_cron_expression_names_the_next_time_in_utc() {
        for (expression, now, next) in [
            ("* * * * *", "2026-03-01T10:00:00.5Z", "2026-03-01T10:01:00Z"),
            ("*/15 * * * *", "2026-03-01T10:45:00Z", "2026-03-01T11:00:00Z"),
            ("30 4 * * 1-5", "2026-03-06T05:00:00Z", "2026-03-09T04:30:00Z"),
            ("0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 12 1 jan *", "2026-03-01T00:00:00Z", "2027-01-01T12:00:00Z"),
        ] {
            let schedule = Schedule::cron(expression).expect("a schedule");
            assert_eq!(schedule.after(us(now)), us(next), "{expression}");
            assert_eq!(schedule.first(us(now)), us(next), "{expression}");
            assert_eq!(schedule.to_string(), format!("cron {expression}"));
        }
    }

    #[test]
    fn what_is_no_cron_expression_of_five_fields_is_refused() {
        let long = format!("{} * * * *", "1,".repeat(60));
        for bad in
            ["", "*", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "x * * * *"]
        {
            assert_eq!(Schedule::cron(bad).err(), Some(ScheduleError::Cron), "{bad:?}");
        }
        for bad in ["@daily", "@daily * * * *", "* * * * ñ", &long] {
            assert_eq!(Schedule::cron(bad).err(), Some(ScheduleError::Cron), "{bad:?}");
        }
        assert_eq!(Schedule::cron("0 0 30 2 *").err(), Some(ScheduleError::Never));
    }
}
