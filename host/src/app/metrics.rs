//! Renders counters in the text format of Prometheus, for `/metrics`.

use std::fmt::Write as _;

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

/// Renders the counters of all live services.
pub(super) fn render(registry: &Registry) -> String {
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
    text
}
