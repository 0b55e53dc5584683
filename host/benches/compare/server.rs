//! A server as a process of its own: started, asked what it costs, and ended.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longest start: every component may have to be compiled.
const START: Duration = Duration::from_secs(120);

/// Longest stop: the host's drain time and then some.
const STOP: Duration = Duration::from_secs(40);

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Pause between two looks at a process.
const LOOK: Duration = Duration::from_millis(20);

/// Lines of the log that are shown when a server ends by itself.
const SHOWN: usize = 5;

/// Ticks of a second in `/proc`: Linux fixes `USER_HZ` at 100 for user space.
const TICKS: f64 = 100.0;

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    base: String,
    log: File,
}

impl Server {
    /// Starts one that says in its log where it serves.
    pub(crate) async fn start(name: &str, command: Command, folder: &Path) -> anyhow::Result<Self> {
        let mut server = Self::spawn(name, command, folder)?;
        let until = Instant::now() + START;
        loop {
            let written = std::fs::read_to_string(folder.join(format!("{name}.log")))?;
            if let Some(address) = serving(&written) {
                server.base = format!("http://{address}");
                return Ok(server);
            }
            server.is_still_starting(name, &written, until)?;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Starts one at an address, which answers any path once it serves.
    pub(crate) async fn start_at(
        name: &str,
        address: &str,
        command: Command,
        folder: &Path,
        client: &Client,
    ) -> anyhow::Result<Self> {
        let mut server = Self::spawn(name, command, folder)?;
        server.base = format!("http://{address}");
        let until = Instant::now() + START;
        loop {
            if client.get(&server.base).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(server);
            }
            let written = std::fs::read_to_string(folder.join(format!("{name}.log")))?;
            server.is_still_starting(name, &written, until)?;
            tokio::time::sleep(LOOK).await;
        }
    }

    fn spawn(name: &str, mut command: Command, folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(format!("{name}.log"));
        File::create(&path)?;
        // Appended to, so that a file which was cut off grows again from its beginning.
        let log = OpenOptions::new().append(true).open(&path)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        let child = command.spawn().with_context(|| format!("the {name} cannot be started"))?;
        Ok(Self { child, base: String::new(), log })
    }

    fn is_still_starting(&mut self, name: &str, written: &str, until: Instant) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let lines: Vec<&str> = written.lines().collect();
            bail!("the {name} ended: {status}\n{}", lines[lines.len().saturating_sub(SHOWN)..].join("\n"));
        }
        ensure!(Instant::now() < until, "the {name} does not serve within {START:?}");
        Ok(())
    }

    /// Returns the address, `http://host:port`.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Returns the processor time that it has taken since its start.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name stands in parentheses and may hold anything; user and system time are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit_once(')').context("a name in parentheses")?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("two times in /proc/…/stat")?;
        Ok((user + system) / TICKS)
    }

    /// Returns its resident memory, in megabytes.
    pub(crate) fn rss_mb(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS in /proc/…/status")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0 / 1e6)
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
            ensure!(Instant::now() < until, "a server does not stop within {STOP:?}");
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a client for what is not timed.
pub(crate) fn client() -> anyhow::Result<Client> {
    Ok(Client::builder().no_proxy().timeout(ANSWER).build()?)
}

/// Finds in a log where its server is.
fn serving(log: &str) -> Option<String> {
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.find(|line| line["message"] == "serving")?;
    Some(line["address"].as_str()?.to_owned())
}
