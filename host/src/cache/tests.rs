//! The cache in memory; `tests/it` runs it and Redis through components.

use std::task::Poll;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Longest wait of a test.
const BOUND: Duration = Duration::from_secs(20);

async fn memory() -> Cache {
    Cache::open(&CacheConfig::default()).await.expect("memory is there")
}

fn name(text: &str) -> ServiceName {
    text.parse().expect("a name")
}

fn soon() -> Instant {
    Instant::now() + BOUND
}

async fn claim(cache: &Arc<ServiceCache>, key: &str) -> Claim {
    match cache.get_or_claim(key, soon()).await {
        Lookup::Claimed(claim) => claim,
        Lookup::Hit(_) => panic!("{key} is there"),
        Lookup::Busy => panic!("{key} is being computed"),
    }
}

fn hit(found: Lookup) -> Option<Bytes> {
    if let Lookup::Hit(value) = found { Some(value) } else { None }
}

#[tokio::test]
async fn a_value_is_there_until_its_time_is_over() {
    let cache = memory().await.of(&name("a"), 1 << 20);
    cache.set(None, "long", vec![1], HOUR).await;
    // The second time counts, not the first.
    cache.set(None, "short", vec![2], HOUR).await;
    cache.set(None, "short", vec![3], Duration::from_millis(20)).await;
    let until = soon();
    while cache.get("short").await.is_some() {
        assert!(Instant::now() < until, "it is there for ever");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(cache.get("long").await.as_deref(), Some(&[1][..]));
    cache.delete("long").await;
    assert_eq!(cache.get("long").await, None);
}

#[tokio::test]
async fn what_cannot_be_kept_leaves_no_older_value() {
    let cache = memory().await.of(&name("a"), 64 << 20);
    let long = "k".repeat(MAX_KEY + 1);
    cache.set(None, &long, vec![1], HOUR).await;
    assert_eq!(cache.get(&long).await, None);
    for (value, ttl) in [(vec![0; MAX_VALUE + 1], HOUR), (vec![2], Duration::ZERO)] {
        cache.set(None, "key", vec![1], HOUR).await;
        assert!(cache.get("key").await.is_some());
        cache.set(None, "key", value, ttl).await;
        assert_eq!(cache.get("key").await, None);
    }
    cache.set(None, "key", vec![0; MAX_VALUE], HOUR).await;
    assert_eq!(cache.get("key").await.map(|value| value.len()), Some(MAX_VALUE));
}

#[tokio::test]
async fn a_service_keeps_its_quota_and_reaches_no_other() {
    let caches = memory().await;
    let (greedy, modest) = (caches.of(&name("greedy"), 64 << 10), caches.of(&name("modest"), 64 << 10));
    modest.set(None, "key-0", vec![7], HOUR).await;
    for number in 0..64 {
        greedy.set(None, &format!("key-{number}"), vec![0; 4 << 10], HOUR).await;
    }
    let mut kept = 0;
    for number in 0..64 {
        kept += u32::from(greedy.get(&format!("key-{number}")).await.is_some());
    }
    assert!((8..=16).contains(&kept), "{kept} values of 4 KiB in 64 KiB");
    assert!(greedy.get("key-63").await.is_some(), "the newest one stays");
    assert_eq!(modest.get("key-0").await.as_deref(), Some(&[7][..]));
    assert!(greedy.counts().bytes.is_some_and(|bytes| bytes <= 64 << 10));
}

#[tokio::test]
async fn revisions_of_a_service_share_a_cache_and_another_quota_empties_it_once_it_is_set() {
    let caches = memory().await;
    let (old, new) = (caches.of(&name("a"), 1 << 20), caches.of(&name("a"), 1 << 20));
    old.set(None, "key", vec![1], HOUR).await;
    assert!(new.get("key").await.is_some());
    let larger = caches.of(&name("a"), 2 << 20);
    assert!(Arc::ptr_eq(&old, &larger));
    larger.set_quota(1 << 20);
    assert!(old.get("key").await.is_some(), "a revision that is only made changes nothing");
    larger.set_quota(2 << 20);
    assert_eq!(old.get("key").await, None);
    drop((old, new, larger));
    assert!(caches.counts().is_empty(), "the cache goes with the service");
}

#[tokio::test]
async fn one_computes_and_the_others_get_its_value() {
    let cache = memory().await.of(&name("a"), 1 << 20);
    let first = claim(&cache, "key").await;
    let other = claim(&cache, "other").await;
    let mut waiting = std::pin::pin!(futures::future::join_all((0..5).map(|_| cache.get_or_claim("key", soon()))));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    cache.set(Some(first), "key", vec![9], HOUR).await;
    let values: Vec<_> = waiting.await.into_iter().map(hit).collect();
    assert_eq!(values, vec![Some(Bytes::from_static(&[9])); 5]);
    drop(other);
    let Counts { hits, misses, waits, .. } = cache.counts();
    assert_eq!((hits, misses, waits), (5, 2, 5));
}

#[tokio::test]
async fn whoever_ends_without_a_value_lets_one_of_the_others_compute() {
    let cache = memory().await.of(&name("a"), 1 << 20);
    let first = claim(&cache, "key").await;
    let mut second = std::pin::pin!(cache.get_or_claim("key", soon()));
    let mut third = std::pin::pin!(cache.get_or_claim("key", soon()));
    assert!(futures::poll!(second.as_mut()).is_pending() && futures::poll!(third.as_mut()).is_pending());
    drop(first);
    let Lookup::Claimed(next) = second.await else { panic!("nobody else computes") };
    assert!(futures::poll!(third.as_mut()).is_pending());
    cache.set(Some(next), "key", vec![2], HOUR).await;
    assert_eq!(hit(third.await), Some(Bytes::from_static(&[2])));
}

#[tokio::test]
async fn what_was_computed_before_a_write_is_not_kept_after() {
    let cache = memory().await.of(&name("a"), 1 << 20);
    let outdated = claim(&cache, "key").await;
    cache.delete("key").await;
    let current = claim(&cache, "key").await;
    cache.set(Some(outdated), "key", vec![1], HOUR).await;
    assert_eq!(cache.get("key").await, None, "it was deleted since");
    cache.set(Some(current), "key", vec![2], HOUR).await;
    cache.delete("key").await;

    let outdated = claim(&cache, "key").await;
    cache.set(None, "key", vec![3], HOUR).await;
    cache.set(Some(outdated), "key", vec![1], HOUR).await;
    assert_eq!(cache.get("key").await.as_deref(), Some(&[3][..]), "it was written since");
}

#[tokio::test]
async fn waiting_ends_at_half_of_the_time_and_at_a_number() {
    let cache = memory().await.of(&name("a"), 1 << 20);
    let _running = claim(&cache, "key").await;
    let started = Instant::now();
    let short = cache.get_or_claim("key", started + Duration::from_millis(40)).await;
    assert!(matches!(short, Lookup::Busy) && started.elapsed() >= Duration::from_millis(20));

    let mut waiting: Vec<_> = (0..64).map(|_| Box::pin(cache.get_or_claim("key", soon()))).collect();
    for one in &mut waiting {
        assert!(futures::poll!(one.as_mut()).is_pending());
    }
    let mut late = std::pin::pin!(cache.get_or_claim("key", soon()));
    assert!(matches!(futures::poll!(late.as_mut()), Poll::Ready(Lookup::Busy)), "64 wait already");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_empty_cache_with_single_flight() {
    // Port 9 is `discard`, where nothing listens.
    let url = CacheUrl::Redis("redis://127.0.0.1:9".to_owned());
    let caches = Cache::open(&CacheConfig { url, ..CacheConfig::default() }).await.expect("an address");
    let cache = caches.of(&name("a"), 1 << 20);
    cache.set(None, "key", vec![1], HOUR).await;
    assert_eq!(cache.get("key").await, None);
    let first = claim(&cache, "key").await;
    let mut second = std::pin::pin!(cache.get_or_claim("key", soon()));
    assert!(futures::poll!(second.as_mut()).is_pending());
    cache.set(Some(first), "key", vec![4], HOUR).await;
    assert_eq!(hit(second.await), Some(Bytes::from_static(&[4])), "it is handed on without the server");
    caches.close().await;

    let nonsense = CacheUrl::Redis("redis://host:port".to_owned());
    assert!(Cache::open(&CacheConfig { url: nonsense, ..CacheConfig::default() }).await.is_err());
}
