//! Runs the real binary as a process of its own, with a neighbour and the broken service.

use std::net::SocketAddr;

use anyhow::ensure;

use super::client::Client;
use super::process::{self, Process};
use super::root;

/// The services and their components below `target/`.
const SERVICES: [(&str, &str); 2] =
    [("products", "components/products.wasm"), ("faulty", "fixtures/fixture_faulty.wasm")];

/// The host; killed when dropped.
pub(crate) struct Host {
    process: Process,
    address: SocketAddr,
    /// Removed when dropped, after the host was killed.
    _folder: tempfile::TempDir,
}

impl Host {
    /// Starts one with demo data and these limits of the broken service.
    pub(crate) async fn start(limits: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let configuration = folder.path().join("provesi.toml");
        std::fs::write(&configuration, text(limits)?)?;
        let mut command = process::host(&configuration, &folder.path().join("data"));
        command.arg("--demo");
        let mut process = Process::spawn("host", command, folder.path())?;
        let address = process.serving().await?.address;
        Ok(Self { process, address, _folder: folder })
    }

    /// Opens connections.
    pub(crate) async fn clients(&self, count: u32) -> anyhow::Result<Vec<Client>> {
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(Client::connect(self.address).await?);
        }
        Ok(clients)
    }

    /// Empties its log.
    pub(crate) fn forget_log(&self) -> anyhow::Result<()> {
        self.process.forget_log()
    }

    /// Returns its resident memory, in megabytes.
    pub(crate) fn rss_mb(&self) -> anyhow::Result<f64> {
        Ok(self.process.memory_kib("VmRSS:")? * 1024.0 / 1e6)
    }

    /// Returns the most resident memory that it has had since its start, in megabytes.
    pub(crate) fn peak_rss_mb(&self) -> anyhow::Result<f64> {
        Ok(self.process.memory_kib("VmHWM:")? * 1024.0 / 1e6)
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
