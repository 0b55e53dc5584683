//! The Ed25519 keys that sign tokens: made at first start, kept in `DATA/keys`, one PKCS#8 file each.
//!
//! The newest file signs, all of them verify: to rotate, add a key and remove the old one when its tokens have
//! expired. The id of a key is its thumbprint (RFC 7638).

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{SigningKey, VerifyingKey};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::{Digest as _, Sha256};

/// The keys of this host.
pub struct Keys {
    pub(super) signing_kid: String,
    pub(super) signing: EncodingKey,
    pub(super) verifying: HashMap<String, DecodingKey>,
    jwks: serde_json::Value,
}

/// Why there are no keys to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The folder or a file in it cannot be read or written.
    #[error("cannot use the key {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file holds no Ed25519 key.
    #[error("{} holds no Ed25519 key in PKCS#8: {reason}", path.display())]
    Content {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Keys {
    /// Reads the keys of a folder, and makes the first one when there is none.
    ///
    /// # Errors
    /// When the folder or a key in it cannot be used.
    pub fn load_or_create(folder: &Path) -> Result<Self, KeyError> {
        let file_error = |path: &Path, source| KeyError::File { path: path.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(|error| file_error(folder, error))?;
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>())
            .map_err(|error| file_error(folder, error))?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "pem"));
        files.sort();
        if files.is_empty() {
            files.push(create(folder).map_err(|error| file_error(folder, error))?);
        }
        let mut keys = Vec::new();
        for path in files {
            let pem = std::fs::read_to_string(&path).map_err(|error| file_error(&path, error))?;
            let key = SigningKey::from_pkcs8_pem(&pem)
                .map_err(|error| KeyError::Content { path: path.clone(), reason: error.to_string() })?;
            keys.push(key);
        }
        Ok(Self::of(&keys))
    }

    /// Returns the public keys as a JWK set (RFC 8037).
    pub fn jwks(&self) -> &serde_json::Value {
        &self.jwks
    }

    /// Uses the last of at least one key for signing.
    fn of(keys: &[SigningKey]) -> Self {
        let newest = keys.last().expect("a key is made when there is none");
        let public: Vec<VerifyingKey> = keys.iter().map(SigningKey::verifying_key).collect();
        let der = newest.to_pkcs8_der().expect("an Ed25519 key has a PKCS#8 form");
        Self {
            signing_kid: thumbprint(&newest.verifying_key()),
            signing: EncodingKey::from_ed_der(der.as_bytes()),
            verifying: public.iter().map(|key| (thumbprint(key), DecodingKey::from_ed_der(key.as_bytes()))).collect(),
            jwks: serde_json::json!({ "keys": public.iter().map(jwk).collect::<Vec<_>>() }),
        }
    }
}

/// Makes a key file that only its owner can read, complete or not at all.
fn create(folder: &Path) -> std::io::Result<PathBuf> {
    let key = SigningKey::from_bytes(&rand::random());
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(std::io::Error::other)?;
    let path = folder.join("0001.pem");
    let draft = folder.join("0001.pem.new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, &path)?;
    std::fs::File::open(folder)?.sync_all()?;
    Ok(path)
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// RFC 7638: SHA-256 over the required members in alphabetical order.
fn thumbprint(key: &VerifyingKey) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64url(key.as_bytes()));
    base64url(&Sha256::digest(canonical))
}

fn jwk(key: &VerifyingKey) -> serde_json::Value {
    serde_json::json!({
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
        "kid": thumbprint(key), "x": base64url(key.as_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_makes_a_key_and_later_ones_keep_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let first = Keys::load_or_create(folder.path()).expect("a new key");
        let again = Keys::load_or_create(folder.path()).expect("the same key");
        assert_eq!(first.signing_kid, again.signing_kid);
        assert_eq!(first.jwks()["keys"][0]["kid"], first.signing_kid.as_str());
        let mode = std::fs::metadata(folder.path().join("0001.pem")).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_broken_key_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("0001.pem"), "not a key").expect("written");
        let error = Keys::load_or_create(folder.path()).err().expect("an error").to_string();
        assert!(error.contains("0001.pem"), "{error}");
    }
}
