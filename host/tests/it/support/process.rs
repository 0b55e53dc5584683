//! Runs the real binary as a process of its own, which can be killed and started again on the same data.
//!
//! Each start has ports that the system chooses, read from the log: while the host is down nobody can take them. It ends
//! with the tests, also when they are killed.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use provesi::db::Database;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::ward::Ward;
use super::{Answer, Backend, Postgres, Setup, database, send};

/// Longest start, on a busy machine too.
const START: Duration = Duration::from_secs(60);

/// Longest stop: the drain time of 20 s and then some.
const STOP: Duration = Duration::from_secs(40);

/// Longest wait for one answer: twice the deadline of a request.
const ANSWER: Duration = Duration::from_secs(10);

/// Longest deploy: compiling stands back behind requests.
const DEPLOY: Duration = Duration::from_secs(120);

/// Pause between two looks at the process.
const LOOK: Duration = Duration::from_millis(20);

/// Lines of the log that are shown when a test fails.
const SHOWN: usize = 60;

/// The host as a process; killed when dropped, and with this process at the latest.
pub(crate) struct Process {
    child: Option<Child>,
    starts: u32,
    base: String,
    admin: String,
    client: reqwest::Client,
    config: PathBuf,
    cache: Cache,
    ward: Ward,
    folder: tempfile::TempDir,
    postgres: Option<Postgres>,
}

/// Where it keeps compiled code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cache {
    /// Where all tests keep it.
    Shared,
    /// In its own folder.
    Own,
}

impl Process {
    /// Starts the four services with demo data; none where there is no PostgreSQL to start.
    pub(crate) async fn start(backend: Backend) -> Option<Self> {
        Self::start_as(backend, &Setup::default()).await
    }

    /// Starts a host that is not as usual on a database, whatever its setup says of that.
    pub(crate) async fn start_as(backend: Backend, setup: &Setup<'_>) -> Option<Self> {
        let mut process = Self::new(backend, Cache::Shared, setup)?;
        process.start_again().await;
        Some(process)
    }

    /// Starts as [`Process::start`] does, for components that no other test deploys: what they are compiled to goes
    /// with the process.
    pub(crate) async fn start_with_own_cache(backend: Backend) -> Option<Self> {
        Self::start_as_with_own_cache(backend, &Setup::default()).await
    }

    /// The same of a host that is not as usual.
    pub(crate) async fn start_as_with_own_cache(backend: Backend, setup: &Setup<'_>) -> Option<Self> {
        let mut process = Self::new(backend, Cache::Own, setup)?;
        process.start_again().await;
        Some(process)
    }

    /// The same, after the first start of all was killed at an age.
    pub(crate) async fn start_after_a_kill(backend: Backend, age: Duration) -> Option<Self> {
        let mut process = Self::new(backend, Cache::Own, &Setup::default())?;
        process.spawn();
        tokio::time::sleep(age).await;
        process.kill9();
        process.start_again().await;
        Some(process)
    }

