//! What a service's limits hold: its share of the processor, its typed calls, what its instances may keep.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Backend, Process, Setup, TestApp, fixture, processor_time, send, service};

/// Words for the kinds of faults, as metrics have them.
const KINDS: [&str; 9] = [
    "trap",
    "peer-failed",
    "deadline",
    "memory",
    "invalid-response",
    "depth",
    "fan-out",
    "undeclared-operation",
    "denied",
];

fn faulty(limits: &str) -> String {
    format!("{}limits = {{ {limits} }}\n", service("faulty", &fixture("faulty"), "\"sql\""))
}

fn ping_and_pong(limits: &str) -> String {
    [("ping", "\"fixture:pong/rally\""), ("pong", "\"fixture:ping/rally\"")]
        .map(|(name, grants)| format!("{}limits = {{ {limits} }}\n", service(name, &fixture(name), grants)))
        .concat()
}

/// Starts a host with nothing but these tables of services.
async fn start(more: &str) -> TestApp {
    TestApp::start_as(&Setup { services: &[], more, ..Setup::default() }).await
}

/// Gets a path that is answered with 200.
async fn good(app: &TestApp, path: &str) -> Value {
    let answer = app.get(path, "").await;
    assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
    answer.body
}

/// Reads how many faults of each kind a service has had.
async fn faults(app: &TestApp, service: &str) -> [u64; KINDS.len()] {
    let answer = reqwest::get(format!("{}/metrics", app.admin())).await.expect("an answer");
    let text = answer.text().await.expect("a text");
    KINDS.map(|kind| {
        let name = format!("provesi_guest_faults_total{{service=\"{service}\",kind=\"{kind}\"}} ");
        let count = text.lines().find_map(|line| line.strip_prefix(&name));
        count.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().expect("a number")
    })
}

// === Faults ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_is_counted_by_its_kind() {
    let app = start(&faulty("deadline = \"500ms\", memory = \"16MiB\"")).await;
    let mut before = faults(&app, "faulty").await;
    assert_eq!(before, [0; KINDS.len()]);
    for (path, status, kind) in [
        ("panic/", 502, "trap"),
        ("recursion/", 502, "trap"),
        ("loop/", 504, "deadline"),
        ("memory/", 502, "memory"),
        ("status/0/", 502, "invalid-response"),
        ("huge/", 502, "invalid-response"),
        ("status/501/", 502, "undeclared-operation"),
    ] {
        assert_eq!(app.get(&format!("/api/faulty/{path}"), "").await.status, status, "{path}");
        let after = faults(&app, "faulty").await;
        for (at, name) in KINDS.into_iter().enumerate() {
            assert_eq!(after[at] > before[at], name == kind, "{path} and {name}: {before:?}, {after:?}");
        }
        before = after;
    }
    app.stop().await;
}

// === Typed calls ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_makes_no_more_typed_calls_than_its_limit_in_all_its_services() {
    let app = start(&ping_and_pong("typed-calls = 3")).await;
    for _ in 0..2 {
        assert_eq!(good(&app, "/api/ping/3/").await, json!(["1", "1", "1", "1"]));
        let answer = app.get("/api/ping/4/", "").await;
        assert_eq!((answer.status, answer.body), (502, json!({ "error": "El servicio respondió de forma inválida" })));
    }
    let of = |counts: [u64; KINDS.len()], kind: &str| {
        let at = KINDS.iter().position(|found| *found == kind).expect("a kind");
        counts[at]
    };
    let (ping, pong) = (faults(&app, "ping").await, faults(&app, "pong").await);
    // The fourth call is pong's; those above it fail with it.
    assert!(of(pong, "fan-out") >= 2 && of(ping, "fan-out") == 0, "{ping:?} {pong:?}");
    assert!(of(ping, "peer-failed") >= 2, "{ping:?}");
    app.stop().await;
}

