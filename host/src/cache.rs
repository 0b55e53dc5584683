//! Values that can be computed again, kept for a while: in memory, or in a Redis server that hosts share.
//!
//! Each service has its own [`ServiceCache`], and no key of another can be read through it. A value may be gone at any
//! time, and a server that cannot be reached is an empty cache: nothing here fails. What is read is never older than
//! what this host last wrote or deleted, and one value is computed by one invocation at a time.
//!
//! Not here: the WIT interface (see `capabilities::cache`), who may use it (see `runtime::linker`).

mod claims;
mod memory;
mod remote;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;

use self::claims::{Claims, Turn};
use self::memory::Memory;
use self::remote::{Names, Remote};
use crate::config::{CacheConfig, CacheUrl};
use crate::names::ServiceName;

/// Longest key, in bytes.
const MAX_KEY: usize = 512;

/// Largest value, in bytes.
const MAX_VALUE: usize = 1 << 20;

/// Longest life of a value.
const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Pause between two looks for what another host computes.
const LOOK: Duration = Duration::from_millis(20);

/// Time over its holder's deadline that a claim lasts on other hosts, when its end is not heard there.
const LEASE_GRACE: Duration = Duration::from_secs(1);

/// The caches of all services.
pub struct Cache {
    remote: Option<Arc<Remote>>,
    /// Gone with the last revision that has one.
    services: Mutex<BTreeMap<ServiceName, Weak<ServiceCache>>>,
}

/// `cache.url` names no server that could be used.
#[derive(Debug, thiserror::Error)]
#[error("cache.url does not work")]
pub struct CacheError(#[source] redis::RedisError);

/// The cache of one service.
pub struct ServiceCache {
    store: Store,
    claims: Claims,
    hits: AtomicU64,
    misses: AtomicU64,
    waits: AtomicU64,
    stored: AtomicU64,
}

enum Store {
    Memory(ArcSwap<Memory>),
    Remote { remote: Arc<Remote>, service: ServiceName },
}

/// The right to compute one value, given back when dropped.
pub struct Claim {
    cache: Arc<ServiceCache>,
    key: String,
    id: u64,
    /// What other hosts know it by; none when they do not know it.
    token: Option<String>,
}

/// What [`ServiceCache::get_or_claim`] found.
pub enum Lookup {
    /// The value.
    Hit(Bytes),
    /// None, and the caller is to compute it.
    Claimed(Claim),
    /// None, and whoever computes it takes longer than the caller can wait.
    Busy,
}

/// What a service's cache has done since the first revision that has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Values that were found.
    pub hits: u64,
    /// Values that were not.
    pub misses: u64,
    /// Lookups that waited for another's computation.
    pub waits: u64,
    /// Bytes of the values that were stored.
    pub stored_bytes: u64,
    /// Bytes that are taken now; none in Redis, where nobody counts by service.
    pub bytes: Option<u64>,
}

// === impl Cache ===

impl Cache {
    /// Opens what the configuration names; a server that is not there yet is looked for later.
    ///
    /// # Errors
    /// When the address is none.
    pub async fn open(config: &CacheConfig) -> Result<Self, CacheError> {
        let remote = match &config.url {
            CacheUrl::Memory => None,
            CacheUrl::Redis(url) => {
                let remote = Arc::new(Remote::new(url, config.timeout).map_err(CacheError)?);
                remote.open().await;
                Some(remote)
            }
        };
        Ok(Self { remote, services: Mutex::default() })
    }

