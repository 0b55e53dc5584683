//! Grants issuing and revoking the tokens that the gateway accepts; see `wit/platform/tokens.wit`.
//!
//! The keys stay in `identity`: a guest gets signed texts and nothing to sign with.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};

use super::Denied;
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

    fn identity(&self) -> Result<&Identity, Denied> {
        self.identity.as_deref().ok_or(Denied("tokens"))
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
        let identity = self.ctx.identity()?;
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
        let identity = self.ctx.identity()?;
        Ok(stored(identity.revocations().revoke_token(&token_id).await))
    }

    async fn revoke_user(&mut self, user_id: i64) -> wasmtime::Result<Result<(), wit::Error>> {
        let identity = self.ctx.identity()?;
        Ok(stored(identity.revocations().revoke_user(user_id).await))
    }
}

fn stored(outcome: Result<(), crate::db::SqlError>) -> Result<(), wit::Error> {
    outcome.map_err(|error| {
        tracing::error!(%error, "cannot store a revocation");
        wit::Error::Unavailable
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wit::Host as _;

    #[tokio::test]
    async fn without_the_grant_a_call_ends_the_guest() {
        let mut ctx = TokensCtx::default();
        let mut view = TokensView::new(&mut ctx);
        let claims = wit::Claims { user_id: 1, username: "ana".to_owned(), role: "ADMIN".to_owned(), ttl_seconds: 60 };
        let issued = view.issue(claims).await.map(drop);
        for ended in [issued, view.revoke("id".to_owned()).await.map(drop), view.revoke_user(1).await.map(drop)] {
            let error = ended.expect_err("nobody answers");
            assert_eq!(error.downcast_ref::<Denied>().map(Denied::capability), Some("tokens"), "{error:#}");
        }
    }
}
