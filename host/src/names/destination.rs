//! Where a service may send requests, as an operator writes it, and where one request wants to go.
//!
//! `api.example.com`, `api.example.com:8443`, `*.example.com`, `http://127.0.0.1:9999`: HTTPS unless it says `http://`,
//! the scheme's port unless it names one, a host by its whole name. `*.` stands for exactly one label.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// Longest name of a host, and longest label of one (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The protocols in which requests can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Without encryption.
    Http,
    /// Over TLS.
    Https,
}

/// A host, by its name in lower case or by its address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// As it stands in a request; an IPv4 address in IPv6 clothes is that IPv4 address.
    Address(IpAddr),
    /// To be looked up.
    Name(String),
}

/// Where one request wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// In which protocol.
    pub scheme: Scheme,
    /// To whom.
    pub host: Host,
    /// To which port.
    pub port: u16,
}

/// Where requests may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    scheme: Scheme,
    hosts: Hosts,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    One(Host),
    /// Names of one label more.
    Under(String),
}

/// Says why a text is no destination.
#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} is no destination: a host or an address, `https://` or `http://` before it, a port after it if it is not \
     the usual one, and nothing else; `*.` before a name stands for one label"
)]
pub struct InvalidDestination {
    text: String,
}

// === impl Scheme ===

impl Scheme {
    /// Returns the port that goes without saying.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

// === impl Host ===

impl Host {
    fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(address.to_canonical()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        is_name(text).then(|| Self::Name(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Says whether a text is a name that no resolver takes for an address, as it would `127.1` and `0x7f000001`.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let last = text.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let like_a_number = last.starts_with("0x") || last.bytes().all(|b| b.is_ascii_digit());
    text.len() <= MAX_NAME && text.split('.').all(is_label) && !like_a_number
}

/// Splits `host:port` or `[address]:port`; the port may be missing, and nothing else may be there.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let colon = match authority.rfind(']') {
        Some(bracket) => authority[bracket..].find(':').map(|at| bracket + at),
        None => authority.find(':'),
    };
    let Some(colon) = colon else { return Some((authority, None)) };
    let port = &authority[colon + 1..];
    // `parse` alone would take a `+` too.
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse::<u16>().ok().filter(|port| digits && *port != 0)?;
    Some((&authority[..colon], Some(port)))
}

// === impl Target ===

impl Target {
    /// Reads the authority of a URL; none when it is more than a host and a port, or no valid one.
    pub fn new(scheme: Scheme, authority: &str) -> Option<Self> {
        let (host, port) = split_port(authority)?;
        Some(Self { scheme, host: Host::parse(host)?, port: port.unwrap_or(scheme.port()) })
    }

    /// Returns host and port as the header `Host` has them: without the usual port.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.port() { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }
}

// === impl Destination ===

impl Destination {
    /// Says whether a request may go there.
    pub fn admits(&self, target: &Target) -> bool {
        let fits = match (&self.hosts, &target.host) {
            (Hosts::One(host), wanted) => host == wanted,
            (Hosts::Under(parent), Host::Name(name)) => name.split_once('.').is_some_and(|(_, rest)| rest == parent),
            (Hosts::Under(_), Host::Address(_)) => false,
        };
        fits && self.scheme == target.scheme && self.port == target.port
    }

    /// Returns the protocol.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }
}

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        let parse = || {
            let (scheme, authority) = match text.split_once("://") {
                None => (Scheme::Https, text),
                Some(("https", authority)) => (Scheme::Https, authority),
                Some(("http", authority)) => (Scheme::Http, authority),
                Some(_) => return None,
            };
            let (host, port) = split_port(authority)?;
            let hosts = match host.strip_prefix("*.") {
                None => Hosts::One(Host::parse(host)?),
                // `*.com` would be half of the world.
                Some(parent) if parent.contains('.') && is_name(parent) => Hosts::Under(parent.to_ascii_lowercase()),
                Some(_) => return None,
            };
            Some(Self { scheme, hosts, port: port.unwrap_or(scheme.port()) })
        };
        parse().ok_or_else(|| InvalidDestination { text: text.to_owned() })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, hosts, port } = self;
        match hosts {
            Hosts::One(host) => write!(f, "{scheme}://{host}:{port}"),
            Hosts::Under(parent) => write!(f, "{scheme}://*.{parent}:{port}"),
        }
    }
}

