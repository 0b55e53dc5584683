//! Names and ids that are valid because they exist.
//!
//! Each is parsed once, at the edge; the rest of the host passes them on without checking again.

mod destination;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

pub use self::destination::{Destination, Host, InvalidDestination, Scheme, Target};

/// Name of a service: 1 to 40 of `a-z`, `0-9` and `-`, starting with a letter.
///
/// It names a file, a role and a database, so nothing else may get in. The databases of the host itself begin with
/// `provesi`, so no service does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Arc<str>);

/// Says why a text is not the name it should be.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a service name: 1 to 40 of a-z, 0-9 and '-', starting with a letter and not with `provesi`")]
pub struct InvalidName {
    text: String,
}

impl ServiceName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name where `-` is not allowed, as in roles and databases.
    pub fn identifier(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl FromStr for ServiceName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let valid = text.len() <= 40
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.starts_with("provesi")
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if valid { Ok(Self(text.into())) } else { Err(InvalidName { text: text.to_owned() }) }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ServiceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for ServiceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// SHA-256 of a component's bytes, shown as `sha256:` and 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ComponentDigest([u8; 32]);

impl ComponentDigest {
    /// Computes the digest of a component.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for ComponentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl Serialize for ComponentDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Number of a revision, from 1 in each service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevisionNumber(pub u32);

impl fmt::Display for RevisionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Id of a request in every log line and in `X-Request-Id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Longest id that is accepted from a client.
    const MAX_LEN: usize = 128;

    /// Makes a new id, sortable by time.
    pub fn generate() -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        let text: &str = uuid::Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
        Self(text.into())
    }

    /// Accepts a client's id if it is harmless in a log line and a header.
    pub fn accept(text: &str) -> Option<Self> {
        let valid = (1..=Self::MAX_LEN).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        valid.then(|| Self(text.into()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_name_cannot_leave_its_folder_or_its_role() {
        for bad in ["", "..", "a/b", "a.b", "A", "1a", "a b", "ñ", "a\0", "a\"b", "provesi-registry", &"a".repeat(41)]
        {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad:?} was accepted");
        }
        for good in ["a", "orders", "price-lists", "v2"] {
            assert_eq!(good.parse::<ServiceName>().expect("a valid name").as_str(), good);
        }
    }

    #[test]
    fn a_request_id_from_outside_is_taken_only_if_harmless() {
        assert!(RequestId::accept("abc-1.2_3").is_some());
        for bad in ["", "a b", "a\nb", "ñ", &"x".repeat(129)] {
            assert_eq!(RequestId::accept(bad), None, "{bad:?} was accepted");
        }
    }
}
