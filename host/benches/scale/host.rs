//! The host as a process of its own: how long its start takes, its memory, and its operators' requests.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use reqwest::{Client, Method, RequestBuilder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longest start: a thousand components, compiled one after the other.
const START: Duration = Duration::from_secs(1200);

/// Longest stop: the host's drain time and then some.
const STOP: Duration = Duration::from_secs(40);

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(60);

/// Pause between two attempts to be answered: short beside a start, and long enough to leave the core to it.
const KNOCK: Duration = Duration::from_millis(2);

/// Pause between two looks at a process.
const LOOK: Duration = Duration::from_millis(500);

/// Looks at the memory of an idle process before the last one counts, steady or not.
const LOOKS: usize = 20;

/// Part of itself by which a steady memory differs from one look to the next.
const STEADY: f64 = 0.005;

/// Lines of the log that are shown when the host ends by itself.
const SHOWN: usize = 5;

/// A running host; killed when dropped.
pub(crate) struct Host {
    child: Child,
    base: String,
    admin: String,
    admin_token: String,
    client: Client,
    log: File,
}

/// Where a host keeps what outlives it.
pub(crate) struct Place {
    folder: PathBuf,
    /// What its configuration says of services.
    tables: String,
}

/// Resident memory, in KiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// All of it.
    pub(crate) rss: f64,
    /// What is in no file.
    pub(crate) anonymous: f64,
}

/// An answer to an operator.
pub(crate) struct Answer {
    pub(crate) took_ms: f64,
    pub(crate) status: u16,
    pub(crate) body: Value,
}

// === impl Place ===

impl Place {
    /// Makes a place for a host with services, with neither data nor compiled code.
    pub(crate) fn new(folder: &Path, name: &str, tables: String) -> anyhow::Result<Self> {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder, tables })
    }

    /// Starts a host and returns it with the milliseconds until a path was first answered with 200.
    pub(crate) async fn start(&self, path: &str) -> anyhow::Result<(Host, f64)> {
        let (public, admin) = (free_port()?, free_port()?);
        let mut command = Command::new(env!("CARGO_BIN_EXE_provesi"));
        command.args(["serve", "--config"]).arg(self.configuration(public, admin)?);
        command.arg("--data").arg(self.data());
        let file = self.folder.join("host.log");
        File::create(&file)?;
        // Appended to, so that a file which was cut off grows again from its beginning.
        let log = OpenOptions::new().append(true).open(&file)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        let client = Client::builder().no_proxy().timeout(ANSWER).build()?;
        let (base, admin) = (format!("http://127.0.0.1:{public}"), format!("http://127.0.0.1:{admin}"));
        let began = Instant::now();
        let child = command.spawn().context("the host cannot be started")?;
        let mut host = Host { child, base, admin, admin_token: String::new(), client, log };
        host.wait(path, began + START, &file).await?;
        let took_ms = ms(began.elapsed());
        std::fs::read_to_string(self.data().join("admin-token"))?.trim().clone_into(&mut host.admin_token);
        Ok((host, took_ms))
    }

    fn configuration(&self, public: u16, admin: u16) -> anyhow::Result<PathBuf> {
        let listen = format!("[gateway]\nlisten = \"127.0.0.1:{public}\"\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n");
        let cache = self.folder.join("cache");
        let text = format!("{listen}[runtime]\ncache = \"{}\"\n{}", cache.display(), self.tables);
        let file = self.folder.join("provesi.toml");
        std::fs::write(&file, text)?;
        Ok(file)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

// === impl Host ===

impl Host {
    /// Returns the public address, `http://host:port`.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Starts an operator's request, with the token.
    pub(crate) fn operate(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.admin)).bearer_auth(&self.admin_token)
    }

    /// Returns its memory once it is steady: an allocator gives back what it has freed a while later.
    pub(crate) async fn settled_memory(&self) -> anyhow::Result<Memory> {
        let mut before = self.memory()?;
        for _ in 0..LOOKS {
            tokio::time::sleep(LOOK).await;
            let now = self.memory()?;
            if (now.rss - before.rss).abs() <= STEADY * before.rss {
                return Ok(now);
            }
            before = now;
        }
        Ok(before)
    }

    fn memory(&self) -> anyhow::Result<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let number = line.map(|line| line.trim().trim_end_matches(" kB"));
            let number = number.and_then(|number| number.parse::<f64>().ok());
            number.with_context(|| format!("{field} in /proc/…/status"))
        };
        Ok(Memory { rss: kib("VmRSS:")?, anonymous: kib("RssAnon:")? })
    }

    /// Empties its log.
    pub(crate) fn forget_log(&self) -> anyhow::Result<()> {
        Ok(self.log.set_len(0)?)
    }

    /// Lets it end by itself.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let until = Instant::now() + STOP;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < until, "the host does not stop within {STOP:?}");
            tokio::time::sleep(KNOCK).await;
        }
        Ok(())
    }

    /// Asks until it answers.
    async fn wait(&mut self, path: &str, until: Instant, log: &Path) -> anyhow::Result<()> {
        let url = format!("{}{path}", self.base);
        loop {
            match self.client.get(&url).send().await {
                Ok(answer) if answer.status() == reqwest::StatusCode::OK => return Ok(()),
                Ok(answer) => bail!("{path} is answered with {}", answer.status()),
                // It does not listen yet.
                Err(_) => {}
            }
            if let Some(status) = self.child.try_wait()? {
                let written = std::fs::read_to_string(log)?;
                let lines: Vec<&str> = written.lines().collect();
                bail!("the host ended: {status}\n{}", lines[lines.len().saturating_sub(SHOWN)..].join("\n"));
            }
            ensure!(Instant::now() < until, "the host does not serve within {START:?}");
            tokio::time::sleep(KNOCK).await;
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

/// Finds a port that nobody has; known beforehand, a start needs no look into the log.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
