//! Issues and verifies tokens: JWT (RFC 7519) signed with Ed25519.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use super::verified::{MAX_TOKENS, Verified, VerifiedTokens};
use super::{Keys, Revocations};

/// Signs and checks tokens.
pub struct Identity {
    keys: Keys,
    revocations: Arc<Revocations>,
    issuer: String,
    validation: Validation,
    verified: VerifiedTokens,
}

/// What a token says of its bearer.
#[derive(Clone, Debug)]
pub struct Claims {
    /// Id of the user.
    pub user_id: i64,
    /// Login name.
    pub username: String,
    /// Role.
    pub role: String,
    /// Seconds until it expires.
    pub ttl_seconds: u32,
}

/// A signed token.
#[derive(Debug)]
pub struct IssuedToken {
    /// The JWT.
    pub text: String,
    /// Its `jti`.
    pub id: String,
}

/// Who showed a good token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Id of the user.
    pub user_id: i64,
    /// Login name.
    pub username: String,
    /// Role.
    pub role: String,
    /// The token's `jti`.
    pub token_id: String,
}

/// The token is forged, expired, revoked or none at all; a client learns no more.
#[derive(Debug, thiserror::Error)]
#[error("invalid token: {0}")]
pub struct InvalidToken(&'static str);

/// Why a token was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// It would never have been valid.
    #[error("ttl-seconds must be at least 1")]
    Ttl,
    /// Signing failed.
    #[error("cannot sign")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// The payload. `iat_us` is `iat` in microseconds: revoking a user must tell tokens of one second apart.
#[derive(Serialize, Deserialize)]
struct Payload {
    iss: String,
    sub: String,
    jti: String,
    iat: i64,
    exp: i64,
    iat_us: i64,
    username: String,
    role: String,
}

impl Identity {
    /// Signs as an issuer with keys, and honours revocations.
    pub fn new(issuer: &str, keys: Keys, revocations: Arc<Revocations>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub", "jti"]);
        validation.leeway = 0;
        let verified = VerifiedTokens::new(MAX_TOKENS);
        Self { keys, revocations, issuer: issuer.to_owned(), validation, verified }
    }

    /// Signs a token.
    ///
    /// # Errors
    /// When the claims cannot make a valid token.
    pub fn issue(&self, claims: &Claims) -> Result<IssuedToken, IssueError> {
        if claims.ttl_seconds == 0 {
            return Err(IssueError::Ttl);
        }
        let now = now_micros();
        let iat = now / 1_000_000;
        let id = uuid::Uuid::now_v7().to_string();
        let payload = Payload {
            iss: self.issuer.clone(),
            sub: claims.user_id.to_string(),
            jti: id.clone(),
            iat,
            exp: iat + i64::from(claims.ttl_seconds),
            iat_us: now,
            username: claims.username.clone(),
            role: claims.role.clone(),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.keys.signing_kid.clone());
        let text = encode(&header, &payload, &self.keys.signing).map_err(IssueError::Sign)?;
        Ok(IssuedToken { text, id })
    }

    /// Checks a token and says whose it is.
    ///
    /// # Errors
    /// When it is not good, whatever the reason.
    pub fn verify(&self, token: &str) -> Result<Bearer, InvalidToken> {
        self.verify_at(token, now_micros())
    }

    /// Checks a token at a time, in microseconds since 1970.
    fn verify_at(&self, token: &str, now_us: i64) -> Result<Bearer, InvalidToken> {
        let known = match self.verified.get(token) {
            Some(known) => known,
            None => self.verified.insert(token, self.decode(token)?),
        };
        if known.expires_at < now_us / 1_000_000 {
            self.verified.remove(token);
            return Err(InvalidToken("expired"));
        }
        if self.revocations.covers(&known.bearer.token_id, known.bearer.user_id, known.issued_at_us) {
            return Err(InvalidToken("revoked"));
        }
        Ok(known.bearer.clone())
    }

    /// Checks signature, issuer and time of a token, and reads it.
    fn decode(&self, token: &str) -> Result<Verified, InvalidToken> {
        let header = decode_header(token).map_err(|_| InvalidToken("not a JWT"))?;
        let kid = header.kid.as_deref().ok_or(InvalidToken("no key id"))?;
        let key = self.keys.verifying.get(kid).ok_or(InvalidToken("unknown key"))?;
        let payload =
            decode::<Payload>(token, key, &self.validation).map_err(|_| InvalidToken("forged or expired"))?.claims;
        let user_id = payload.sub.parse().map_err(|_| InvalidToken("subject is no user"))?;
        let bearer = Bearer { user_id, username: payload.username, role: payload.role, token_id: payload.jti };
        Ok(Verified { bearer, issued_at_us: payload.iat_us, expires_at: payload.exp })
    }

    /// Returns what was revoked and takes more.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Returns the public keys as a JWK set.
    pub fn jwks(&self) -> &serde_json::Value {
        self.keys.jwks()
    }
}

/// Microseconds since 1970, UTC.
pub(super) fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
