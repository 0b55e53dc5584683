//! A host as a process of its own, on a database and a broker.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use provesi::db::Cell;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::Client;
use super::database;
use super::postgres::Postgres;
use super::process::{self, Process};
use super::root;

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Pause between two looks at a counter: short beside the seconds that are measured, long beside what a look takes.
const LOOK: Duration = Duration::from_millis(20);

/// Which kind of database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    /// Files in a temporary folder.
    Sqlite,
    /// A private server.
    Postgres,
}

/// A service of a host.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) component: PathBuf,
    pub(crate) grants: &'static str,
}

/// A running host; killed when dropped, before what it uses.
pub(crate) struct Host {
    process: Process,
    address: SocketAddr,
    admin: SocketAddr,
    http: reqwest::Client,
    url: String,
    folder: tempfile::TempDir,
    _postgres: Option<Postgres>,
}

impl Host {
    /// Starts one with demo data, whose events are at a URL; none where there is no PostgreSQL to start.
    pub(crate) async fn start(database: Database, events: &str, services: &[Service]) -> anyhow::Result<Option<Self>> {
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => match Postgres::start() {
                None => return Ok(None),
                started => started,
            },
        };
        let url = postgres.as_ref().map_or_else(|| "sqlite:".to_owned(), Postgres::url);
        let folder = tempfile::tempdir()?;
        let configuration = folder.path().join("provesi.toml");
        std::fs::write(&configuration, text(&url, events, services)?)?;
        let mut command = process::host(&configuration, &folder.path().join("data"));
        command.arg("--demo");
        let mut process = Process::spawn("host", command, folder.path())?;
        let serving = process.serving().await?;
        let admin = serving.admin.context("a listener for operators")?;
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER).build()?;
        Ok(Some(Self { process, address: serving.address, admin, http, url, folder, _postgres: postgres }))
    }

    /// Opens connections.
    pub(crate) async fn clients(&self, count: u32) -> anyhow::Result<Vec<Client>> {
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(Client::connect(self.address).await?);
        }
        Ok(clients)
    }

    /// Logs a demo user in and returns the token.
    pub(crate) async fn token(&self, user: &str) -> anyhow::Result<String> {
        let body = json!({ "username": user, "password": format!("{user}123") });
        let answer = self.post("/api/auth/login/", "", &body).await?;
        Ok(answer["token"].as_str().context("an answer without a token")?.to_owned())
    }

    /// Posts something that has to succeed, and is not timed.
    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.http.post(format!("http://{}{path}", self.address)).json(body);
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Returns a counter of a service; 0 while it is not there.
    pub(crate) async fn count(&self, counter: &str, service: &str) -> anyhow::Result<f64> {
        let text = self.http.get(format!("http://{}/metrics", self.admin)).send().await?.text().await?;
        let start = format!("{counter}{{service=\"{service}\"}} ");
        let number = text.lines().find_map(|line| line.strip_prefix(&start));
        number.map_or(Ok(0.0), |number| number.parse::<f64>().with_context(|| format!("{start}{number}")))
    }

    /// Waits until a counter of a service has come to a number, and returns when it had.
    pub(crate) async fn until(
        &self,
        counter: &str,
        service: &str,
        number: f64,
        bound: Duration,
    ) -> anyhow::Result<Instant> {
        let until = Instant::now() + bound;
        loop {
            let count = self.count(counter, service).await?;
            let now = Instant::now();
            if count >= number {
                return Ok(now);
            }
            ensure!(now < until, "{counter} of {service} is {count} after {bound:?}, not {number}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Reads a column of numbers from a service's database, beside the host.
    pub(crate) async fn column(&self, service: &str, select: &str) -> anyhow::Result<Vec<i64>> {
        let database = database::open(&self.url, &self.folder.path().join("data"), service).await;
        let rows = database.query(select, &[]).await?;
        database.close().await;
        let mut numbers = Vec::new();
        for row in rows.rows() {
            let [Cell::Integer(number)] = row[..] else { bail!("one number, not {row:?}") };
            numbers.push(number);
        }
        Ok(numbers)
    }

    /// Empties its log.
    pub(crate) fn forget_log(&self) -> anyhow::Result<()> {
        self.process.forget_log()
    }

    /// Lets it end by itself: what it has handled is told to a broker that goes on.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }
}

/// Writes the configuration.
fn text(url: &str, events: &str, services: &[Service]) -> anyhow::Result<String> {
    let mut text = String::from("[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n");
    text += &format!("[storage]\nurl = \"{url}\"\n[events]\nurl = \"{events}\"\n");
    text += &format!("[runtime]\ncache = \"{}\"\n", root().join("target/bench/cache").display());
    for Service { name, component, grants } in services {
        ensure!(component.is_file(), "there is no {}, built by `make bench-events`", component.display());
        text += &format!("[services.{name}]\ncomponent = \"{}\"\ngrants = [{grants}]\n", component.display());
    }
    Ok(text)
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}
