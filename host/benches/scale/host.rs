//! The host as a process of its own: how long its start takes, its memory, and its operators' requests.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder};

use super::operator::Operator;
use super::process::{self, Process};

/// Longest start: a thousand components, compiled one after the other.
const START: Duration = Duration::from_secs(1200);

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(60);

/// Pause between two attempts to be answered: short beside a start, and long enough to leave the core to it.
const KNOCK: Duration = Duration::from_millis(2);

/// Pause between two looks at the memory.
const LOOK: Duration = Duration::from_millis(500);

/// Looks at the memory of an idle process before the last one counts, steady or not.
const LOOKS: usize = 20;

/// Part of itself by which a steady memory differs from one look to the next.
const STEADY: f64 = 0.005;

/// A running host; killed when dropped.
pub(crate) struct Host {
    process: Process,
    base: String,
    operator: Operator,
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
        let command = process::host(&self.configuration(public, admin)?, &self.data());
        let client = Client::builder().no_proxy().timeout(ANSWER).build()?;
        let (base, admin) = (format!("http://127.0.0.1:{public}"), format!("http://127.0.0.1:{admin}"));
        let url = format!("{base}{path}");
        let began = Instant::now();
        let mut process = Process::spawn("host", command, &self.folder)?;
        process.answers(&client, &url, START, KNOCK).await?;
        let took_ms = began.elapsed().as_secs_f64() * 1000.0;
        let operator = Operator::new(client, admin, &self.data())?;
        Ok((Host { process, base, operator }, took_ms))
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
        self.operator.operate(method, path)
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
        Ok(Memory { rss: self.process.memory_kib("VmRSS:")?, anonymous: self.process.memory_kib("RssAnon:")? })
    }

    /// Empties its log.
    pub(crate) fn forget_log(&self) -> anyhow::Result<()> {
        self.process.forget_log()
    }

    /// Lets it end by itself.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }
}

/// Finds a port that nobody has; known beforehand, a start needs no look into the log.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
