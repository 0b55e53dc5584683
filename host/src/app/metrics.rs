//! Renders counters in the text format of Prometheus, for `/metrics`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::events::Events;
use crate::admin::Metrics;
use crate::cache::{Cache, Counts as CacheCounts};
use crate::events::{Counts as EventsCounts, Kept, Reach, Stats};
use crate::names::ServiceName;
use crate::registry::{Registry, ServiceStatus};

/// One counter: its name, what it counts, and where it is found.
type Counter = (&'static str, &'static str, fn(&ServiceStatus) -> u64);

const COUNTERS: [Counter; 4] = [
    ("provesi_dispatch_invocations_total", "Requests and typed calls of the live revisions.", |service| {
        service.requests
    }),
    ("provesi_dispatch_faults_total", "Those that ended in a fault of the guest.", |service| service.faults),
    ("provesi_dispatch_retries_total", "Those that were made again after such a fault.", |service| service.retries),
    ("provesi_registry_links_total", "Times that a revision of the service was linked.", |service| service.links),
];

/// One number of a cache: its name, its kind, what it is, and where it is found.
type CacheNumber = (&'static str, &'static str, &'static str, fn(&CacheCounts) -> Option<u64>);

const CACHE_NUMBERS: [CacheNumber; 5] = [
    ("provesi_cache_hits_total", "counter", "Cached values that were found.", |counts| Some(counts.hits)),
    ("provesi_cache_misses_total", "counter", "Cached values that were not there.", |counts| Some(counts.misses)),
    ("provesi_cache_waits_total", "counter", "Lookups that waited for another's computation.", |counts| {
        Some(counts.waits)
    }),
    ("provesi_cache_stored_bytes_total", "counter", "Bytes of values that were stored.", |counts| {
        Some(counts.stored_bytes)
    }),
    ("provesi_cache_bytes", "gauge", "Bytes that a cache in memory takes.", |counts| counts.bytes),
];

/// Makes what renders everything that is counted.
pub(super) fn renderer(registry: Arc<Registry>, cache: Arc<Cache>, events: &Events) -> Metrics {
    let (stats, survey) = (Arc::clone(&events.stats), Arc::clone(&events.survey));
    Arc::new(move || -> BoxFuture<'static, String> {
        let (registry, cache) = (Arc::clone(&registry), Arc::clone(&cache));
        let (stats, survey) = (Arc::clone(&stats), Arc::clone(&survey));
        Box::pin(async move {
            let kept = survey.kept().await;
            render(&registry, &cache) + &render_events(&stats) + &render_kept(&stats, kept)
        })
    })
}

/// Renders the counters of all live services and their caches.
fn render(registry: &Registry, cache: &Cache) -> String {
    let services = registry.services();
    let mut text = String::new();
    for (name, help, count) in COUNTERS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
        for service in &services {
            let _ = writeln!(text, "{name}{{service=\"{}\"}} {}", service.name, count(service));
        }
    }
    let _ = writeln!(text, "# HELP provesi_guest_faults_total Faults of guests in the live revisions, by kind.");
    let _ = writeln!(text, "# TYPE provesi_guest_faults_total counter");
    for service in &services {
        for (kind, count) in &service.faults_by_kind {
            let name = &service.name;
            let _ = writeln!(text, "provesi_guest_faults_total{{service=\"{name}\",kind=\"{kind}\"}} {count}");
        }
    }
    let _ = writeln!(text, "# HELP provesi_registry_weight_percent Share of a revision in its service's traffic.");
    let _ = writeln!(text, "# TYPE provesi_registry_weight_percent gauge");
    for service in &services {
        for share in &service.traffic {
            let (name, revision, weight) = (&service.name, share.revision, share.weight);
            let _ = writeln!(
                text,
                "provesi_registry_weight_percent{{service=\"{name}\",revision=\"{revision}\"}} {weight}"
            );
        }
    }
    let _ = writeln!(text, "# HELP provesi_dispatch_breaker The worst breaker: 0 closed, 1 half-open, 2 open.");
    let _ = writeln!(text, "# TYPE provesi_dispatch_breaker gauge");
    for service in &services {
        let phase = ["closed", "half-open", "open"].iter().position(|phase| *phase == service.breaker);
        let _ = writeln!(text, "provesi_dispatch_breaker{{service=\"{}\"}} {}", service.name, phase.unwrap_or(0));
    }
    let _ = writeln!(text, "# HELP provesi_host_panics_total Requests that met a mistake of the host.");
    let _ = writeln!(text, "# TYPE provesi_host_panics_total counter");
    let _ = writeln!(text, "provesi_host_panics_total {}", crate::listener::panic_count());
    render_caches(&mut text, cache);
    text
}

