//! Counts of events by service, and how much waits, for `/metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use crate::db::Depth;
use crate::names::ServiceName;

/// The counts of all services that publish or subscribe.
#[derive(Default)]
pub struct Stats {
    services: RwLock<BTreeMap<ServiceName, Arc<Counts>>>,
}

/// What one service has published and handled on this host since it started.
#[derive(Default)]
pub struct Counts {
    /// Events of the service that the broker has taken.
    pub published: Counter,
    /// Deliveries that the service has handled.
    pub delivered: Counter,
    /// Attempts at which it failed.
    pub failed: Counter,
    /// Deliveries that became dead letters.
    pub dead: Counter,
    /// What waits in the service's outbox.
    pub outbox: Backlog,
    /// What waits for the service at the broker.
    pub deliveries: Backlog,
}

/// Only rises.
#[derive(Default)]
pub struct Counter(AtomicU64);

/// How much waits, as it was when somebody last looked.
#[derive(Default)]
pub struct Backlog {
    waiting: AtomicU64,
    /// Microseconds since 1970; 0 when nothing waits.
    oldest_us: AtomicU64,
}

impl Stats {
    /// Returns the counts of a service.
    pub fn of(&self, service: &ServiceName) -> Arc<Counts> {
        let known = self.services.read().unwrap_or_else(PoisonError::into_inner).get(service).cloned();
        known.unwrap_or_else(|| {
            let mut services = self.services.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(services.entry(service.clone()).or_default())
        })
    }

    /// Returns the counts of all services, by name.
    pub fn all(&self) -> Vec<(ServiceName, Arc<Counts>)> {
        let services = self.services.read().unwrap_or_else(PoisonError::into_inner);
        services.iter().map(|(name, counts)| (name.clone(), Arc::clone(counts))).collect()
    }
}

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Returns it.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Backlog {
    /// Says how much waits, and when the oldest of it was published, in microseconds since 1970.
    pub fn set(&self, waiting: u64, oldest_us: Option<i64>) {
        self.waiting.store(waiting, Ordering::Relaxed);
        let oldest = oldest_us.and_then(|oldest| u64::try_from(oldest).ok()).unwrap_or_default();
        self.oldest_us.store(oldest, Ordering::Relaxed);
    }

    /// Says how much a database has counted.
    pub fn note(&self, depth: Depth) {
        let published = depth.oldest.map(|age| now().saturating_sub(age).as_micros());
        let oldest_us = published.and_then(|micros| i64::try_from(micros).ok());
        self.set(depth.count + u64::from(depth.is_more), oldest_us);
    }

    /// Returns how much waits; one more than a database counts is any number above it.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Returns how long the oldest has waited, by this host's clock; zero when nothing waits.
    pub fn oldest_age(&self) -> Duration {
        match self.oldest_us.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            oldest => now().saturating_sub(Duration::from_micros(oldest)),
        }
    }

    /// Returns both.
    pub fn depth(&self) -> Depth {
        let is_known = self.oldest_us.load(Ordering::Relaxed) > 0;
        Depth::of(self.waiting(), is_known.then(|| self.oldest_age()))
    }
}

/// Returns the time since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_ages_until_it_is_empty() {
        let backlog = Backlog::default();
        assert_eq!((backlog.waiting(), backlog.oldest_age()), (0, Duration::ZERO));
        assert_eq!(backlog.depth(), Depth::of(0, None));
        backlog.set(2, Some(1));
        assert_eq!(backlog.waiting(), 2);
        assert!(backlog.oldest_age() > Duration::from_secs(60 * 60 * 24 * 365 * 50));
        backlog.set(1, Some(i64::MAX));
        assert_eq!(backlog.oldest_age(), Duration::ZERO, "a publisher's clock may be ahead");
        assert_eq!(backlog.depth(), Depth::of(1, Some(Duration::ZERO)));
        backlog.note(Depth { count: 3, is_more: true, oldest: Some(Duration::from_secs(7)) });
        assert_eq!(backlog.waiting(), 4, "one more is any number above it");
        assert!(backlog.oldest_age() >= Duration::from_secs(7));
        backlog.note(Depth::of(0, None));
        assert_eq!(backlog.depth(), Depth::of(0, None));
        backlog.set(0, None);
        assert_eq!((backlog.waiting(), backlog.oldest_age()), (0, Duration::ZERO));
    }

    #[test]
    fn a_service_has_one_record() {
        let (stats, name) = (Stats::default(), "a".parse().expect("a name"));
        stats.of(&name).published.add(2);
        stats.of(&name).published.add(1);
        let all = stats.all();
        assert_eq!((all.len(), all[0].1.published.get()), (1, 3));
    }
}
