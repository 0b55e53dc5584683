//! `[services.<name>.breaker]`: when calls are kept away from an operation that fails, each number with its reason.

use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;
use crate::names::ServiceName;

/// Calls in a window beyond which counting them says nothing new.
const MOST_CALLS: u32 = 10_000;

/// Windows between these are neither one call long nor a history.
const WINDOW: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);

/// Longest time that a breaker stays open before it tries again, after many failed probes too.
pub const OPEN_AT_MOST: Duration = Duration::from_secs(30);

/// When calls are kept away from an operation that fails; each operation of each revision has a breaker of its own.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Whether there are breakers at all. Default true.
    pub enabled: bool,
    /// Faults one after the other that open it. Default 10: a broken operation is known within a few milliseconds.
    pub consecutive: u32,
    /// Percent of the calls in the window that are faults and open it. Default 50.
    pub share: u8,
    /// Calls in the window below which the share is not judged. Default 20: one of a handful is no share.
    pub calls: u32,
    /// How far back calls count for the share. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// Time until a first call may try again; doubled with each that fails, up to 30 s. Default 1 s.
    #[serde(with = "humantime_serde")]
    pub open_for: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            consecutive: 10,
            share: 50,
            calls: 20,
            window: Duration::from_secs(10),
            open_for: Duration::from_secs(1),
        }
    }
}

impl BreakerConfig {
    /// Checks the table of a service.
    pub(super) fn check(&self, service: &ServiceName) -> Result<(), ConfigError> {
        let wrong = |key: &str, value: String, allowed: &str| {
            let key = format!("services.{service}.breaker.{key}");
            Err(ConfigError::Contradiction { key, value, allowed: allowed.to_owned() })
        };
        if self.consecutive == 0 {
            return wrong("consecutive", "0".to_owned(), "at least 1");
        }
        if !(1..=100).contains(&self.share) {
            return wrong("share", self.share.to_string(), "percent, from 1 to 100");
        }
        if !(1..=MOST_CALLS).contains(&self.calls) {
            return wrong("calls", self.calls.to_string(), "from 1 to 10000");
        }
        if !WINDOW.contains(&self.window) {
            return wrong("window", format!("{:?}", self.window), "from 100ms to 10m");
        }
        if self.open_for.is_zero() || self.open_for > OPEN_AT_MOST {
            return wrong("open-for", format!("{:?}", self.open_for), "more than 0, at most 30s");
        }
        Ok(())
    }
}
