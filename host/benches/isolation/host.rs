//! Runs the real binary as a process of its own, with a neighbour and the broken service.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::client::Client;
use super::root;

/// Longest start: every component may have to be compiled.
const START: Duration = Duration::from_secs(120);

/// Pause between two looks at the log.
const LOOK: Duration = Duration::from_millis(20);

/// Lines of the log that are shown when the host ends by itself.
const SHOWN: usize = 20;

/// The services and their components below `target/`.
const SERVICES: [(&str, &str); 2] =
    [("products", "components/products.wasm"), ("faulty", "fixtures/fixture_faulty.wasm")];

/// The host; killed when dropped.
pub(crate) struct Host {
    child: Child,
    address: SocketAddr,
    log: File,
    /// Removed when dropped, after the host was killed.
    _folder: tempfile::TempDir,
}

impl Host {
    /// Starts one with demo data and these limits of the broken service.
    pub(crate) async fn start(limits: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let configuration = folder.path().join("provesi.toml");
        std::fs::write(&configuration, text(limits)?)?;
        let written = folder.path().join("host.log");
        // Appended to, so that a file which was cut off grows again from its beginning.
        let log = OpenOptions::new().create(true).append(true).open(&written)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_provesi"));
        command.args(["serve", "--demo", "--config"]).arg(configuration);
        command.arg("--data").arg(folder.path().join("data"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        let child = command.spawn().context("the host cannot be started")?;
        // Told by the log, once it serves.
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut host = Self { child, address, log, _folder: folder };
        host.address = host.wait(&written).await?;
        Ok(host)
    }

    /// Opens connections.
    pub(crate) async fn clients(&self, count: u32) -> anyhow::Result<Vec<Client>> {
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(Client::connect(self.address).await?);
        }
        Ok(clients)
    }

    /// Empties its log: each request is a line, and kept they would fill the disk.
    pub(crate) fn forget_log(&self) -> anyhow::Result<()> {
        Ok(self.log.set_len(0)?)
    }

    /// Returns its resident memory, in megabytes.
    pub(crate) fn rss_mb(&self) -> anyhow::Result<f64> {
        self.memory_mb("VmRSS:")
    }

    /// Returns the most resident memory that it has had since its start, in megabytes.
    pub(crate) fn peak_rss_mb(&self) -> anyhow::Result<f64> {
        self.memory_mb("VmHWM:")
    }

    fn memory_mb(&self, key: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let value = status.lines().find_map(|line| line.strip_prefix(key));
        let value = value.with_context(|| format!("no {key} in /proc/…/status"))?;
        let kib: f64 = value.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0 / 1e6)
    }

    /// Waits until it serves, and returns where.
    async fn wait(&mut self, log: &Path) -> anyhow::Result<SocketAddr> {
        let until = Instant::now() + START;
        loop {
            let written = std::fs::read_to_string(log)?;
            if let Some(address) = serving(&written) {
                return Ok(address);
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

/// Writes the configuration.
fn text(limits: &str) -> anyhow::Result<String> {
    let target = root().join("target");
    let mut text = String::from("[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n");
    text += &format!("[runtime]\ncache = \"{}\"\n", target.join("bench/cache").display());
    for (name, component) in SERVICES {
        let component = target.join(component);
        ensure!(component.is_file(), "there is no {}, built by `make bench-isolation`", component.display());
        text +=
            &format!("[services.{name}]\ncomponent = \"{}\"\ngrants = [\"sql\", \"events\"]\n", component.display());
    }
    // Of the last one. Its loops are faults, and a breaker would keep them away.
    text += &format!("limits = {{ {limits} }}\nbreaker = {{ enabled = false }}\n");
    Ok(text)
}

/// Finds in the log where the public listener is.
fn serving(log: &str) -> Option<SocketAddr> {
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.find(|line| line["message"] == "serving")?;
    line["address"].as_str()?.parse().ok()
}
