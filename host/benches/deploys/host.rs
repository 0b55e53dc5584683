//! Runs the real binary as a process of its own and speaks to both of its listeners.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::report::ms;

/// Longest start: every component is compiled, one after the other.
const START: Duration = Duration::from_secs(120);

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(60);

/// Pause between two looks at the log.
const LOOK: Duration = Duration::from_millis(20);

/// Lines of the log that are shown when the host ends by itself.
const SHOWN: usize = 20;

/// The host; killed when dropped.
pub(crate) struct Host {
    child: Child,
    public: String,
    admin: String,
    admin_token: String,
    client: Client,
    folder: tempfile::TempDir,
}

/// An answer, read whole.
pub(crate) struct Answer {
    /// From the first byte sent to the last one read.
    pub(crate) took_ms: f64,
    pub(crate) status: u16,
    /// The body; `Null` when it is empty.
    pub(crate) body: Value,
}

impl Host {
    /// Starts the repository's configuration with demo data and one more service, which gets a database.
    pub(crate) async fn start(root: &Path, service: &str, component: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let table = format!("PROVESI_SERVICES__{}", service.to_uppercase());
        let output = File::create(log(folder.path()))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_provesi"));
        command
            .args(["serve", "--demo", "--config"])
            .arg(root.join("provesi.toml"))
            .arg("--data")
            .arg(folder.path().join("data"))
            .env("PROVESI_GATEWAY__LISTEN", "127.0.0.1:0")
            .env("PROVESI_ADMIN__LISTEN", "127.0.0.1:0")
            .env("PROVESI_STORAGE__URL", "sqlite:")
            // Of its own, and empty: nothing of an earlier run can answer for the compiler.
            .env("PROVESI_RUNTIME__CACHE", folder.path().join("cache"))
            .env(format!("{table}__COMPONENT"), component)
            .env(format!("{table}__GRANTS"), r#"["sql"]"#)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = command.spawn().context("the host cannot be started")?;
        let client = Client::builder().no_proxy().timeout(ANSWER).build()?;
        // Told by the log, once it serves.
        let (public, admin, admin_token) = (String::new(), String::new(), String::new());
        let mut host = Self { child, public, admin, admin_token, client, folder };
        host.wait().await?;
        Ok(host)
    }

    /// Returns the public address, `http://host:port`.
    pub(crate) fn public(&self) -> &str {
        &self.public
    }

    /// Starts an operator's request, with the token.
    pub(crate) fn operate(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.admin)).bearer_auth(&self.admin_token)
    }

    /// Uploads a component as the next revision of a service, which gets all of its traffic.
    pub(crate) async fn upload(&self, service: &str, bytes: Vec<u8>) -> anyhow::Result<Answer> {
        let request = self.operate(Method::POST, &format!("/v1/services/{service}/revisions"));
        ask(request.header("content-type", "application/wasm").body(bytes)).await
    }

    /// Logs a demo user of the staff in and returns the token.
    pub(crate) async fn token(&self) -> anyhow::Result<String> {
        let body = json!({ "username": "operario", "password": "operario123" });
        let answer = ask(self.client.post(format!("{}/api/auth/login/", self.public)).json(&body)).await?;
        ensure!(answer.status == 200, "no log-in: {} {}", answer.status, answer.body);
        Ok(answer.body["token"].as_str().context("a token")?.to_owned())
    }

    /// Waits until it serves, and learns where.
    async fn wait(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + START;
        loop {
            let written = std::fs::read_to_string(log(self.folder.path()))?;
            if let Some((address, admin)) = serving(&written) {
                (self.public, self.admin) = (format!("http://{address}"), format!("http://{admin}"));
                let token = std::fs::read_to_string(self.folder.path().join("data/admin-token"))?;
                token.trim().clone_into(&mut self.admin_token);
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                let lines: Vec<&str> = written.lines().collect();
                bail!("the host ended: {status}\n{}", lines[lines.len().saturating_sub(SHOWN)..].join("\n"));
            }
            ensure!(Instant::now() < until, "the host does not serve within {START:?}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request and reads the answer.
pub(crate) async fn ask(request: RequestBuilder) -> anyhow::Result<Answer> {
    let began = Instant::now();
    let response = request.send().await?;
    let status = response.status().as_u16();
    let bytes = response.bytes().await?;
    let took_ms = ms(began.elapsed());
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes)? };
    Ok(Answer { took_ms, status, body })
}

fn log(folder: &Path) -> PathBuf {
    folder.join("host.log")
}

/// Finds in the log where the public and the operators' listener are.
fn serving(log: &str) -> Option<(String, String)> {
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.find(|line| line["message"] == "serving")?;
    Some((line["address"].as_str()?.to_owned(), line["admin"].as_str()?.to_owned()))
}
