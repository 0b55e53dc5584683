//! `[admin]` and `[canary]`: the operators' listener, and when the host takes a canary's traffic away.

use std::net::SocketAddr;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use super::ConfigError;

/// The operators' listener. Its token is not configured: it is made at the first start, in `DATA/admin-token`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Address and port. Default `127.0.0.1:9000`: whoever deploys is on this machine, or comes through a tunnel.
    pub listen: SocketAddr,
    /// Largest component. Default 64 MiB: the four services have 0.1, a language with a runtime of its own 30.
    pub max_component: ByteSize,
    /// Time an operator has for sending a component. Default 60 s.
    #[serde(with = "humantime_serde")]
    pub upload_timeout: Duration,
    /// Time that requests, and deploys whose client has gone, have after SIGTERM. Default 20 s.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9000)),
            max_component: ByteSize::mib(64),
            upload_timeout: Duration::from_secs(60),
            drain: Duration::from_secs(20),
        }
    }
}

/// When the host takes a canary's traffic away.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CanaryConfig {
    /// How far back requests count. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// Share of faults above which it is returned. Default 0.05.
    pub max_error_share: f64,
    /// Times that its 99th percentile may be as slow as the other revision's. Default 2.
    pub max_p99_ratio: f64,
    /// A 99th percentile below this is never too slow, whatever the other revision's is. Default 50 ms.
    #[serde(with = "humantime_serde")]
    pub p99_floor: Duration,
    /// Requests in the window below which it is not judged. Default 20: one fault is then just 5 %.
    pub min_requests: u32,
    /// Time from one look to the next. Default 500 ms.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
}

impl Default for CanaryConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            max_error_share: 0.05,
            max_p99_ratio: 2.0,
            p99_floor: Duration::from_millis(50),
            min_requests: 20,
            interval: Duration::from_millis(500),
        }
    }
}

impl CanaryConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, value: String, allowed: &str| {
            Err(ConfigError::Contradiction { key: format!("canary.{key}"), value, allowed: allowed.to_owned() })
        };
        if !(0.0..=1.0).contains(&self.max_error_share) {
            return wrong("max-error-share", self.max_error_share.to_string(), "from 0 to 1");
        }
        if !self.max_p99_ratio.is_finite() || self.max_p99_ratio < 1.0 {
            return wrong("max-p99-ratio", self.max_p99_ratio.to_string(), "at least 1");
        }
        if self.min_requests == 0 {
            return wrong("min-requests", "0".to_owned(), "at least 1");
        }
        if self.interval.is_zero() || self.interval > self.window {
            return wrong("interval", format!("{:?}", self.interval), "more than 0, at most canary.window");
        }
        Ok(())
    }
}
