//! What a person sees: everything fits into 80 columns, and nothing of it is lost.

use serde::de::DeserializeOwned;
use serde_json::json;

use super::*;

fn read<T: DeserializeOwned>(answer: Value) -> T {
    serde_json::from_value(answer).expect("an answer as the host gives it")
}

fn assert_fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "too long: {line}");
    }
}

fn a_service(name: &str) -> Value {
    json!({
        "name": name, "state": "degraded", "version": "1.14.0", "requests": 123_456_789, "faults": 1234, "links": 3,
        "canary": {"revision": 107, "since": "2026-01-31T23:59:59.123Z"},
        "traffic": [
            {"revision": 107, "digest": format!("sha256:{}", "a".repeat(64)), "weight": 90},
            {"revision": 106, "digest": format!("sha256:{}", "b".repeat(64)), "weight": 10}
        ],
        "exports": [format!("provesi:{name}/stock@0.1.0")], "imports": [], "grants": ["sql", "provesi:a/b"],
        "limits": {"memory": "64 MiB", "concurrency": 256}, "breaker": "closed",
        "routes": [
            {"operation": "list", "method": "GET", "path": format!("/{name}/{{id}}/"), "access": "public"},
            {"operation": "create", "method": "POST", "path": "/", "access": {"roles": ["ADMIN", "WAREHOUSE_OPERATOR"]}}
        ],
        "tasks": [
            {
                "name": "recover-what-was-left", "schedule": "every 10s", "last_started": "2026-01-31T23:59:50.1Z",
                "last_ended": "2026-01-31T23:59:51.2Z", "outcome": "failed: 3 of them wait",
                "next": "2026-02-01T00:00:01.2Z"
            },
            {"name": "nightly", "schedule": "cron 30 4 * * 1-5", "last_started": null, "last_ended": null,
             "outcome": null, "next": "2026-02-02T04:30:00Z"}
        ],
        "deployed_at": "2026-01-31T23:59:59.123456Z"
    })
}

/// The same with events that wait, as many and for as long as can be shown.
fn a_service_behind(name: &str) -> Value {
    let mut service = a_service(name);
    let depth = json!({"waiting": 10_000, "more": true, "oldest_seconds": 4_102_444_800_u64});
    service["events"] = json!({
        "broker": {"kind": "rabbitmq", "state": "away", "away_since": "2026-01-31T23:59:59.123456Z"},
        "outbox": depth, "deliveries": depth, "dead_letters": 100_000
    });
    service
}

#[test]
fn the_list_of_services_fits_whatever_their_names() {
    let long = "a-service-with-a-name-of-forty-letters-x";
    assert_eq!(long.len(), 40);
    let services: Vec<Service> = read(json!([a_service(long), a_service("orders")]));
    let text = super::services(&services, 80);
    assert_fits(&text);
    assert!(text.starts_with("SERVICE "), "{text}");
    assert!(text.contains("2026-01-31T23:59:59Z"), "a time was broken:\n{text}");
    assert!(text.contains("107:90%") && text.contains("106:10%"), "{text}");
}

