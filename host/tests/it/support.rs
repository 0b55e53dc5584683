//! Starts a host with demo data and a database of its own, and speaks to it.

mod postgres;

use std::path::{Path, PathBuf};
use std::time::Duration;

use provesi::app::{App, Options};
use provesi::config::Config;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::postgres::Postgres;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// Files in the test's own folder.
    Sqlite,
    /// A private server of the test's own.
    Postgres,
}

/// Runs a test on both databases, as `name::sqlite` and `name::postgres`.
macro_rules! on_both_databases {
    ($(async fn $name:ident($app:ident) $body:block)*) => {
        $(mod $name {
            #[allow(unused_imports, clippy::allow_attributes, reason = "not every test needs all that its file imports")]
            use super::*;

            async fn run(backend: $crate::support::Backend) {
                let Some(app) = $crate::support::TestApp::start(backend).await else { return };
                {
                    let $app = &app;
                    $body
                }
                app.stop().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run($crate::support::Backend::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                run($crate::support::Backend::Postgres).await;
            }
        })*
    };
}
pub(crate) use on_both_databases;

/// A running host.
pub(crate) struct TestApp {
    base: String,
    client: reqwest::Client,
    stop: CancellationToken,
    running: JoinHandle<()>,
    folder: tempfile::TempDir,
    postgres: Option<Postgres>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    /// The body; `Null` when it is empty.
    pub(crate) body: Value,
}

impl TestApp {
    /// Starts the four services with demo data; none where there is no PostgreSQL to start.
    pub(crate) async fn start(backend: Backend) -> Option<Self> {
        Self::start_with(backend, "").await
    }

    /// The same with further tables of `provesi.toml`.
    pub(crate) async fn start_with(backend: Backend, more: &str) -> Option<Self> {
        let postgres = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(Postgres::start()?),
        };
        let folder = tempfile::tempdir().expect("a folder");
        let url = postgres.as_ref().map_or_else(|| "sqlite:".to_owned(), Postgres::url);
        let config = folder.path().join("provesi.toml");
        std::fs::write(&config, configuration(&url, more)).expect("the configuration is written");
        let config = Config::load(&config).expect("the configuration is valid");
        let options = Options { data: folder.path().join("data"), demo: true };
        let app = App::start(&config, options).await.expect("the host starts");
        let base = format!("http://{}", app.address().expect("an address"));
        let stop = CancellationToken::new();
        let running = TaskTracker::new().spawn(app.run(stop.clone()));
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Some(Self { base, client, stop, running, folder, postgres })
    }

    /// Stops the host and checks that nothing of it is left running.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(30), self.running)
            .await
            .expect("the host stops within its drain time")
            .expect("the host does not panic");
        drop(self.postgres);
        drop(self.folder);
    }

    /// Returns the address, `http://host:port`.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Starts a request.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method: Method = method.parse().expect("a method");
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Gets a path, with a token unless it is empty.
    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        send(authorized(self.request("GET", path), token)).await
    }

    /// Posts JSON to a path, with a token unless it is empty.
    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        send(authorized(self.request("POST", path), token).json(body)).await
    }

    /// Patches a path with JSON, with a token unless it is empty.
    pub(crate) async fn patch(&self, path: &str, token: &str, body: &Value) -> Answer {
        send(authorized(self.request("PATCH", path), token).json(body)).await
    }

    /// Deletes a path, with a token unless it is empty.
    pub(crate) async fn delete(&self, path: &str, token: &str) -> Answer {
        send(authorized(self.request("DELETE", path), token)).await
    }

    /// Logs a demo user in (`admin`, `operario`, `cliente`) and returns the token.
    pub(crate) async fn token(&self, username: &str) -> String {
        self.token_for(username, &format!("{username}123")).await
    }

    /// Logs a user in and returns the token.
    pub(crate) async fn token_for(&self, username: &str, password: &str) -> String {
        let body = serde_json::json!({ "username": username, "password": password });
        let answer = self.post("/api/auth/login/", "", &body).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.body["token"].as_str().expect("a token").to_owned()
    }
}

impl Answer {
    /// Returns a header as text; empty when it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

fn authorized(request: RequestBuilder, token: &str) -> RequestBuilder {
    if token.is_empty() { request } else { request.bearer_auth(token) }
}

/// Sends a request and reads the answer.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.timeout(Duration::from_secs(30)).send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.expect("a body");
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("JSON") };
    Answer { status, headers, body }
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ lies in the root").to_owned()
}

fn configuration(url: &str, more: &str) -> String {
    let root = root();
    let root = root.display();
    let service = |name: &str, grants: &str| {
        format!("[services.{name}]\ncomponent = \"{root}/target/components/{name}.wasm\"\ngrants = [{grants}]\n")
    };
    [
        "[gateway]\nlisten = \"127.0.0.1:0\"\n".to_owned(),
        format!("[storage]\nurl = \"{url}\"\n"),
        // Hosts of many tests share one address space and one cache of compiled code.
        format!("[runtime]\nmax-instances = 64\ncache = \"{root}/target/test-cache\"\n"),
        service("auth", r#""sql", "tokens", "passwords""#),
        service("products", r#""sql""#),
        service("inventory", r#""sql", "provesi:products/catalog""#),
        service("orders", r#""sql", "provesi:products/catalog", "provesi:inventory/stock", "provesi:auth/directory""#),
        more.to_owned(),
    ]
    .concat()
}
