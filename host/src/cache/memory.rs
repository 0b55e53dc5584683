//! Values in the memory of this process, those of each service within their own bytes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// What an entry takes besides key and value, about.
const OVERHEAD: usize = 128;

/// The values of one service.
pub(super) struct Memory {
    values: Cache<String, Kept>,
    quota: u64,
}

#[derive(Clone)]
struct Kept {
    value: Bytes,
    ttl: Duration,
}

/// Lets each entry live as long as it was stored for.
struct Lifetime;

impl Expiry<String, Kept> for Lifetime {
    fn expire_after_create(&self, _: &String, kept: &Kept, _: Instant) -> Option<Duration> {
        Some(kept.ttl)
    }

    fn expire_after_update(&self, _: &String, kept: &Kept, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(kept.ttl)
    }
}

impl Memory {
    /// Makes room for a number of bytes; over it, what was not used for longest goes.
    pub(super) fn new(quota: u64) -> Self {
        let weigh =
            |key: &String, kept: &Kept| u32::try_from(key.len() + kept.value.len() + OVERHEAD).unwrap_or(u32::MAX);
        let values = Cache::builder()
            .max_capacity(quota)
            .weigher(weigh)
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Lifetime)
            .build();
        Self { values, quota }
    }

    pub(super) fn quota(&self) -> u64 {
        self.quota
    }

    pub(super) fn get(&self, key: &str) -> Option<Bytes> {
        self.values.get(key).map(|kept| kept.value)
    }

    pub(super) fn insert(&self, key: &str, value: Bytes, ttl: Duration) {
        self.values.insert(key.to_owned(), Kept { value, ttl });
        // Otherwise it is over its quota by all that is written until moka comes to it.
        self.values.run_pending_tasks();
    }

    pub(super) fn remove(&self, key: &str) {
        self.values.invalidate(key);
    }

    /// Returns the bytes that are taken.
    pub(super) fn bytes(&self) -> u64 {
        self.values.run_pending_tasks();
        self.values.weighted_size()
    }
}
