//! Starts a host with demo data and a database of its own, and speaks to it.

pub(crate) mod database;
#[expect(dead_code, reason = "a bench uses more of it")]
pub(crate) mod patch;
mod postgres;
mod process;
mod rabbit;
mod redis;
mod settings;
pub(crate) mod soak;
mod usage;
mod ward;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use provesi::app::{App, Options};
use provesi::config::Config;
use provesi::db::Database;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::postgres::Postgres;
pub(crate) use self::process::{Process, try_send};
pub(crate) use self::rabbit::Rabbit;
pub(crate) use self::redis::Redis;
pub(crate) use self::settings::set;
pub(crate) use self::usage::{Usage, processor_time};
pub(crate) use self::ward::Ward;

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
    admin: String,
    admin_token: String,
    client: reqwest::Client,
    stop: CancellationToken,
    running: JoinHandle<()>,
    /// Its `storage.url`.
    url: String,
    data: PathBuf,
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
        Self::start_on(backend, &Setup { more, ..Setup::default() }).await
    }

    /// Starts a host that is not as usual on a database, whatever its setup says of that; none where there is no
    /// PostgreSQL to start.
    pub(crate) async fn start_on(backend: Backend, setup: &Setup<'_>) -> Option<Self> {
        let postgres = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(Postgres::start()?),
        };
        let url = postgres.as_ref().map_or_else(|| "sqlite:".to_owned(), Postgres::url);
        let app = Self::start_as(&Setup { url: &url, ..*setup }).await;
        Some(Self { postgres, ..app })
    }

    /// Starts a host that is not as usual.
    pub(crate) async fn start_as(setup: &Setup<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let app = setup.host(folder.path()).await.expect("the host starts");
        let base = format!("http://{}", app.address().expect("an address"));
        let admin = format!("http://{}", app.admin_address().expect("an address"));
        let data = setup.data.map_or_else(|| folder.path().join("data"), Path::to_owned);
        let admin_token = std::fs::read_to_string(data.join("admin-token")).expect("a token");
        let stop = CancellationToken::new();
        let running = TaskTracker::new().spawn(app.run(stop.clone()));
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        let url = setup.url.to_owned();
        Self { base, admin, admin_token, client, stop, running, url, data, folder, postgres: None }
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

    /// Returns the operators' address, `http://host:port`.
    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    /// Returns the operators' token.
    pub(crate) fn admin_token(&self) -> &str {
        self.admin_token.trim()
    }

    /// Starts an operator's request, with the token.
    pub(crate) fn operate(&self, method: &str, path: &str) -> RequestBuilder {
        let method: Method = method.parse().expect("a method");
        self.client.request(method, format!("{}{path}", self.admin)).bearer_auth(self.admin_token())
    }

    /// Uploads a component as the next revision of a service; `query` may say how it is activated.
    pub(crate) async fn upload(&self, service: &str, query: &str, bytes: Vec<u8>) -> Answer {
        let request = self.operate("POST", &format!("/v1/services/{service}/revisions{query}"));
        send(request.header("content-type", "application/wasm").body(bytes)).await
    }

    /// Deploys the component in a file, which has to be accepted.
    pub(crate) async fn deploy(&self, service: &str, file: &Path) -> Value {
        let answer = self.upload(service, "", std::fs::read(file).expect("a component")).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        answer.body
    }

    /// Returns its `storage.url`.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Opens the database of an owner, a service or the host, beside this host.
    pub(crate) async fn database(&self, owner: &str) -> Database {
        database::open(&self.url, &self.data, owner).await
    }

    /// Returns the folder of the host's configuration and data.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
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

/// Makes another component of the same behaviour, by a custom section that every tool skips; one tag always makes the
/// same one.
pub(crate) fn variant(component: &[u8], tag: impl ToString) -> Vec<u8> {
    use wasm_encoder::{ComponentSection as _, CustomSection};
    let mut bytes = component.to_vec();
    let data = tag.to_string().into_bytes();
    CustomSection { name: "provesi-variant".into(), data: data.into() }.append_to_component(&mut bytes);
    bytes
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ lies in the root").to_owned()
}

/// How a host is started; as usual it is four services with demo data, on SQLite files of its own.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'s> {
    /// Whether empty databases get demo data.
    pub(crate) demo: bool,
    /// Whether a changed component file is deployed by itself.
    pub(crate) watch: bool,
    /// `gateway.listen`.
    pub(crate) listen: &'s str,
    /// `gateway.access`.
    pub(crate) access: &'s str,
    /// Further keys of `[gateway]`.
    pub(crate) gateway: &'s str,
    /// Further keys of `[admin]`.
    pub(crate) admin: &'s str,
    /// `storage.url`.
    pub(crate) url: &'s str,
    /// The data folder; none for one beside the configuration.
    pub(crate) data: Option<&'s Path>,
    /// Which of the four services are configured.
    pub(crate) services: &'s [&'s str],
    /// Further tables of `provesi.toml`.
    pub(crate) more: &'s str,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            demo: true,
            watch: false,
            listen: "127.0.0.1:0",
            access: "enforced",
            gateway: "",
            admin: "",
            url: "sqlite:",
            data: None,
            services: &["auth", "products", "inventory", "orders"],
            more: "",
        }
    }
}

