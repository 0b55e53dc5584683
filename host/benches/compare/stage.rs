//! The data that both run on: made once by a host, extended, and copied.
//!
//! On SQLite each side has files of its own. On PostgreSQL they share a private server and its databases: what one
//! writes is there for the other too, so both always see tables of one size.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::cases::{Instances, RESTOCKED, User};
use super::postgres::Postgres;
use super::process;
use super::server::{self, Server};
use super::services::SERVICES;
use super::{root, twin};

/// Products that the list answers.
const PRODUCTS: usize = 20;

/// More units than all orders of a bench together.
const UNITS: u32 = 1_000_000_000;

/// Requests that a reused instance serves: more than a bench has.
const REUSE: u32 = 1_000_000;

/// Which kind of database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    /// Files in a temporary folder.
    Sqlite,
    /// A private server.
    Postgres,
}

/// Databases with demo data.
pub(crate) struct Stage {
    database: Database,
    postgres: Option<Postgres>,
    folder: tempfile::TempDir,
}

/// What the host's users show.
#[derive(Default)]
pub(crate) struct Tokens {
    staff: String,
    customer: String,
}

impl Stage {
    /// Makes the data; none where there is no PostgreSQL to start.
    pub(crate) async fn prepare(database: Database) -> anyhow::Result<Option<Self>> {
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => match Postgres::start() {
                None => return Ok(None),
                started => started,
            },
        };
        let stage = Self { database, postgres, folder: tempfile::tempdir()? };
        let host = stage.host(Instances::Fresh).await?;
        fill(&host).await?;
        host.stop().await?;
        copy(&stage.data(), &stage.folder().join("twin"))?;
        Ok(Some(stage))
    }

    /// Starts a host.
    pub(crate) async fn host(&self, instances: Instances) -> anyhow::Result<Server> {
        let mut command = process::host(&self.configuration(instances)?, &self.data());
        command.arg("--demo");
        Server::start("host", command, self.folder()).await
    }

    /// Starts the twin.
    pub(crate) async fn twin(&self) -> anyhow::Result<Server> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(twin::MODE).arg(self.folder().join("twin")).arg(self.url());
        Server::start("twin", command, self.folder()).await
    }

    /// Returns which kind it is.
    pub(crate) fn database(&self) -> Database {
        self.database
    }

    /// Returns its folder, where more can be put.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Names the database with its version.
    pub(crate) fn version(&self) -> String {
        match self.database {
            Database::Sqlite => format!("SQLite, linked into both (libsqlite3-sys {})", locked("libsqlite3-sys")),
            Database::Postgres => {
                let output = Command::new("psql").arg("--version").output().ok();
                output.map_or_else(String::new, |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
        }
    }

    fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    fn url(&self) -> String {
        self.postgres.as_ref().map_or_else(|| "sqlite:".to_owned(), Postgres::url)
    }

    fn configuration(&self, instances: Instances) -> anyhow::Result<PathBuf> {
        let target = root().join("target");
        let mut text = String::from("[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n");
        writeln!(text, "[storage]\nurl = \"{}\"", self.url())?;
        writeln!(text, "[runtime]\ncache = \"{}\"", target.join("bench/cache").display())?;
        for (name, component, grants) in SERVICES {
            let component = target.join(component).with_extension("wasm");
            writeln!(text, "[services.{name}]\ncomponent = \"{}\"\ngrants = [{grants}]", component.display())?;
            if instances == Instances::Reused {
                writeln!(text, "[services.{name}.limits]\nreuse = {REUSE}")?;
            }
        }
        let file = self.folder().join("provesi.toml");
        std::fs::write(&file, text)?;
        Ok(file)
    }
}

impl Tokens {
    /// Returns the token of a user.
    pub(crate) fn of(&self, user: User) -> Option<&str> {
        match user {
            User::Nobody => None,
            User::Staff => Some(&self.staff),
            User::Customer => Some(&self.customer),
        }
    }
}

/// Logs the demo's users in.
pub(crate) async fn log_in(client: &Client, host: &Server) -> anyhow::Result<Tokens> {
    Ok(Tokens { staff: token(client, host, "operario").await?, customer: token(client, host, "cliente").await? })
}

async fn token(client: &Client, host: &Server, user: &str) -> anyhow::Result<String> {
    let body = json!({ "username": user, "password": format!("{user}123") });
    let answer = send(client.post(format!("{}/api/auth/login/", host.base())).json(&body)).await?;
    Ok(answer["token"].as_str().context("an answer without a token")?.to_owned())
}

/// Adds products to the demo's until there are enough, and units until no order finds too few.
async fn fill(host: &Server) -> anyhow::Result<()> {
    let client = server::client()?;
    let staff = log_in(&client, host).await?.staff;
    let products = format!("{}/api/products/", host.base());
    let there = send(client.get(&products)).await?.as_array().map_or(0, Vec::len);
    for number in there..PRODUCTS {
        let product = json!({
            "name": format!("Linterna Frontal {number}"),
            "description": "Linterna recargable para casco, 400 lumenes",
            "sku": format!("LFR-{number:03}"),
            "supplier": 1,
            "unit_price": "89000.00",
            "cost_price": "61500.00",
            "category": "EPP",
            "min_stock": 20,
            "max_stock": 400,
        });
        send(client.post(&products).bearer_auth(&staff).json(&product)).await?;
    }
    let (product, warehouse) = RESTOCKED;
    let restock = client.post(format!("{}/api/inventory/{product}/restock/", host.base()));
    send(restock.bearer_auth(&staff).json(&json!({ "units": UNITS, "warehouse": warehouse }))).await?;
    Ok(())
}

/// Sends a request that has to succeed.
async fn send(request: RequestBuilder) -> anyhow::Result<Value> {
    let response = request.send().await?;
    let (status, path) = (response.status(), response.url().path().to_owned());
    let text = response.text().await?;
    ensure!(status.is_success(), "{path}: {status} {text}");
    Ok(serde_json::from_str(&text)?)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().context("cp cannot be started")?;
    ensure!(status.success(), "cp ended with {status}");
    Ok(())
}

/// Returns the version of a dependency.
pub(crate) fn locked(package: &str) -> String {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap_or_default();
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{package}\""));
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = "));
    version.unwrap_or("unknown").trim_matches('"').to_owned()
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}
