//! Runs the real binary as a process of its own and speaks to both of its listeners.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::json;

use crate::operator::{Answer, Operator, ask};
use crate::process::{self, Process};

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(60);

/// The host; killed when dropped.
pub(crate) struct Host {
    _process: Process,
    public: String,
    operator: Operator,
    client: Client,
    /// Removed after the host was killed.
    _folder: tempfile::TempDir,
}

impl Host {
    /// Starts the repository's configuration with demo data and one more service, which gets a database.
    pub(crate) async fn start(root: &Path, service: &str, component: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        let table = format!("PROVESI_SERVICES__{}", service.to_uppercase());
        let mut command = process::host(&root.join("provesi.toml"), &data);
        command
            .arg("--demo")
            .env("PROVESI_GATEWAY__LISTEN", "127.0.0.1:0")
            .env("PROVESI_ADMIN__LISTEN", "127.0.0.1:0")
            .env("PROVESI_STORAGE__URL", "sqlite:")
            // Of its own, and empty: nothing of an earlier run can answer for the compiler.
            .env("PROVESI_RUNTIME__CACHE", folder.path().join("cache"))
            .env(format!("{table}__COMPONENT"), component)
            .env(format!("{table}__GRANTS"), r#"["sql"]"#);
        let mut process = Process::spawn("host", command, folder.path())?;
        let serving = process.serving().await?;
        let client = Client::builder().no_proxy().timeout(ANSWER).build()?;
        let admin = format!("http://{}", serving.admin.context("a listener for operators")?);
        let operator = Operator::new(client.clone(), admin, &data)?;
        let public = format!("http://{}", serving.address);
        Ok(Self { _process: process, public, operator, client, _folder: folder })
    }

    /// Returns the public address, `http://host:port`.
    pub(crate) fn public(&self) -> &str {
        &self.public
    }

    /// Starts an operator's request, with the token.
    pub(crate) fn operate(&self, method: Method, path: &str) -> RequestBuilder {
        self.operator.operate(method, path)
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
}