/// What orders needs.
pub(crate) const ORDERS_GRANTS: &str =
    r#""sql", "events", "provesi:products/catalog", "provesi:inventory/stock", "provesi:auth/directory""#;

/// Returns the program under test, which compiles for hosts in this process too.
pub(crate) fn compiler() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_provesi"))
}

impl Setup<'_> {
    /// Brings a host up to its bound port; its configuration is written to a folder.
    pub(crate) async fn host(&self, folder: &Path) -> anyhow::Result<App> {
        let config = Config::load(&self.write(folder))?;
        let data = self.data.map_or_else(|| folder.join("data"), Path::to_owned);
        App::start(&config, Options { data, compiler: compiler(), demo: self.demo, watch: self.watch }).await
    }

    /// Writes the configuration to a folder and returns the file.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let root = root();
        let mut text = [
            format!("[gateway]\nlisten = \"{}\"\naccess = \"{}\"\n{}\n", self.listen, self.access, self.gateway),
            format!("[admin]\nlisten = \"127.0.0.1:0\"\n{}\n", self.admin),
            format!("[storage]\nurl = \"{}\"\n", self.url),
            // Hosts of many tests share one address space and one cache of compiled code.
            format!("[runtime]\nmax-instances = 64\ncache = \"{}/target/test-cache\"\n", root.display()),
        ]
        .concat();
        for name in self.services {
            let grants = match *name {
                "auth" => r#""sql", "events", "tokens", "passwords""#,
                "inventory" => r#""sql", "events", "provesi:products/catalog""#,
                "orders" => ORDERS_GRANTS,
                _ => r#""sql", "events""#,
            };
            text += &service(name, &root.join(format!("target/components/{name}.wasm")), grants);
        }
        let file = folder.join("provesi.toml");
        std::fs::write(&file, text + self.more).expect("the configuration is written");
        file
    }
}

/// Writes a service's table of `provesi.toml`; further keys of it can follow.
pub(crate) fn service(name: &str, component: &Path, grants: &str) -> String {
    format!("[services.{name}]\ncomponent = \"{}\"\ngrants = [{grants}]\n", component.display())
}

/// Returns the component of a fixture.
pub(crate) fn fixture(name: &str) -> PathBuf {
    root().join(format!("target/fixtures/fixture_{name}.wasm"))
}

/// Asks until something holds, at most for a time.
pub(crate) async fn eventually(what: &str, bound: Duration, holds: impl AsyncFn() -> bool) {
    let until = Instant::now() + bound;
    while !holds().await {
        assert!(Instant::now() < until, "not within {bound:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
