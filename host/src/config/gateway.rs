//! `[gateway]`: the public listener, and how its requests are spread over revisions.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::HeaderName;
use bytesize::ByteSize;
use serde::Deserialize;

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
    /// Largest request head. Default 32 KiB.
    pub max_head: ByteSize,
    /// Time a client has for sending the head. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub head_timeout: Duration,
    /// Time a client has for sending the body. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
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
            max_head: ByteSize::kib(32),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            max_connections: 4096,
            drain: Duration::from_secs(20),
            behind_tls: false,
            revision_header: true,
            sticky: Sticky::Request,
        }
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
