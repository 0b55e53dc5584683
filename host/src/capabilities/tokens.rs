//! Grants issuing and revoking the tokens that the gateway accepts; see `wit/platform/tokens.wit`.
//!
//! The keys stay in `identity`: a guest gets signed texts and nothing to sign with.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};

use crate::bindings::provesi::platform::tokens as wit;
use crate::identity::{Claims, Identity};

/// The issuer, for a service that has the grant.
#[derive(Default)]
pub struct TokensCtx {
    identity: Option<Arc<Identity>>,
}

/// The context of one instance, borrowed for one call.
pub struct TokensView<'a> {
    ctx: &'a mut TokensCtx,
}

/// Adds the interface to a linker.
///
/// # Errors
/// When it is there already.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> TokensView<'_>,
) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasTokens>(linker, view)
}

struct HasTokens;

impl HasData for HasTokens {
    type Data<'a> = TokensView<'a>;
}

// === impl TokensCtx ===

impl TokensCtx {
    /// Grants an issuer; none while a component is described.
    pub fn new(identity: Option<Arc<Identity>>) -> Self {
        Self { identity }
    }
}

// === impl TokensView ===

impl<'a> TokensView<'a> {
    /// Borrows what one call needs.
    pub fn new(ctx: &'a mut TokensCtx) -> Self {
        Self { ctx }
    }
}

impl wit::Host for TokensView<'_> {
    async fn issue(&mut self, claims: wit::Claims) -> wasmtime::Result<Result<wit::Token, wit::Error>> {
        let Some(identity) = &self.ctx.identity else { return Ok(Err(wit::Error::Unavailable)) };
        let claims = Claims {
            user_id: claims.user_id,
            username: claims.username,
            role: claims.role,
            ttl_seconds: claims.ttl_seconds,
        };
        let issued = identity.issue(&claims).map_err(|error| wit::Error::Invalid(error.to_string()));
        Ok(issued.map(|token| wit::Token { text: token.text, id: token.id }))
    }

    async fn revoke(&mut self, token_id: String) -> wasmtime::Result<Result<(), wit::Error>> {
        let Some(identity) = &self.ctx.identity else { return Ok(Err(wit::Error::Unavailable)) };
        Ok(stored(identity.revocations().revoke_token(&token_id).await))
    }

    async fn revoke_user(&mut self, user_id: i64) -> wasmtime::Result<Result<(), wit::Error>> {
        let Some(identity) = &self.ctx.identity else { return Ok(Err(wit::Error::Unavailable)) };
        Ok(stored(identity.revocations().revoke_user(user_id).await))
    }
}

fn stored(outcome: Result<(), crate::db::SqlError>) -> Result<(), wit::Error> {
    outcome.map_err(|error| {
        tracing::error!(%error, "cannot store a revocation");
        wit::Error::Unavailable
    })
}
