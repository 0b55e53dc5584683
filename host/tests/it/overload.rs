//! What a flood and an operation that fails do to their service and to the others: breakers, refusals, retries.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Backend, Setup, TestApp, eventually, fixture, send, service, variant};

/// Longest wait for what must happen.
const BOUND: Duration = Duration::from_secs(30);

const PANIC: &str = "/api/faulty/panic/";
const FLAKY: &str = "/api/faulty/flaky/";
const LOOP: &str = "/api/faulty/loop/";
const MARKS: &str = "/api/faulty/marks/";

/// Starts the four services and the broken one, with further keys of its table.
async fn start(keys: &str) -> TestApp {
    let more = service("faulty", &fixture("faulty"), "\"sql\"") + keys;
    TestApp::start_with(Backend::Sqlite, &more).await.expect("SQLite needs nothing")
}

async fn post(app: &TestApp, path: &str) -> Answer {
    send(app.request("POST", path)).await
}

/// Reads what an operator sees of a service.
async fn look(app: &TestApp, name: &str) -> Value {
    let answer = send(app.operate("GET", &format!("/v1/services/{name}"))).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body
}

/// Checks that a client was turned away, and returns after how many seconds it may come again.
fn turned_away(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 503, "{:?}", answer.body);
    assert!(answer.body["error"].is_string(), "{:?}", answer.body);
    let seconds = answer.header("retry-after").parse().expect("whole seconds");
    assert!(seconds >= 1);
    seconds
}

/// What operators are told, from now on.
struct Breakers {
    response: reqwest::Response,
    text: String,
}

impl Breakers {
    async fn follow(app: &TestApp) -> Self {
        let response = app.operate("GET", "/v1/events").send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        Self { response, text: String::new() }
    }

