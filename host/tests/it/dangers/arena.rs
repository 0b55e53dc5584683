//! A host with a service that is one danger after the other.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::component::component;
use super::expected::{Outcome, expected};
use super::list::{Danger, Description};
use crate::support::{Answer, Process, TestApp, eventually, fixture, send, service};

/// Longest wait until a danger's own table can be written again.
const SETTLED: Duration = Duration::from_secs(15);

/// Requests of the service at once, and as many typed calls: a permit that a danger keeps is missed by the next one.
const CONCURRENCY: u32 = 1;

/// Characters of the body that `cabi_realloc` has to find a place for.
const BODY: usize = 100 << 10;

const DANGERS: &str = "/api/dangers/";
const MARKS: &str = "/api/dangers/marks/";

/// The host, and the operator who deploys dangers to it.
pub(super) struct Arena {
    base: String,
    admin: String,
    token: String,
    /// `provesi.toml`, and what stands there of the others.
    file: PathBuf,
    others: String,
    http: reqwest::Client,
}

impl Arena {
    pub(super) fn of_app(app: &TestApp) -> Self {
        Self::new(app.base(), app.admin(), app.admin_token(), app.folder().join("provesi.toml"))
    }

    pub(super) fn of_process(process: &Process) -> Self {
        let file = process.data().with_file_name("provesi.toml");
        Self::new(process.base(), process.admin(), &process.admin_token(), file)
    }

    fn new(base: &str, admin: &str, token: &str, file: PathBuf) -> Self {
        let others = std::fs::read_to_string(&file).expect("the configuration is there");
        let (base, admin, token) = (base.to_owned(), admin.to_owned(), token.to_owned());
        Self { base, admin, token, file, others, http: reqwest::Client::new() }
    }

    /// Deploys a danger and asks for it: it ends as it should, and neighbours answer.
    pub(super) async fn meet(&self, name: &str, danger: Danger) {
        let outcome = expected(danger);
        let before = self.serving().await;
        let deployed = self.deploy(name, danger, outcome).await;
        if let Outcome::Refused(..) = outcome {
            check(name, outcome, &deployed);
            assert_eq!(self.serving().await, before, "{name} is refused, and what served before serves on");
        } else {
            assert_eq!(deployed.status, 201, "{name}: {:?}", deployed.body);
            check(name, outcome, &self.strike(danger).await);
        }
        let neighbour = self.ask("GET", "/api/products/1/").await;
        assert_eq!(neighbour.status, 200, "a neighbour after {name}: {:?}", neighbour.body);
        if let Danger::Sql(_) = danger {
            self.settle(name).await;
        }
    }

    /// Starts an operator's request.
    pub(super) fn operate(&self, method: &str, path: &str) -> RequestBuilder {
        let method: Method = method.parse().expect("a method");
        self.http.request(method, format!("{}{path}", self.admin)).bearer_auth(&self.token)
    }

    async fn deploy(&self, name: &str, danger: Danger, outcome: Outcome) -> Answer {
        let table = self.others.clone() + &table(danger, outcome);
        std::fs::write(&self.file, table).expect("the configuration is written");
        let upload = self.operate("POST", "/v1/services/dangers/revisions");
        send(upload.header("content-type", "application/wasm").body(component(name, danger))).await
    }

    /// Returns the number of the dangers' revision that serves; none before the first.
    async fn serving(&self) -> Option<Value> {
        let revisions = send(self.operate("GET", "/v1/services/dangers/revisions")).await.body;
        let serves = |revision: &&Value| revision["weight"] == 100;
        revisions.as_array()?.iter().find(serves).map(|revision| revision["revision"].clone())
    }

    async fn strike(&self, danger: Danger) -> Answer {
        if let Danger::Allocation(_) = danger {
            let body = json!("x".repeat(BODY));
            return send(self.http.post(format!("{}{DANGERS}", self.base)).json(&body)).await;
        }
        // An address that somebody listens on: the host's own.
        let peer = self.base.strip_prefix("http://").expect("plain HTTP");
        self.ask("GET", &format!("{DANGERS}?peer={peer}")).await
    }

    async fn ask(&self, method: &str, path: &str) -> Answer {
        let method: Method = method.parse().expect("a method");
        send(self.http.request(method, format!("{}{path}", self.base))).await
    }

    /// Checks that the danger's table can be written, and has no row that was to be lost.
    async fn settle(&self, name: &str) {
        let what = format!("the table can be written after {name}");
        eventually(&what, SETTLED, async || self.ask("POST", MARKS).await.status == 200).await;
        let lost = async || {
            let marks = self.ask("GET", MARKS).await;
            (marks.status == 200).then_some(marks.body)
        };
        let what = format!("the table can be read after {name}");
        eventually(&what, SETTLED, async || lost().await.is_some_and(|lost| lost == json!("0"))).await;
    }
}

/// Writes the dangers' table of `provesi.toml`.
///
/// Only what is to end at its deadline has a short one, so that a busy machine takes nothing else for late.
fn table(danger: Danger, outcome: Outcome) -> String {
    let grants = match danger {
        Danger::Description(Description::ImportsUngranted) => {
            r#""sql", "provesi:products/catalog", "fixture:dangers/deeper""#
        }
        _ => r#""sql", "passwords", "provesi:products/catalog", "fixture:dangers/deeper""#,
    };
    let memory = match danger {
        // Room for what the host itself has to withstand.
        Danger::Description(Description::DescribesMillionRoutes | Description::DescribesHundredMegabytes) => "256MiB",
        _ => "16MiB",
    };
    let deadline = match outcome {
        Outcome::Deadline | Outcome::CutOff => "300ms",
        _ => "20s",
    };
    service("dangers", &fixture("dangers"), grants)
        + &format!("limits = {{ deadline = \"{deadline}\", memory = \"{memory}\", concurrency = {CONCURRENCY} }}\n")
}

/// Checks that an answer is the outcome.
fn check(name: &str, outcome: Outcome, answer: &Answer) {
    let (status, body) = (answer.status, &answer.body);
    let is_fault = status == 502 && *body == json!({ "error": "El servicio respondió de forma inválida" });
    let is_late = status == 504 && *body == json!({ "error": "El servicio no respondió a tiempo" });
    let fits = match outcome {
        Outcome::Refused(kind, part) => {
            let detail = body["detail"].as_str().unwrap_or_default();
            (400..500).contains(&status)
                && body["type"] == format!("urn:provesi:problem:{kind}")
                && detail.contains(part)
        }
        Outcome::Fault => is_fault,
        Outcome::Deadline => is_late,
        Outcome::CutOff => is_fault || is_late,
        Outcome::Says(words) => status == 200 && words.iter().any(|word| *body == json!(word)),
    };
    assert!(fits, "{name} should end as {outcome:?} and ended as {status} {body:?}");
}
