//! `[gateway]`: the public listener, and how its requests are spread over revisions.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::HeaderName;
use bytesize::ByteSize;
use serde::Deserialize;

use super::ConfigError;

/// The public listener.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Address and port. Default `0.0.0.0:8000`.
    pub listen: SocketAddr,
    /// Whether routes are protected. Default `enforced`.
    pub access: AccessMode,
    /// Largest request body. Default 1 MiB: the largest of the contract are a few kB.
    pub max_body: ByteSize,
    /// What all bodies that are being read may take together; more are refused. Default 64 MiB.
    pub body_memory: ByteSize,
    /// Largest request head. Default 32 KiB.
    pub max_head: ByteSize,
    /// Headers of one request. Default 100: a browser sends 20.
    pub max_headers: usize,
    /// Time a client has from connecting to the end of its first head. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub head_timeout: Duration,
    /// Time a client has for sending the whole body. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// Time from an answer to the end of the next head. Default 75 s: more than the 60 s for which proxies keep theirs.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Time a client has for taking the next 16 KiB of an answer. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// Connections served at once; further ones wait in the kernel's backlog. Default 4096.
    pub max_connections: usize,
    /// Time that running requests have after SIGTERM. Default 20 s.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
    /// Whether TLS ends in front of the gateway, which makes cookies `Secure`. Default false.
    pub behind_tls: bool,
    /// Whether a header of each answer names the revision that gave it. Default true.
    pub revision_header: bool,
    /// What keeps requests on one revision while traffic is split. Default `request`.
    pub sticky: Sticky,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8000)),
            access: AccessMode::Enforced,
            max_body: ByteSize::mib(1),
            body_memory: ByteSize::mib(64),
            max_head: ByteSize::kib(32),
            max_headers: 100,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            max_connections: 4096,
            drain: Duration::from_secs(20),
            behind_tls: false,
            revision_header: true,
            sticky: Sticky::Request,
        }
    }
}

/// Longest time that a client may be given for anything.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// Most connections and headers that can be configured; either is more than a process and a client need.
const MAX_CONNECTIONS: usize = 1 << 20;
const MAX_HEADERS: usize = 1000;

impl GatewayConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, value: String, allowed: &str| {
            Err(ConfigError::Contradiction { key: format!("gateway.{key}"), value, allowed: allowed.to_owned() })
        };
        for (key, timeout) in [
            ("head-timeout", self.head_timeout),
            ("body-timeout", self.body_timeout),
            ("idle-timeout", self.idle_timeout),
            ("write-timeout", self.write_timeout),
        ] {
            if timeout.is_zero() || timeout > MAX_TIMEOUT {
                return wrong(key, format!("{timeout:?}"), "more than 0, at most 1h");
            }
        }
        if !(ByteSize::kib(8)..=ByteSize::mib(1)).contains(&self.max_head) {
            return wrong("max-head", self.max_head.to_string(), "from 8 KiB to 1 MiB");
        }
        if !(1..=MAX_HEADERS).contains(&self.max_headers) {
            return wrong("max-headers", self.max_headers.to_string(), "from 1 to 1000");
        }
        if !(1..=MAX_CONNECTIONS).contains(&self.max_connections) {
            return wrong("max-connections", self.max_connections.to_string(), "from 1 to 1048576");
        }
        if self.body_memory < self.max_body {
            return wrong("body-memory", self.body_memory.to_string(), "at least gateway.max-body");
        }
        Ok(())
    }
}

/// Whether routes are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessMode {
    /// Each route admits whom it names.
    Enforced,
    /// Routes that say so are public, for clients of the old system.
    Open,
}

/// What keeps requests on one revision while traffic is split.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Sticky {
    /// Nothing: each request is spread on its own (`request`).
    Request,
    /// All requests of one caller go to one revision (`caller`).
    Caller,
    /// All requests with the same value of this header go to one revision (`header:<name>`).
    Header(HeaderName),
}

impl TryFrom<String> for Sticky {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const ALLOWED: &str = "gateway.sticky is neither `request` nor `caller` nor `header:<name of a header>`";
        match text.as_str() {
            "request" => Ok(Self::Request),
            "caller" => Ok(Self::Caller),
            other => {
                let name = other.strip_prefix("header:").ok_or(ALLOWED)?;
                name.parse().map(Self::Header).map_err(|_| ALLOWED)
            }
        }
    }
}