impl<'de> Deserialize<'de> for Destination {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(destination: &str, scheme: Scheme, authority: &str) -> bool {
        let destination: Destination = destination.parse().expect("valid");
        Target::new(scheme, authority).is_some_and(|target| destination.admits(&target))
    }

    #[test]
    fn a_destination_says_its_protocol_host_and_port() {
        for (text, whole) in [
            ("api.example.com", "https://api.example.com:443"),
            ("API.example.com:8443", "https://api.example.com:8443"),
            ("https://api.example.com", "https://api.example.com:443"),
            ("http://127.0.0.1:9999", "http://127.0.0.1:9999"),
            ("http://[::1]", "http://[::1]:80"),
            ("*.example.com", "https://*.example.com:443"),
            ("localhost", "https://localhost:443"),
        ] {
            assert_eq!(text.parse::<Destination>().expect(text).to_string(), whole);
        }
        for bad in [
            "",
            "*",
            "*.com",
            "a.*.com",
            "**.example.com",
            "ftp://example.com",
            "https://",
            "example.com/",
            "https://example.com/path",
            "user@example.com",
            "example.com:",
            "example.com:0",
            "example.com:+1",
            "example.com:65536",
            "::1",
            "[::1",
            "[::1]x",
            "[::1%eth0]",
            "127.1",
            "2130706433",
            "0x7f000001",
            "example.0x1",
            "a b",
            "-a.example.com",
            "a..b",
            "example.com.",
            "ñandú.example.com",
        ] {
            assert!(bad.parse::<Destination>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn only_what_is_meant_is_admitted() {
        use Scheme::{Http, Https};
        assert!(admits("api.example.com", Https, "api.example.com"));
        assert!(admits("api.example.com", Https, "API.EXAMPLE.COM:443"));
        assert!(admits("http://127.0.0.1:9999", Http, "127.0.0.1:9999"));
        assert!(admits("http://127.0.0.1:9999", Http, "[::ffff:127.0.0.1]:9999"));
        assert!(admits("*.example.com", Https, "a.example.com"));
        for (destination, scheme, authority) in [
            ("api.example.com", Http, "api.example.com"),
            ("api.example.com", Http, "api.example.com:443"),
            ("api.example.com", Https, "api.example.com:8443"),
            ("api.example.com", Https, "api.example.com.evil.test"),
            ("api.example.com", Https, "evil.test"),
            ("api.example.com", Https, "evil.test@api.example.com"),
            ("api.example.com", Https, "api.example.com:443@evil.test"),
            ("api.example.com", Https, "api.example.com."),
            ("*.example.com", Https, "example.com"),
            ("*.example.com", Https, "a.b.example.com"),
            ("*.example.com", Https, ".example.com"),
            ("*.example.com", Https, "aexample.com"),
            ("http://127.0.0.1:9999", Http, "127.1:9999"),
            ("http://127.0.0.1:9999", Http, "localhost:9999"),
            ("http://127.0.0.1:9999", Http, "127.0.0.2:9999"),
        ] {
            assert!(!admits(destination, scheme, authority), "{destination} admitted {authority}");
        }
    }

    #[test]
    fn the_usual_port_is_not_told() {
        let authority = |scheme, text| Target::new(scheme, text).expect("valid").authority();
        assert_eq!(authority(Scheme::Https, "Example.com:443"), "example.com");
        assert_eq!(authority(Scheme::Http, "example.com:443"), "example.com:443");
        assert_eq!(authority(Scheme::Http, "[2001:db8::1]:8080"), "[2001:db8::1]:8080");
    }
}