    fn new(backend: Backend, cache: Cache, setup: &Setup<'_>) -> Option<Self> {
        let postgres = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(Postgres::start()?),
        };
        let url = postgres.as_ref().map_or_else(|| "sqlite:".to_owned(), Postgres::url);
        let folder = tempfile::tempdir().expect("a folder");
        let ward = Ward::of(folder.path());
        let config = Setup { url: &url, ..*setup }.write(folder.path());
        let (base, admin, client) = (String::new(), String::new(), reqwest::Client::new());
        Some(Self { child: None, starts: 0, base, admin, client, config, cache, ward, folder, postgres })
    }

    /// Starts it on the data that is there, and waits until it answers.
    pub(crate) async fn start_again(&mut self) {
        self.spawn();
        let until = Instant::now() + START;
        while !self.answers().await {
            assert_eq!(self.exited(), None, "the host ended at its start");
            assert!(Instant::now() < until, "the host does not answer within {START:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    fn spawn(&mut self) {
        assert!(self.child.is_none(), "the host still runs");
        self.starts += 1;
        let output = File::create(self.log(self.starts)).expect("a log");
        let errors = output.try_clone().expect("a second handle of the log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_provesi"));
        command.args(["serve", "--demo", "--config"]).arg(&self.config);
        command.arg("--data").arg(self.data());
        if self.cache == Cache::Own {
            command.env("PROVESI_RUNTIME__CACHE", self.own_cache());
        }
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().expect("the binary can be started");
        self.ward.runs(&[child.id()]);
        self.child = Some(child);
    }

    /// Starts a second host on the same configuration and data, and waits for its end.
    pub(crate) async fn second(&self) -> Output {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_provesi"));
        command.args(["serve", "--demo", "--config"]).arg(&self.config).arg("--data").arg(self.data());
        command.stdin(Stdio::null()).kill_on_drop(true);
        let ended = tokio::time::timeout(START, command.output()).await;
        ended.expect("the second host ends by itself").expect("the binary can be started")
    }

    /// Restarts its PostgreSQL server; it must be on one.
    pub(crate) async fn restart_database(&self) {
        self.postgres.as_ref().expect("the host is on PostgreSQL").restart().await;
    }

    /// Kills it with SIGKILL; it must have run until then.
    pub(crate) fn kill9(&mut self) {
        assert_eq!(self.exited(), None, "the host ended before it was killed");
        let mut child = self.child.take().expect("it was started");
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child ends");
        self.ward.runs(&[]);
    }

    /// Sends it SIGTERM.
    pub(crate) fn terminate(&self) {
        let id = self.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &id]).status().expect("a shell");
        assert!(sent.success(), "SIGTERM could not be sent: {sent}");
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + STOP;
        loop {
            if let Some(status) = self.exited() {
                self.child = None;
                self.ward.runs(&[]);
                return status;
            }
            assert!(Instant::now() < until, "the host does not stop within {STOP:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Returns the address of this start, `http://host:port`.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Uploads a component as the next revision of a service, with all of its traffic; it has to be accepted.
    pub(crate) async fn deploy(&self, service: &str, component: Vec<u8>) {
        let (status, text) = self.upload(service, component).await.expect("an answer to a deploy");
        assert_eq!(status, 201, "{service}: {text}");
    }

    /// The same, of a host that may be gone or lack its databases: says whether it was accepted, and never that it was
    /// refused for what it is.
    pub(crate) async fn try_deploy(&self, service: &str, component: Vec<u8>) -> bool {
        let Some((status, text)) = self.upload(service, component).await else { return false };
        assert!(status == 201 || status >= 500, "{service}: {status} {text}");
        status == 201
    }

    /// Uploads a component; returns the status and the body, none when the host is gone.
    async fn upload(&self, service: &str, component: Vec<u8>) -> Option<(u16, String)> {
        let url = format!("{}/v1/services/{service}/revisions", self.admin);
        let request = self.client.post(url).bearer_auth(self.admin_token()).timeout(DEPLOY);
        let request = request.header("content-type", "application/wasm").body(component);
        let response = request.send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    }

    /// Returns the operators' address of this start, `http://host:port`.
    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    /// Returns what operators show.
    pub(crate) fn admin_token(&self) -> String {
        let text = std::fs::read_to_string(self.data().join("admin-token"));
        text.expect("the host makes one at its first start").trim().to_owned()
    }

    /// Returns the folder of its own cache of compiled code, for one that was started with it.
    pub(crate) fn own_cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// Returns the folder of its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Returns its `storage.url`.
    pub(crate) fn url(&self) -> String {
        self.postgres.as_ref().map_or_else(|| "sqlite:".to_owned(), Postgres::url)
    }

    /// Opens the database of an owner, a service or the host, beside it.
    pub(crate) async fn database(&self, owner: &str) -> Database {
        database::open(&self.url(), &self.data(), owner).await
    }

    /// Returns the system's number of it.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it was started").id()
    }

    /// Starts a request.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method: Method = method.parse().expect("a method");
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Gets a path with a token.
    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        send(self.request("GET", path).bearer_auth(token)).await
    }

    /// Logs a demo user in (`admin`, `operario`, `cliente`) and returns the token.
    pub(crate) async fn token(&self, username: &str) -> String {
        let body = json!({ "username": username, "password": format!("{username}123") });
        let answer = send(self.request("POST", "/api/auth/login/").json(&body)).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.body["token"].as_str().expect("a token").to_owned()
    }

    async fn answers(&mut self) -> bool {
        let Some((address, admin)) = self.addresses() else { return false };
        (self.base, self.admin) = (format!("http://{address}"), format!("http://{admin}"));
        try_send(self.request("GET", "/health/")).await.is_some_and(|answer| answer.status == 200)
    }

    /// Reads from the log where this start serves, and where operators reach it.
    fn addresses(&self) -> Option<(String, String)> {
        let log = std::fs::read_to_string(self.log(self.starts)).expect("a log");
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let serving = lines.find(|line| line["message"] == "serving")?;
        let address = |key: &str| serving[key].as_str().expect("an address").to_owned();
        Some((address("address"), address("admin")))
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().expect("a child can be asked"))
    }

    /// Counts the lines of all starts that hold each of some texts.
    pub(crate) fn logged(&self, texts: &[&str]) -> usize {
        let logs = (1..=self.starts).map(|start| std::fs::read_to_string(self.log(start)).unwrap_or_default());
        logs.map(|log| log.lines().filter(|line| texts.iter().all(|text| line.contains(text))).count()).sum()
    }

    fn log(&self, start: u32) -> PathBuf {
        self.folder.path().join(format!("host-{start}.log"))
    }

    /// Returns the last lines that the host wrote, without those of requests that went well.
    fn last_words(&self) -> String {
        let logs: Vec<String> =
            (1..=self.starts).map(|start| std::fs::read_to_string(self.log(start)).unwrap_or_default()).collect();
        let is_told = |line: &&str| !line.contains(r#""message":"request""#) || line.contains(r#""http.status":5"#);
        let lines: Vec<&str> = logs.iter().flat_map(|log| log.lines()).filter(is_told).collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
            self.ward.runs(&[]);
        }
        if std::thread::panicking() {
            show(&self.last_words());
        }
    }
}

/// Sends a request and reads the answer; none when the host is gone before it is whole.
pub(crate) async fn try_send(request: RequestBuilder) -> Option<Answer> {
    let response = request.timeout(ANSWER).send().await.ok()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.ok()?;
    let body =
        if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("a whole answer is JSON") };
    Some(Answer { status, headers, body })
}

#[expect(clippy::print_stderr, reason = "the log of the process belongs to the failure that is being reported")]
fn show(log: &str) {
    eprintln!("the host's last words:\n{log}");
}
