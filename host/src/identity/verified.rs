//! Remembers tokens whose signature was found good, so that it is checked once and not at each request.
//!
//! A signature costs more than many a request. Only what cannot change is remembered: whether a token has expired or
//! was revoked is for whoever asks. The keys cannot change either: this belongs to an `Identity`, which has its keys
//! for life, and goes with it.
//!
//! A token is known by its SHA-256: one that differs in a byte is another, and no token lies in memory.

use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::tokens::Bearer;

/// Tokens that are remembered: of more, those that were used last.
pub(super) const MAX_TOKENS: u64 = 4096;

/// Longest token that is remembered, in bytes; those that services issue have some 400.
const MAX_LENGTH: usize = 2 << 10;

/// What a token says whose signature and issuer are good.
pub(super) struct Verified {
    pub(super) bearer: Bearer,
    /// When it was issued, in microseconds since 1970.
    pub(super) issued_at_us: i64,
    /// The last second in which it is good, since 1970.
    pub(super) expires_at: i64,
}

/// The tokens that one set of keys has signed.
pub(super) struct VerifiedTokens(Cache<[u8; 32], Arc<Verified>>);

// === impl VerifiedTokens ===

impl VerifiedTokens {
    /// Makes room for a number of tokens.
    pub(super) fn new(max_tokens: u64) -> Self {
        Self(Cache::builder().max_capacity(max_tokens).eviction_policy(EvictionPolicy::lru()).build())
    }

    /// Returns what a token says, if that is remembered.
    pub(super) fn get(&self, token: &str) -> Option<Arc<Verified>> {
        self.0.get(&key(token))
    }

    /// Remembers what a good token says, and returns it.
    pub(super) fn insert(&self, token: &str, verified: Verified) -> Arc<Verified> {
        let verified = Arc::new(verified);
        if token.len() <= MAX_LENGTH {
            self.0.insert(key(token), Arc::clone(&verified));
        }
        verified
    }

    /// Forgets a token.
    pub(super) fn remove(&self, token: &str) {
        self.0.invalidate(&key(token));
    }

    /// Returns how many tokens are remembered.
    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.entry_count()
    }
}

fn key(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_a_bound() {
        let tokens = VerifiedTokens::new(8);
        let verified = |user_id| Verified {
            bearer: Bearer { user_id, username: String::new(), role: String::new(), token_id: String::new() },
            issued_at_us: 0,
            expires_at: 0,
        };
        for user_id in 0..100_i64 {
            assert_eq!(tokens.insert(&user_id.to_string(), verified(user_id)).bearer.user_id, user_id);
            assert_eq!(tokens.get(&user_id.to_string()).map(|known| known.bearer.user_id), Some(user_id));
            assert!((1..=8).contains(&tokens.count()), "{}", tokens.count());
        }
        assert_eq!(tokens.count(), 8);
        assert!(tokens.get("99").is_some() && tokens.get("0").is_none(), "the last ones are remembered");
        let long = "x".repeat(MAX_LENGTH + 1);
        assert_eq!(tokens.insert(&long, verified(7)).bearer.user_id, 7);
        assert!(tokens.get(&long).is_none());
    }
}
