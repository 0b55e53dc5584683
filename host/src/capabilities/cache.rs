//! Grants a cache of values that can be computed again; see `wit/platform/cache.wit`.
//!
//! What an instance has claimed is given back with it, however it ends: those who wait for a value that a trap has cut
//! short compute it themselves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{HasData, Linker};

use super::Denied;
use crate::bindings::provesi::platform::cache as wit;
use crate::cache::{Claim, Lookup, ServiceCache};

/// Values that one instance may be computing at once; it computes further ones without making others wait.
const MAX_CLAIMS: usize = 64;

/// The cache of one instance's service, and what the instance computes for it.
pub struct CacheCtx {
    /// None while a component is described, and for services without the grant.
    cache: Option<Arc<ServiceCache>>,
    deadline: Instant,
    claims: HashMap<String, Claim>,
}

/// The context of one instance, borrowed for one call.
pub struct CacheView<'a> {
    ctx: &'a mut CacheCtx,
}

/// Adds the interface to a linker.
///
/// # Errors
/// When it is there already.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> CacheView<'_>,
) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasCache>(linker, view)
}

struct HasCache;

impl HasData for HasCache {
    type Data<'a> = CacheView<'a>;
}

// === impl CacheCtx ===

impl CacheCtx {
    /// Grants a cache to an instance that ends at a deadline.
    pub fn new(cache: Option<Arc<ServiceCache>>, deadline: Instant) -> Self {
        Self { cache, deadline, claims: HashMap::new() }
    }

    fn cache(&self) -> Result<&Arc<ServiceCache>, Denied> {
        self.cache.as_ref().ok_or(Denied("cache"))
    }

    /// Gives back what the invocation has claimed; for an instance that rests until another.
    pub fn give_back(&mut self) {
        self.claims.clear();
    }
}

// === impl CacheView ===

impl<'a> CacheView<'a> {
    /// Borrows what one call needs.
    pub fn new(ctx: &'a mut CacheCtx) -> Self {
        Self { ctx }
    }
}

impl wit::Host for CacheView<'_> {
    async fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.ctx.cache()?.get(&key).await.map(Vec::from))
    }

    async fn get_or_claim(&mut self, key: String) -> wasmtime::Result<wit::Lookup> {
        let cache = self.ctx.cache()?;
        let has_claimed = self.ctx.claims.contains_key(&key);
        if has_claimed || self.ctx.claims.len() >= MAX_CLAIMS {
            // Waiting for oneself would last until the deadline.
            let missing = if has_claimed { wit::Lookup::Claimed } else { wit::Lookup::Busy };
            return Ok(cache.get(&key).await.map_or(missing, |value| wit::Lookup::Hit(value.into())));
        }
        let found = cache.get_or_claim(&key, self.ctx.deadline).await;
        Ok(match found {
            Lookup::Hit(value) => wit::Lookup::Hit(value.into()),
            Lookup::Claimed(claim) => {
                self.ctx.claims.insert(key, claim);
                wit::Lookup::Claimed
            }
            Lookup::Busy => wit::Lookup::Busy,
        })
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: u64) -> wasmtime::Result<()> {
        let claim = self.ctx.claims.remove(&key);
        self.ctx.cache()?.set(claim, &key, value, Duration::from_millis(ttl_ms)).await;
        Ok(())
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<()> {
        self.ctx.claims.remove(&key);
        self.ctx.cache()?.delete(&key).await;
        Ok(())
    }
}
