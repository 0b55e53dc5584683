//! A server that is asked: the host, the twin or a peer, each as a process of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Client;

use super::process::{LOOK, Process, START};

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(30);

/// A running server; killed when dropped.
pub(crate) struct Server {
    process: Process,
    base: String,
}

impl Server {
    /// Starts one that says in its log where it serves.
    pub(crate) async fn start(name: &str, command: Command, folder: &Path) -> anyhow::Result<Self> {
        let mut process = Process::spawn(name, command, folder)?;
        let base = format!("http://{}", process.serving().await?.address);
        Ok(Self { process, base })
    }

    /// Starts one at an address, which answers any path once it serves.
    pub(crate) async fn start_at(
        name: &str,
        address: &str,
        command: Command,
        folder: &Path,
        client: &Client,
    ) -> anyhow::Result<Self> {
        let mut process = Process::spawn(name, command, folder)?;
        let base = format!("http://{address}");
        process.answers(client, &base, START, LOOK).await?;
        Ok(Self { process, base })
    }

    /// Returns the address, `http://host:port`.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Returns the processor time that it has taken since its start.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        self.process.cpu_seconds()
    }

    /// Returns its resident memory, in megabytes.
    pub(crate) fn rss_mb(&self) -> anyhow::Result<f64> {
        Ok(self.process.memory_kib("VmRSS:")? * 1024.0 / 1e6)
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

/// Makes a client for what is not timed.
pub(crate) fn client() -> anyhow::Result<Client> {
    Ok(Client::builder().no_proxy().timeout(ANSWER).build()?)
}