fn render_caches(text: &mut String, cache: &Cache) {
    let caches = cache.counts();
    for (name, kind, help, number) in CACHE_NUMBERS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (service, counts) in &caches {
            if let Some(number) = number(counts) {
                let _ = writeln!(text, "{name}{{service=\"{service}\"}} {number}");
            }
        }
    }
}

/// One number of a service's events: its name, its kind, what it says, and where it is found.
type EventsNumber = (&'static str, &'static str, &'static str, fn(&EventsCounts) -> f64);

const EVENTS: [EventsNumber; 8] = [
    ("provesi_events_published_total", "counter", "Events of the service that the broker has taken.", |counts| {
        whole(counts.published.get())
    }),
    ("provesi_events_delivered_total", "counter", "Deliveries that the service has handled.", |counts| {
        whole(counts.delivered.get())
    }),
    ("provesi_events_failed_total", "counter", "Attempts at deliveries at which the service failed.", |counts| {
        whole(counts.failed.get())
    }),
    ("provesi_events_dead_total", "counter", "Deliveries that became dead letters.", |counts| whole(counts.dead.get())),
    (
        "provesi_events_outbox_waiting",
        "gauge",
        "Events in the service's outbox, on the host that relays it; 10001 is any number above 10000.",
        |counts| whole(counts.outbox.waiting()),
    ),
    ("provesi_events_outbox_oldest_seconds", "gauge", "Age of the oldest of them.", |counts| {
        counts.outbox.oldest_age().as_secs_f64()
    }),
    (
        "provesi_events_deliveries_waiting",
        "gauge",
        "Events that wait for the service, on the host that delivers; the embedded broker counts up to 10001.",
        |counts| whole(counts.deliveries.waiting()),
    ),
    ("provesi_events_deliveries_oldest_seconds", "gauge", "Age of the oldest of them.", |counts| {
        counts.deliveries.oldest_age().as_secs_f64()
    }),
];

/// Renders the counters of events.
fn render_events(stats: &Stats) -> String {
    let services = stats.all();
    let mut text = String::new();
    for (name, kind, help, number) in EVENTS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (service, counts) in &services {
            let _ = writeln!(text, "{name}{{service=\"{service}\"}} {}", number(counts));
        }
    }
    text
}

/// Renders what the host keeps for events: the broker, and dead letters as far as they could be counted.
fn render_kept(stats: &Stats, kept: Kept) -> String {
    let mut text = String::new();
    let is_up = !matches!(kept.broker.reach, Reach::Away { .. } | Reach::Blocked);
    let _ = writeln!(text, "# HELP provesi_events_broker_up Whether the broker takes events, as far as is known.");
    let _ = writeln!(text, "# TYPE provesi_events_broker_up gauge");
    let _ = writeln!(text, "provesi_events_broker_up{{broker=\"{}\"}} {}", kept.broker.kind, u8::from(is_up));
    let _ = writeln!(text, "# HELP provesi_events_dead_letters Dead letters that are kept.");
    let _ = writeln!(text, "# TYPE provesi_events_dead_letters gauge");
    let Some(found) = kept.dead_letters else { return text };
    // Those that have none any more say so.
    let mut letters: BTreeMap<ServiceName, u64> = stats.all().into_iter().map(|(service, _)| (service, 0)).collect();
    letters.extend(found);
    for (service, count) in letters {
        let _ = writeln!(text, "provesi_events_dead_letters{{service=\"{service}\"}} {count}");
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "a count beyond 2^53 may be off by one")]
fn whole(count: u64) -> f64 {
    count as f64
}
