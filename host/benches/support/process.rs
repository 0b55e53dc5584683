//! A server as a process of its own: started, asked what it costs, and ended.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use reqwest::{Client, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longest start: every component may have to be compiled, one after the other.
pub(crate) const START: Duration = Duration::from_secs(120);

/// Pause between two looks at a process.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// Longest stop: the host's drain time and then some.
const STOP: Duration = Duration::from_secs(40);

/// Lines of the log that are shown when a server ends by itself.
const SHOWN: usize = 20;

/// Ticks of a second in `/proc`: Linux fixes `USER_HZ` at 100 for user space.
const TICKS: f64 = 100.0;

/// A running server; killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: File,
    written: PathBuf,
}

/// Where a server says that it serves.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    /// For operators; none where a server has no such listener.
    pub(crate) admin: Option<SocketAddr>,
}

/// Makes the command of a host with a configuration and a folder for its data.
pub(crate) fn host(configuration: &Path, data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provesi"));
    command.args(["serve", "--config"]).arg(configuration).arg("--data").arg(data);
    command
}

impl Process {
    /// Starts a command, whose output is a log in a folder.
    pub(crate) fn spawn(name: &str, mut command: Command, folder: &Path) -> anyhow::Result<Self> {
        let written = folder.join(format!("{name}.log"));
        File::create(&written)?;
        // Appended to, so that a file which was cut off grows again from its beginning.
        let log = OpenOptions::new().append(true).open(&written)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        let child = command.spawn().with_context(|| format!("the {name} cannot be started"))?;
        Ok(Self { name: name.to_owned(), child, log, written })
    }

    /// Waits until it says in its log where it serves.
    pub(crate) async fn serving(&mut self) -> anyhow::Result<Serving> {
        let written = self.written.clone();
        self.wait(START, LOOK, async || anyhow::Ok(find(&std::fs::read_to_string(&written)?))).await
    }

    /// Waits until a URL is answered with 200, which any other answer ends.
    pub(crate) async fn answers(
        &mut self,
        client: &Client,
        url: &str,
        bound: Duration,
        pause: Duration,
    ) -> anyhow::Result<()> {
        let answers = async || match client.get(url).send().await {
            Ok(answer) if answer.status() == StatusCode::OK => Ok(Some(())),
            Ok(answer) => bail!("{url} is answered with {}", answer.status()),
            // It does not listen yet.
            Err(_) => Ok(None),
        };
        self.wait(bound, pause, answers).await
    }

    /// Looks for something until it is there.
    async fn wait<T>(
        &mut self,
        bound: Duration,
        pause: Duration,
        look: impl AsyncFn() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let until = Instant::now() + bound;
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                let written = std::fs::read_to_string(&self.written)?;
                let lines: Vec<&str> = written.lines().collect();
                bail!("the {} ended: {status}\n{}", self.name, lines[lines.len().saturating_sub(SHOWN)..].join("\n"));
            }
            ensure!(Instant::now() < until, "the {} does not serve within {bound:?}", self.name);
            tokio::time::sleep(pause).await;
        }
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

    /// Returns a kind of its memory in KiB, by its name in `/proc`: `VmRSS:`, `VmHWM:` or `RssAnon:`.
    pub(crate) fn memory_kib(&self, kind: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(kind));
        let number = line.map(|line| line.trim().trim_end_matches(" kB"));
        let number = number.and_then(|number| number.parse::<f64>().ok());
        number.with_context(|| format!("no {kind} in /proc/…/status"))
    }

    /// Empties its log: each request is a line, and kept they would fill the disk.
    pub(crate) fn forget_log(&self) -> anyhow::Result<()> {
        Ok(self.log.set_len(0)?)
    }

    /// Lets it end by itself.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let until = Instant::now() + STOP;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < until, "the {} does not stop within {STOP:?}", self.name);
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Finds in a log where its server is.
fn find(log: &str) -> Option<Serving> {
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.find(|line| line["message"] == "serving")?;
    let address = |key: &str| line[key].as_str().and_then(|text| text.parse().ok());
    Some(Serving { address: address("address")?, admin: address("admin") })
}