    /// Waits for the next change of a breaker.
    async fn next(&mut self) -> Value {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                let found = data.map(|data| serde_json::from_str::<Value>(data).expect("JSON"));
                self.text = rest.to_owned();
                if let Some(found) = found.filter(|found| found["type"] == "breaker") {
                    return found;
                }
            }
            let chunk = tokio::time::timeout(BOUND, self.response.chunk()).await.expect("an event in time");
            let chunk = chunk.expect("the stream is whole").expect("the stream goes on");
            self.text.push_str(std::str::from_utf8(&chunk).expect("a text"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_fails_is_left_alone_and_the_others_of_its_service_answer() {
    let app = start("breaker = { consecutive = 3, open-for = \"30s\" }\n").await;
    let mut breakers = Breakers::follow(&app).await;
    assert_eq!(look(&app, "faulty").await["breaker"], "closed");
    for _ in 0..3 {
        assert_eq!(post(&app, PANIC).await.status, 502);
    }
    let faults = look(&app, "faulty").await["faults"].clone();
    assert_eq!(faults, 3, "what writes is not made again");
    for _ in 0..5 {
        let answer = post(&app, PANIC).await;
        let seconds = turned_away(&answer);
        assert!(seconds <= 36, "30 s and a fifth: {seconds}");
        assert_eq!(answer.body, json!({ "error": "El servicio está fallando, intente de nuevo más tarde" }));
    }
    let service = look(&app, "faulty").await;
    assert_eq!((&service["breaker"], &service["faults"]), (&json!("open"), &faults), "it was not asked again");
    let told = breakers.next().await;
    assert_eq!((&told["service"], &told["revision"]), (&json!("faulty"), &json!(1)));
    assert_eq!(told["detail"], "operation panic-once opened: 3 consecutive faults");

    // The same path, by another method, is another operation.
    assert_eq!(app.get(PANIC, "").await.status, 502);
    assert_eq!(app.get("/api/faulty/marks/", "").await.status, 200);
    assert_eq!(app.get("/api/products/1/", "").await.status, 200);
    assert_eq!(look(&app, "products").await["breaker"], "closed");

    let next = variant(&std::fs::read(fixture("faulty")).expect("a component"), 1);
    assert_eq!(app.upload("faulty", "", next).await.status, 201);
    assert_eq!(look(&app, "faulty").await["breaker"], "closed", "a new revision has done no harm yet");
    assert_eq!(post(&app, PANIC).await.status, 502);
    drop(breakers);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_ends_well_closes_the_breaker() {
    let app = start("breaker = { consecutive = 1, open-for = \"200ms\" }\n").await;
    let mut breakers = Breakers::follow(&app).await;
    for _ in 0..2 {
        assert_eq!(post(&app, FLAKY).await.status, 502, "the odd call");
        let probed = async || {
            let answer = post(&app, FLAKY).await;
            if answer.status == 200 {
                return true;
            }
            turned_away(&answer);
            false
        };
        eventually("a probe ends well", BOUND, probed).await;
        let mut told = Vec::new();
        for _ in 0..3 {
            told.push(breakers.next().await["detail"].as_str().expect("a text").to_owned());
        }
        let expected = ["opened: 1 fault", "half-open: one call may try", "closed: its probe ended well"];
        assert_eq!(told, expected.map(|change| format!("operation flaky-once {change}")));
        assert_eq!(look(&app, "faulty").await["breaker"], "closed");
    }
    drop(breakers);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_hangs_until_its_client_gives_up_is_a_fault_and_opens_the_breaker() {
    let keys = "limits = { deadline = \"6s\" }\nbreaker = { consecutive = 1, open-for = \"30s\" }\n";
    let app = start(keys).await;
    let mut breakers = Breakers::follow(&app).await;
    // The first one leaves long before half of the deadline: its guest may have done well.
    for patience in [Duration::from_millis(200), Duration::from_millis(4500)] {
        let left = app.request("GET", LOOP).timeout(patience).send().await;
        assert!(left.is_err_and(|error| error.is_timeout()), "there is an answer within {patience:?}");
    }
    assert_eq!(breakers.next().await["detail"], "operation loop opened: 1 fault");
    turned_away(&app.get(LOOP, "").await);
    let service = look(&app, "faulty").await;
    assert_eq!((&service["breaker"], &service["faults"]), (&json!("open"), &json!(1)));
    let metrics = reqwest::get(format!("{}/metrics", app.admin())).await.expect("an answer");
    let metrics = metrics.text().await.expect("a text");
    let at_deadline = "provesi_guest_faults_total{service=\"faulty\",kind=\"deadline\"} 0\n";
    assert!(metrics.contains(at_deadline), "no guest has come to its deadline: {metrics}");
    drop(breakers);
    app.stop().await;
}

/// Checks that one request runs and none waits: beside one that hangs, another is turned away.
async fn assert_narrow(app: &TestApp) {
    let hang = async {
        // Turned away itself when it comes while the other one runs.
        for _ in 0..100 {
            app.get(LOOP, "").await;
        }
    };
    let other = eventually("a request is turned away", BOUND, async || app.get(MARKS, "").await.status == 503);
    tokio::select! {
        () = hang => panic!("nothing hangs"),
        () = other => {}
    }
}

/// Checks that several run at once.
async fn assert_wide(app: &TestApp) {
    let others = async {
        for _ in 0..20 {
            assert_eq!(app.get(MARKS, "").await.status, 200);
        }
    };
    tokio::select! {
        answer = app.get(LOOP, "") => panic!("it does not hang: {answer:?}"),
        () = others => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_brings_the_old_revisions_concurrency_and_queue_back() {
    let app =
        start("limits = { deadline = \"20s\", concurrency = 1, queue = 0 }\nbreaker = { enabled = false }\n").await;
    assert_narrow(&app).await;
    let file = app.folder().join("provesi.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration is there");
    let text = text.replace("concurrency = 1, queue = 0", "concurrency = 8, queue = 8");
    std::fs::write(&file, text).expect("the configuration is written");
    let next = variant(&std::fs::read(fixture("faulty")).expect("a component"), 2);
    assert_eq!(app.upload("faulty", "", next).await.status, 201);
    assert_wide(&app).await;

    // While both serve, the limits of the one with most of the traffic hold for both.
    let split = async |first: u8| {
        let weights = json!({ "weights": { "1": first, "2": 100 - first } });
        let moved = send(app.operate("PUT", "/v1/services/faulty/traffic").json(&weights)).await;
        assert_eq!(moved.status, 200, "{:?}", moved.body);
    };
    split(60).await;
    assert_narrow(&app).await;
    split(40).await;
    assert_wide(&app).await;

    let back = send(app.operate("POST", "/v1/services/faulty/rollback").json(&json!({ "to": 1 }))).await;
    assert_eq!(back.status, 200, "{:?}", back.body);
    assert_narrow(&app).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_on_one_service_is_turned_away_and_harms_no_other() {
    let app = start("limits = { concurrency = 2, queue = 4 }\n").await;
    let flood = join_all((0..60).map(|_| app.get("/api/faulty/slow/", "")));
    let others = async {
        for _ in 0..20 {
            assert_eq!(app.get("/api/products/1/", "").await.status, 200);
        }
    };
    let (answers, ()) = futures::join!(flood, others);
    let mut answered = 0;
    for answer in &answers {
        match answer.status {
            200 => answered += 1,
            504 => {}
            _ => assert!(turned_away(answer) <= 30),
        }
    }
    assert!((2..60).contains(&answered), "{answered} of 60 were answered, two at once and four after them");
    assert_eq!(look(&app, "faulty").await["breaker"], "closed", "what is refused is no fault");
    assert_eq!(app.get("/api/faulty/slow/", "").await.status, 200, "afterwards there is room again");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_reads_is_made_again_after_a_trap_within_a_budget() {
    let app = start("breaker = { enabled = false }\n").await;
    for n in 1..=8 {
        let answer = app.get(FLAKY, "").await;
        assert_eq!((answer.status, answer.body), (200, json!(2 * n)), "its first call traps, its second does not");
    }
    let counts = async || {
        let service = look(&app, "faulty").await;
        ["requests", "faults", "retries"].map(|name| service[name].as_u64().expect("a count"))
    };
    assert_eq!(counts().await, [16, 8, 8]);
    assert_eq!([post(&app, FLAKY).await.status, post(&app, FLAKY).await.status], [502, 200]);
    assert_eq!(counts().await, [18, 9, 8], "what writes is not made again");

    // Ten retries in a row, and one for ten calls: there have been ten calls, and eight retries.
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(app.get(FLAKY, "").await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 502], "the budget is spent");
    assert_eq!(counts().await[2], 11);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_gets_unavailable_while_the_breaker_of_its_peer_is_open() {
    let keys = "breaker = { consecutive = 2, open-for = \"30s\" }\n";
    let more = service("badpeer", &fixture("badpeer"), "\"sql\"") + keys;
    let services = &["auth", "products", "orders"];
    let app = TestApp::start_as(&Setup { services, more: &more, ..Setup::default() }).await;
    let cliente = app.token("cliente").await;
    let order = json!({ "product": "Casco de Seguridad", "units": 5, "lat": 4.711, "lon": -74.072 });
    let place = async || {
        let answer = app.post("/api/orders/Casco%20de%20Seguridad/", &cliente, &order).await;
        let expected = json!({ "error": "Error al comunicarse con el servicio de inventario" });
        assert_eq!((answer.status, answer.body), (503, expected));
    };
    place().await;
    place().await;
    let before = look(&app, "badpeer").await;
    assert_eq!(before["breaker"], "open", "{before}");
    place().await;
    let after = look(&app, "badpeer").await;
    assert_eq!(after["faults"], before["faults"], "it was not called again");
    assert!(after["requests"].as_u64() > before["requests"].as_u64(), "and what was refused is counted");
    assert_eq!(look(&app, "orders").await["breaker"], "closed", "whoever handles it is not to blame");
    app.stop().await;
}
