//! Two servers under the same load, in turns: what slows the machine down for a while slows both.

use std::path::Path;

use anyhow::Context as _;

use super::cases::{Against, Case, HELLO};
use super::server::Server;
use super::stage::Tokens;
use super::wrk::{self, Run};

/// Seconds of load before each comparison that do not count: connections, caches, prepared statements.
const WARM_UP: u32 = 1;

/// Connections at which the twin is compared with itself.
const NOISE_CONNECTIONS: u32 = 32;

/// How turns are taken.
pub(crate) struct Turns<'s> {
    pub(crate) rounds: usize,
    pub(crate) seconds: u32,
    /// Where a script can be written.
    pub(crate) folder: &'s Path,
}

/// What one side did in all of its turns.
#[derive(Default)]
pub(crate) struct Side {
    pub(crate) runs: Vec<Run>,
    /// Of the server alone; a PostgreSQL server is not in it.
    pub(crate) cpu_seconds: f64,
}

/// Both sides, turn by turn.
pub(crate) struct Rivals {
    pub(crate) ours: Side,
    pub(crate) theirs: Side,
}

impl Turns<'_> {
    /// Loads two servers in turns.
    pub(crate) fn compare(
        &self,
        case: &Case,
        tokens: &Tokens,
        connections: u32,
        ours: &Server,
        theirs: &Server,
    ) -> anyhow::Result<Rivals> {
        let script = wrk::script(self.folder, case.method, tokens.of(case.user), case.body)?;
        let their_path = match case.against {
            Against::Twin => case.path,
            Against::Itself(path) => path,
        };
        let (ours, theirs) = ((ours, case.path), (theirs, their_path));
        let load = |(server, path): (&Server, &str), seconds| {
            // The log has done its part once it is written; kept, it would fill the disk.
            server.forget_log()?;
            wrk::run(&script, &format!("{}{path}", server.base()), connections, seconds)
        };
        let mut rivals = Rivals { ours: Side::default(), theirs: Side::default() };
        load(ours, WARM_UP)?;
        load(theirs, WARM_UP)?;
        for _ in 0..self.rounds {
            for (target, side) in [(ours, &mut rivals.ours), (theirs, &mut rivals.theirs)] {
                let before = target.0.cpu_seconds()?;
                side.runs.push(load(target, self.seconds).with_context(|| case.label)?);
                side.cpu_seconds += target.0.cpu_seconds()? - before;
            }
        }
        Ok(rivals)
    }

    /// Loads a server in turns with itself; what differs then is the machine.
    pub(crate) fn noise(&self, server: &Server) -> anyhow::Result<Rivals> {
        let nobody = Tokens::default();
        self.compare(&HELLO, &nobody, NOISE_CONNECTIONS, server, server)
    }
}

impl Rivals {
    /// Returns our part of their rate in each round.
    pub(crate) fn ratios(&self) -> Vec<f64> {
        self.rounds(|ours, theirs| ours.per_second / theirs.per_second)
    }

    /// Returns how many times theirs our 99th percentile is, in each round.
    pub(crate) fn p99_ratios(&self) -> Vec<f64> {
        self.rounds(|ours, theirs| ours.p99_ms / theirs.p99_ms)
    }

    fn rounds(&self, compare: impl Fn(&Run, &Run) -> f64) -> Vec<f64> {
        self.ours.runs.iter().zip(&self.theirs.runs).map(|(ours, theirs)| compare(ours, theirs)).collect()
    }
}

impl Side {
    /// Returns the seconds of processor time that a thousand requests took.
    pub(crate) fn cpu_per_thousand(&self) -> f64 {
        self.cpu_seconds / self.runs.iter().map(|run| run.requests).sum::<f64>() * 1000.0
    }

    /// Returns how many requests failed.
    pub(crate) fn failed(&self) -> f64 {
        self.runs.iter().map(|run| run.failed).sum()
    }
}