    /// Returns the cache of a service, the same for all its revisions.
    ///
    /// The quota is of bytes in memory, and that of a new cache; one that is there changes its own only by
    /// [`ServiceCache::set_quota`]. Redis has its own (`maxmemory`).
    pub fn of(&self, service: &ServiceName, quota: u64) -> Arc<ServiceCache> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.retain(|_, cache| cache.strong_count() > 0);
        if let Some(known) = services.get(service).and_then(Weak::upgrade) {
            return known;
        }
        let store = match &self.remote {
            Some(remote) => Store::Remote { remote: Arc::clone(remote), service: service.clone() },
            None => Store::Memory(ArcSwap::from_pointee(Memory::new(quota))),
        };
        let cache = Arc::new(ServiceCache::new(store));
        services.insert(service.clone(), Arc::downgrade(&cache));
        cache
    }

    /// Returns what the caches have done, by service.
    pub fn counts(&self) -> Vec<(ServiceName, Counts)> {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let count =
            |(name, cache): (&ServiceName, &Weak<ServiceCache>)| Some((name.clone(), cache.upgrade()?.counts()));
        services.iter().filter_map(count).collect()
    }

    /// Waits for what still has to be told to the server, which takes at most as long as one answer.
    pub async fn close(&self) {
        if let Some(remote) = &self.remote {
            remote.close().await;
        }
    }
}

// === impl ServiceCache ===

impl ServiceCache {
    fn new(store: Store) -> Self {
        let zero = AtomicU64::default;
        Self { store, claims: Claims::default(), hits: zero(), misses: zero(), waits: zero(), stored: zero() }
    }

    /// Returns a value that is there and not older than it may be.
    pub async fn get(&self, key: &str) -> Option<Bytes> {
        let found = self.read(key).await;
        add(if found.is_some() { &self.hits } else { &self.misses }, 1);
        found
    }

    /// Returns a value, or makes the caller the only one that computes it.
    ///
    /// Waits for another's computation at most half of the time that is left.
    pub async fn get_or_claim(self: &Arc<Self>, key: &str, deadline: Instant) -> Lookup {
        let found = self.find_or_claim(key, deadline).await;
        add(if matches!(found, Lookup::Hit(_)) { &self.hits } else { &self.misses }, 1);
        found
    }

    /// Keeps a value, and hands it to those who wait for the caller's claim, if it has one.
    ///
    /// What cannot be kept leaves no older value behind.
    pub async fn set(&self, claim: Option<Claim>, key: &str, value: Vec<u8>, ttl: Duration) {
        if key.len() > MAX_KEY {
            return;
        }
        if value.len() > MAX_VALUE || ttl.is_zero() {
            drop(claim);
            return self.delete(key).await;
        }
        let (value, ttl) = (Bytes::from(value), ttl.min(MAX_TTL));
        add(&self.stored, u64::try_from(value.len()).unwrap_or(u64::MAX));
        match claim {
            Some(claim) => claim.fulfil(value, ttl).await,
            None => self.put(key, value, ttl).await,
        }
    }

    /// Forgets a value, and what is being computed from before.
    pub async fn delete(&self, key: &str) {
        match &self.store {
            Store::Memory(memory) => self.claims.cancel(key, || memory.load().remove(key)),
            Store::Remote { remote, service } => {
                self.claims.cancel(key, || ());
                remote.delete(&Names::of(service.as_str(), key)).await;
            }
        }
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration) {
        match &self.store {
            Store::Memory(memory) => self.claims.cancel(key, || memory.load().insert(key, value, ttl)),
            Store::Remote { remote, service } => {
                self.claims.cancel(key, || ());
                remote.put(&Names::of(service.as_str(), key), &value, ttl).await;
            }
        }
    }

    async fn read(&self, key: &str) -> Option<Bytes> {
        if key.len() > MAX_KEY {
            return None;
        }
        match &self.store {
            Store::Memory(memory) => memory.load().get(key),
            Store::Remote { remote, service } => remote.get(&Names::of(service.as_str(), key)).await,
        }
    }

