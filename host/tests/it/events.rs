//! Events from a real publisher (`fixtures/emitter`) to a real subscriber (`fixtures/listener`): nothing lost, nothing
//! twice, in order per key.

mod dead_letters;
mod delivery;
mod deploys;
mod hosts;
mod kills;
mod rabbit;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Backend, Setup, TestApp, eventually, fixture, send, service, set};

/// Longest wait for a delivery, on a busy machine too.
const SOON: Duration = Duration::from_secs(60);

/// Something that was heard: event, key, number in the key, text, attempt.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
struct Heard {
    event: String,
    key: String,
    n: i64,
    text: String,
    attempt: u32,
}

/// The tables of both services, with components in a folder, and few attempts.
struct Tables {
    text: String,
    _folder: tempfile::TempDir,
}

impl Tables {
    /// Makes them for a subscriber with settings.
    fn new(settings: &[(&str, &str)], attempts: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = folder.path().join("listener.wasm");
        std::fs::write(&listener, self::listener(settings)).expect("the component is written");
        let text = service("emitter", &fixture("emitter"), r#""sql", "events""#)
            + &service("listener", &listener, r#""sql""#)
            + &format!("[events]\nattempts = {attempts}\n");
        Self { text, _folder: folder }
    }

    fn setup(&self) -> Setup<'_> {
        Setup { services: &[], more: &self.text, ..Setup::default() }
    }
}

/// Starts a host with both; none where there is no PostgreSQL to start.
async fn start(backend: Backend, settings: &[(&str, &str)], attempts: u32) -> Option<(TestApp, Tables)> {
    let tables = Tables::new(settings, attempts);
    let app = TestApp::start_on(backend, &tables.setup()).await?;
    Some((app, tables))
}

/// Returns the component of the subscriber with settings.
fn listener(settings: &[(&str, &str)]) -> Vec<u8> {
    let file: PathBuf = fixture("listener");
    set(&std::fs::read(file).expect("`make test` builds the fixtures"), settings)
}

/// Says something; the query is a mode or empty.
async fn say(app: &TestApp, query: &str, key: &str, text: &str) -> Answer {
    app.post(&format!("/api/emitter/{query}"), "", &json!({ "key": key, "text": text })).await
}

/// Says something that is published.
async fn said(app: &TestApp, key: &str, text: &str) {
    let answer = say(app, "", key, text).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
}

/// Returns all that was heard, in the order in which it was.
async fn heard(app: &TestApp) -> Vec<Heard> {
    let answer = app.get("/api/listener/", "").await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    serde_json::from_value(answer.body).expect("a list")
}

/// Waits until a text was heard, and returns all that was.
async fn until_heard(app: &TestApp, text: &str) -> Vec<Heard> {
    let there = async || heard(app).await.iter().any(|heard| heard.text == text);
    eventually(&format!("{text:?} is heard"), SOON, there).await;
    heard(app).await
}

fn texts(heard: &[Heard]) -> Vec<&str> {
    heard.iter().map(|heard| heard.text.as_str()).collect()
}

/// Checks that nothing was heard twice, and each key's numbers in their order without a gap.
fn assert_once_and_in_order(heard: &[Heard]) {
    let events: BTreeSet<&str> = heard.iter().map(|heard| heard.event.as_str()).collect();
    assert_eq!(events.len(), heard.len(), "an event had two effects");
    let mut keys: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for heard in heard {
        keys.entry(&heard.key).or_default().push(heard.n);
    }
    for (key, numbers) in keys {
        let expected: Vec<i64> = (1..).take(numbers.len()).collect();
        assert_eq!(numbers, expected, "the order of {key}");
    }
}

/// Returns the dead letters, newest first.
async fn letters(app: &TestApp, query: &str) -> Vec<Value> {
    let answer = send(app.operate("GET", &format!("/v1/dead-letters{query}"))).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body.as_array().expect("a list").clone()
}

/// Returns what operators see of a service's events that wait.
async fn backlog(app: &TestApp, service: &str) -> Value {
    let answer = send(app.operate("GET", &format!("/v1/services/{service}"))).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body["events"].clone()
}

/// Returns a number of `/metrics`.
async fn metric(app: &TestApp, name: &str, service: &str) -> f64 {
    let text = reqwest::get(format!("{}/metrics", app.admin())).await.expect("an answer").text().await.expect("a text");
    let start = format!("{name}{{service=\"{service}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.map_or(0.0, |number| number.parse().expect("a number"))
}