// === Reuse ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_serves_once_unless_its_service_wants_it_otherwise() {
    let app = start(&faulty("deadline = \"5s\"")).await;
    for _ in 0..5 {
        assert_eq!(good(&app, "/api/faulty/count/").await, json!(1));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reused_instance_serves_its_number_of_requests_and_none_after_a_fault() {
    let app = start(&faulty("reuse = 3, reuse-idle = \"10m\"")).await;
    let count = async || good(&app, "/api/faulty/count/").await;
    for expected in [1, 2, 3, 1, 2, 3, 1, 2] {
        assert_eq!(count().await, json!(expected));
    }
    for (path, status) in [("panic/", 502), ("status/0/", 502), ("header/", 502), ("leak/", 200)] {
        assert_eq!(app.get(&format!("/api/faulty/{path}"), "").await.status, status, "{path}");
        assert_eq!(count().await, json!(1), "after {path}");
    }
    assert_eq!(good(&app, "/api/faulty/marks/").await, json!(0), "what was left open is rolled back");
    let shown = send(app.operate("GET", "/v1/services/faulty")).await.body;
    let limits = &shown["limits"];
    assert_eq!((&limits["reuse"], &limits["reuse-idle"]), (&json!(3), &json!("10m")));
    for key in ["memory", "tables", "deadline", "cpu", "typed-calls", "sql-statements", "sql-transactions"] {
        assert!(!limits[key].is_null(), "{key} is not shown: {limits}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_has_rested_for_too_long_serves_no_more() {
    let app = start(&faulty("reuse = 1000000, reuse-idle = \"0s\"")).await;
    for _ in 0..5 {
        assert_eq!(good(&app, "/api/faulty/count/").await, json!(1));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_guests_memory_is_there_for_the_next_one() {
    // The scan is able to find what is there: in an instance that is reused by the one service that chose so.
    let app = start(&faulty("reuse = 2, reuse-idle = \"10m\"")).await;
    good(&app, "/api/faulty/fill/").await;
    let found = good(&app, "/api/faulty/scan/").await;
    assert!(found.as_u64().is_some_and(|found| found > 0), "{found}");
    app.stop().await;

    let app = start(&(faulty("deadline = \"5s\"") + &ping_and_pong("deadline = \"5s\""))).await;
    for round in 0..200 {
        for (filled, scanned) in [("faulty", "pong"), ("pong", "faulty"), ("faulty", "faulty")] {
            good(&app, &format!("/api/{filled}/fill/")).await;
            let found = good(&app, &format!("/api/{scanned}/scan/")).await;
            assert_eq!(found, json!(0), "round {round}: {scanned} reads what {filled} has left");
        }
    }
    app.stop().await;
}

// === Processor ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loops_take_no_more_of_the_processor_than_the_share_of_their_service() {
    let process = Process::start(Backend::Sqlite).await.expect("SQLite needs nothing");
    let config = process.data().parent().expect("it lies beside the configuration").join("provesi.toml");
    let first = std::fs::read_to_string(&config).expect("the configuration");
    // Neither a canary nor a revision that is refused brings its own share: the traffic is split already.
    for (limits, query, status) in [
        ("deadline = \"2s\", cpu = 10", "", 201),
        ("deadline = \"2s\", cpu = 1600", "?canary=1", 201),
        ("deadline = \"2s\", cpu = 1600", "?canary=1", 422),
    ] {
        std::fs::write(&config, format!("{first}\n{}", faulty(limits))).expect("the configuration is written");
        let deploy = reqwest::Client::new()
            .post(format!("{}/v1/services/faulty/revisions{query}", process.admin()))
            .bearer_auth(process.admin_token())
            .header("content-type", "application/wasm")
            .body(std::fs::read(fixture("faulty")).expect("a component"));
        let deployed = send(deploy).await;
        assert_eq!(deployed.status, status, "{:?}", deployed.body);
    }

    let before = processor_time(&process);
    let loops = futures::future::join_all((0..4).map(|_| send(process.request("GET", "/api/faulty/loop/"))));
    let neighbours = async {
        for _ in 0..20 {
            assert_eq!(send(process.request("GET", "/api/products/1/")).await.status, 200);
        }
    };
    let (loops, ()) = futures::join!(loops, neighbours);
    let taken = processor_time(&process) - before;
    assert!(loops.iter().all(|answer| answer.status == 504), "{loops:?}");
    // A fifth of a second is theirs; without a share they would take all that two threads have in two seconds.
    assert!(taken < Duration::from_secs(1), "{taken:?}");
}

// === Configuration ===

#[tokio::test]
async fn a_limit_that_cannot_be_kept_stops_the_start() {
    for (limits, key) in [
        ("reuse = 0", "limits.reuse = 0: at least 1"),
        ("cpu = 1601", "limits.cpu = 1601: 1 to 1600"),
        ("tables = 20001", "limits.tables = 20001: 0 to 20000"),
        ("memory = \"1GiB\"", "runtime.max-memory"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let more = faulty(limits);
        let setup = Setup { services: &[], more: &more, ..Setup::default() };
        let error = match setup.host(folder.path()).await {
            Ok(_) => panic!("the host starts with {limits}"),
            Err(error) => format!("{error:#}"),
        };
        assert!(error.contains("services.faulty.limits.") && error.contains(key), "{error}");
    }
}