    async fn find_or_claim(self: &Arc<Self>, key: &str, deadline: Instant) -> Lookup {
        if key.len() > MAX_KEY {
            return Lookup::Busy;
        }
        let now = Instant::now();
        let patience = now + deadline.saturating_duration_since(now) / 2;
        let mut waited = false;
        loop {
            if let Some(value) = self.read(key).await {
                return Lookup::Hit(value);
            }
            let outcome = match self.claims.enter(key) {
                Turn::Full => return Lookup::Busy,
                Turn::First(id) => {
                    let claim = Claim { cache: Arc::clone(self), key: key.to_owned(), id, token: None };
                    return claim.confirm(patience, deadline).await;
                }
                Turn::Wait(outcome) => outcome,
            };
            add(&self.waits, u64::from(!std::mem::replace(&mut waited, true)));
            match tokio::time::timeout_at(patience.into(), claims::value_of(outcome)).await {
                Ok(Some(value)) => return Lookup::Hit(value),
                // Whoever computed it ended without a value: one of those who waited is next.
                Ok(None) => {}
                Err(_) => return Lookup::Busy,
            }
        }
    }

    /// Gives a cache in memory a size; another one than before empties it.
    pub fn set_quota(&self, quota: u64) {
        if let Store::Memory(memory) = &self.store
            && memory.load().quota() != quota
        {
            memory.store(Arc::new(Memory::new(quota)));
        }
    }

    fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let bytes = if let Store::Memory(memory) = &self.store { Some(memory.load().bytes()) } else { None };
        Counts {
            hits: count(&self.hits),
            misses: count(&self.misses),
            waits: count(&self.waits),
            stored_bytes: count(&self.stored),
            bytes,
        }
    }
}

// === impl Claim ===

impl Claim {
    /// Looks once more, for what was stored just before, and asks the other hosts.
    async fn confirm(mut self, patience: Instant, deadline: Instant) -> Lookup {
        let cache = Arc::clone(&self.cache);
        let Store::Remote { remote, service } = &cache.store else {
            return match cache.read(&self.key).await {
                Some(value) => self.found(value),
                None => Lookup::Claimed(self),
            };
        };
        let names = Names::of(service.as_str(), &self.key);
        let mut waited = false;
        loop {
            let token = uuid::Uuid::now_v7().to_string();
            let lease = deadline.saturating_duration_since(Instant::now()) + LEASE_GRACE;
            // Known before it is taken: the caller may be gone before the answer comes.
            self.token = Some(token.clone());
            let taken = remote.claim(&names, &token, lease).await;
            if taken != Some(true) {
                self.token = None;
            }
            if taken.is_none() {
                return Lookup::Claimed(self);
            }
            if let Some(value) = remote.get(&names).await {
                return self.found(value);
            }
            if taken == Some(true) {
                return Lookup::Claimed(self);
            }
            add(&cache.waits, u64::from(!std::mem::replace(&mut waited, true)));
            if Instant::now() + LOOK >= patience {
                return Lookup::Busy;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Keeps what was computed, unless the key was written or deleted since the claim, and hands it to who waits.
    async fn fulfil(mut self, value: Bytes, ttl: Duration) {
        let cache = Arc::clone(&self.cache);
        let kept = match &cache.store {
            Store::Memory(memory) => {
                let keep = value.clone();
                cache.claims.settle(&self.key, self.id, Some(value), || memory.load().insert(&self.key, keep, ttl));
                return;
            }
            Store::Remote { remote, service } => match &self.token {
                Some(token) if cache.claims.holds(&self.key, self.id) => {
                    remote.fulfil(&Names::of(service.as_str(), &self.key), token, &value, ttl).await
                }
                // Nothing is stored by a claim that other hosts do not know: they may have written since.
                _ => None,
            },
        };
        if kept.is_some() {
            self.token = None;
        }
        // Not kept because it is outdated: who waits has to look again.
        let value = (kept != Some(false)).then_some(value);
        cache.claims.settle(&self.key, self.id, value, || ());
    }

    /// Ends the claim with a value that is stored already.
    fn found(self, value: Bytes) -> Lookup {
        self.cache.claims.settle(&self.key, self.id, Some(value.clone()), || ());
        Lookup::Hit(value)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Does nothing to one that was settled.
        self.cache.claims.settle(&self.key, self.id, None, || ());
        if let (Some(token), Store::Remote { remote, service }) = (&self.token, &self.cache.store) {
            remote.release(&Names::of(service.as_str(), &self.key), token);
        }
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