#[test]
fn a_service_with_one_revision_is_one_row() {
    let mut service = a_service("orders");
    service["traffic"] = json!([{"revision": 7, "digest": "sha256:a", "weight": 100}]);
    service["requests"] = json!(12);
    let text = super::services(&[read(service)], 80);
    let row: Vec<&str> = text.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(row, ["orders", "degraded", "7", "1.14.0", "12", "1234", "2026-01-31T23:59:59Z"]);
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn what_waits_of_events_stands_below_the_services_and_fits() {
    let mut unknown = a_service_behind("unknown");
    for place in ["outbox", "deliveries", "dead_letters"] {
        unknown["events"][place] = Value::Null;
    }
    let mut calm = a_service_behind("calm");
    calm["events"]["outbox"] = json!({"waiting": 0, "more": false, "oldest_seconds": null});
    let behind = a_service_behind(&"s".repeat(40));
    let services: Vec<Service> = read(json!([behind, unknown, calm, a_service("without")]));
    let text = super::services(&services, 80);
    assert_fits(&text);
    let (_, below) = text.split_once("\n\n").expect("two tables");
    assert!(below.starts_with("SERVICE ") && !below.contains("without"), "{text}");
    assert!(below.contains(">10000") && below.contains("4102444800") && below.contains("100000"), "{text}");
    let row = |name: &str| {
        let row = below.lines().find(|line| line.starts_with(name)).expect("a row");
        row.split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(row("unknown"), ["unknown", "-", "-", "-", "-", "-"]);
    assert_eq!(row("calm")[..3], ["calm", "0", "-"]);
    assert!(text.ends_with("\nbroker      rabbitmq, away since 2026-01-31T23:59:59Z\n"), "{text}");
}

#[test]
fn what_waits_of_one_service_is_told_in_words() {
    let text = super::service(&read(a_service_behind("orders")), 80);
    assert_fits(&text);
    for line in [
        "broker      rabbitmq, away since 2026-01-31T23:59:59Z\n",
        "outbox      >10000 waiting, the oldest for 4102444800 s\n",
        "deliveries  >10000 waiting, the oldest for 4102444800 s\n",
        "letters     100000 dead\n",
    ] {
        assert!(text.contains(line), "{line:?} is missing:\n{text}");
    }
    assert!(!super::service(&read(a_service("orders")), 80).contains("outbox"));
}

#[test]
fn the_details_of_a_service_fit_and_are_complete() {
    let text = super::service(&read(a_service(&"s".repeat(40))), 80);
    assert_fits(&text);
    let digest = "a".repeat(64);
    for part in [
        digest.as_str(),
        "2026-01-31T23:59:59.123456Z",
        "107 since",
        "closed",
        "memory 64 MiB",
        "concurrency 256",
        "sql",
        "POST",
        "WAREHOUSE_OPERATOR",
        "recover-what-was-left",
        "failed: 3 of them wait, ended 2026-01-31T23:59:51Z",
        "2026-02-01T00:00:01Z",
        "nightly",
        "2026-02-02T04:30:00Z",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

#[test]
fn a_service_that_is_down_is_shown_with_what_there_is() {
    let down: Vec<Service> = read(json!([{"name": "orders", "state": "down", "version": null, "canary": null}]));
    let text = super::services(&down, 80);
    assert!(text.contains("down"), "{text}");
    assert_fits(&super::service(&down[0], 80));
}

#[test]
fn revisions_fit_and_show_their_reason_under_them() {
    let revisions: Vec<Revision> = read(json!([{
        "revision": 1007, "digest": format!("sha256:{}", "c0ffee".repeat(11)), "version": "10.14.0-beta.1",
        "state": "refused", "weight": 0, "created_at": "2026-01-31T23:59:59.123456Z",
        "by": "somebody-with-a-long-name@a-machine-with-a-long-name", "reason": "contract ".repeat(20)
    }]));
    let text = super::revisions(&revisions, 80);
    assert_fits(&text);
    assert!(text.contains("c0ffeec0ffee") && !text.contains("c0ffeec0ffeec"), "{text}");
    assert_eq!(text.matches("contract").count(), 20, "{text}");
}

#[test]
fn the_audit_trail_fits() {
    let entries: Vec<AuditEntry> = read(json!([{
        "id": 1, "at": "2026-01-31T23:59:59.123Z", "service": "s".repeat(40), "action": "canary-return",
        "outcome": "refused", "revision": 7, "digest": null, "by": "ana@laptop", "from": "127.0.0.1:50000",
        "reason": "faults over the threshold"
    }]));
    let text = super::audit(&entries, 80);
    assert_fits(&text);
    assert!(text.contains("    faults over the threshold\n"), "{text}");
}

#[test]
fn a_deploy_is_summed_up_on_the_first_line() {
    let answer = json!({
        "service": "products", "revision": 7, "digest": "sha256:0123456789abcdef", "state": "active", "replaced": 6,
        "warnings": ["the export provesi:products/legacy is gone"],
        "timings_ms": {"compile": 251.4, "link": 2.25, "contract": 1, "migrate": 40, "activate": 0.5, "total": 312}
    });
    let text = deployed(&read(answer), 80);
    assert_fits(&text);
    assert_eq!(text.lines().next(), Some("products@7 is active (replaced products@6) in 312 ms"));
    assert!(text.contains("0123456789ab\n"), "{text}");
    assert!(text.contains("251 ms") && text.contains("0.5 ms"), "{text}");
    assert!(text.contains("warning: the export"), "{text}");
}

#[test]
fn a_deploy_without_traffic_says_so() {
    let answer = json!({"service": "s", "revision": 2, "digest": "sha256:a", "state": "idle", "replaced": null});
    assert!(deployed(&read(answer), 80).starts_with("s@2 is kept without traffic\n"));
}

#[test]
fn a_canary_stands_beside_what_serves() {
    let answer = json!({"service": "s", "revision": 2, "digest": "sha256:a", "state": "canary", "replaced": 1});
    assert!(deployed(&read(answer), 80).starts_with("s@2 is a canary (beside s@1)\n"));
}

#[test]
fn a_check_names_the_migrations_that_would_run() {
    let answer = json!({
        "service": "s", "digest": "sha256:a", "version": "1.2.3", "warnings": [], "migrations": ["0003_x", "0004_y"],
        "timings_ms": {"compile": 1}
    });
    let text = checked(&read(answer), 80);
    assert!(text.starts_with("s 1.2.3 can be deployed\n") && text.contains("0003_x 0004_y\n"), "{text}");
}

#[test]
fn moved_traffic_is_one_line() {
    let answer = json!({"service": "s", "traffic": [{"revision": 7, "weight": 90}, {"revision": 6, "weight": 10}]});
    assert_eq!(moved(&read(answer)), "the traffic of s goes to 7:90% 6:10%");
    let answer = json!({"service": "s", "traffic": [{"revision": 7, "weight": 100}]});
    assert_eq!(moved(&read(answer)), "the traffic of s goes to 7");
}

#[test]
fn an_event_is_one_line_whatever_is_in_it() {
    let answer = json!({
        "id": 5, "at": "2026-01-31T23:59:59Z", "type": "fault", "service": "s", "revision": 7,
        "digest": null, "by": null, "detail": "a trap\nin two lines"
    });
    assert_eq!(event(&read(answer)), "2026-01-31T23:59:59Z  fault            s@7  a trap in two lines");
}
