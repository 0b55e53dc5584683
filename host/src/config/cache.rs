//! `[cache]`: where services keep what can be computed again.

use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;

/// Longest `cache.timeout`: a guest that waits longer for a value had better compute it.
const MAX_TIMEOUT: Duration = Duration::from_secs(5);

/// Where services keep what can be computed again.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CacheConfig {
    /// `memory:` for this process alone (default), or `redis://user:password@host:port/db`, which hosts can share.
    pub url: CacheUrl,
    /// Longest wait for one answer of Redis. Default 100 ms: over it, computing is most often quicker.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { url: CacheUrl::Memory, timeout: Duration::from_millis(100) }
    }
}

impl CacheConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.timeout.is_zero() || self.timeout > MAX_TIMEOUT {
            return Err(ConfigError::Contradiction {
                key: "cache.timeout".to_owned(),
                value: format!("{:?}", self.timeout),
                allowed: format!("more than 0, at most {MAX_TIMEOUT:?}"),
            });
        }
        Ok(())
    }
}

/// What keeps the values.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub enum CacheUrl {
    /// The memory of this process.
    Memory,
    /// A Redis server.
    Redis(String),
}

impl std::fmt::Debug for CacheUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        f.write_str(match self {
            Self::Memory => "memory:",
            Self::Redis(_) => "redis://…",
        })
    }
}

impl TryFrom<String> for CacheUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "memory:" {
            Ok(Self::Memory)
        } else if text.starts_with("redis://") {
            Ok(Self::Redis(text))
        } else {
            Err("cache.url is neither `memory:` nor `redis://user:password@host:port/db`")
        }
    }
}
