//! Who asks: bearer tokens that the host has signed, checked with its public keys.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context as _;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use provesi::config::IdentityConfig;
use provesi::identity::Keys;
use serde::Deserialize;

use super::answer::ApiError;

/// Checks tokens.
pub(super) struct Tokens {
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
}

/// Whoever has shown a good token.
pub(super) struct Caller {
    pub(super) user_id: i64,
    pub(super) role: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    role: String,
}

impl Tokens {
    /// Reads the keys of a host's data folder.
    pub(super) fn load(data: &Path) -> anyhow::Result<Self> {
        let keys = Keys::load_or_create(&data.join("keys"))?;
        let set: JwkSet = serde_json::from_value(keys.jwks().clone())?;
        let mut keys = HashMap::new();
        for jwk in &set.keys {
            let kid = jwk.common.key_id.clone().context("a key of the host has no id")?;
            keys.insert(kid, DecodingKey::from_jwk(jwk)?);
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[IdentityConfig::default().issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub", "jti"]);
        validation.leeway = 0;
        Ok(Self { keys, validation })
    }

    /// Returns who asks.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        self.check(headers).ok_or_else(ApiError::unauthenticated)
    }

    /// Returns who asks, if it is one of the staff.
    pub(super) fn staff(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let caller = self.caller(headers)?;
        if ["OPERARIO", "ADMIN"].contains(&caller.role.as_str()) { Ok(caller) } else { Err(ApiError::forbidden()) }
    }

    fn check(&self, headers: &HeaderMap) -> Option<Caller> {
        let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        let token = scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())?;
        let kid = decode_header(token).ok()?.kid?;
        let claims = decode::<Claims>(token, self.keys.get(&kid)?, &self.validation).ok()?.claims;
        Some(Caller { user_id: claims.sub.parse().ok()?, role: claims.role })
    }
}
