//! Load on one service, alone or in turns with the same service of a smaller host.

use std::path::{Path, PathBuf};

use super::host::Host;
use super::wrk::{self, Run};

/// Seconds of load that do not count: connections and caches.
const WARM_UP: u32 = 1;

/// How hosts are asked.
pub(crate) struct Load {
    script: PathBuf,
    rounds: usize,
    seconds: u32,
}

/// What two hosts did, turn by turn.
pub(crate) struct Turns {
    pub(crate) connections: u32,
    pub(crate) ours: Vec<Run>,
    /// Of the smaller host; empty where there is none.
    pub(crate) smaller: Vec<Run>,
}

impl Load {
    /// Prepares what `wrk` is told in a folder.
    pub(crate) fn new(folder: &Path, rounds: usize, seconds: u32) -> anyhow::Result<Self> {
        Ok(Self { script: wrk::script(folder, "GET", None, "")?, rounds, seconds })
    }

    /// Asks one host for a while, after a short while that does not count.
    pub(crate) fn one(&self, host: &Host, path: &str, connections: u32) -> anyhow::Result<Run> {
        self.ask(host, path, connections, WARM_UP)?;
        self.ask(host, path, connections, self.seconds)
    }

    /// Asks two hosts in turns: what slows the machine down for a while slows both.
    pub(crate) fn turns(
        &self,
        host: &Host,
        smaller: Option<&Host>,
        path: &str,
        connections: u32,
    ) -> anyhow::Result<Turns> {
        for host in [Some(host), smaller].into_iter().flatten() {
            self.ask(host, path, connections, WARM_UP)?;
        }
        let mut turns = Turns { connections, ours: Vec::new(), smaller: Vec::new() };
        for _ in 0..self.rounds {
            turns.ours.push(self.ask(host, path, connections, self.seconds)?);
            if let Some(smaller) = smaller {
                turns.smaller.push(self.ask(smaller, path, connections, self.seconds)?);
            }
        }
        Ok(turns)
    }

    fn ask(&self, host: &Host, path: &str, connections: u32, seconds: u32) -> anyhow::Result<Run> {
        // The log has done its part once it is written; kept, it would fill the disk.
        host.forget_log()?;
        wrk::run(&self.script, &format!("{}{path}", host.base()), connections, seconds)
    }
}

impl Turns {
    /// Returns the 50th percentiles of the larger host.
    pub(crate) fn p50_ms(&self) -> Vec<f64> {
        self.ours.iter().map(|run| run.p50_ms).collect()
    }

    /// Returns them as parts of the smaller host's, round by round; empty where there is none.
    pub(crate) fn ratios(&self) -> Vec<f64> {
        self.ours.iter().zip(&self.smaller).map(|(ours, smaller)| ours.p50_ms / smaller.p50_ms).collect()
    }
}
