//! The host that gets into trouble, and what runs beside it.

use super::trouble::Trouble;
use crate::support::{Backend, Process, Rabbit, Redis, Setup, fixture, service};

/// What lets a peer that traps at every tenth call count: its instances serve more calls than that.
const REUSE: &str = "[services.inventory.limits]\nreuse = 1000\n";

/// A host; it goes before what it uses.
pub(super) struct Stage {
    pub(super) process: Process,
    pub(super) neighbours: Option<Neighbours>,
}

/// Servers that a host can do without for a while.
pub(super) struct Neighbours {
    pub(super) rabbit: Rabbit,
    pub(super) redis: Redis,
}

impl Stage {
    /// Starts one with the four services and one that counts what it is told; none where something of it is not
    /// installed.
    pub(super) async fn start(trouble: Trouble, backend: Backend) -> Option<Self> {
        let mut more = service("tally", &fixture("tally"), "\"sql\"");
        let mut neighbours = None;
        if trouble == Trouble::All {
            let (rabbit, redis) = (Rabbit::start().await?, Redis::start().await?);
            more += &service("cached", &fixture("cached"), "\"sql\", \"cache\"");
            more += REUSE;
            more += &format!("[events]\nurl = \"{}\"\n[cache]\nurl = \"{}\"\n", rabbit.url(), redis.url());
            neighbours = Some(Neighbours { rabbit, redis });
        }
        let setup = Setup { more: &more, ..Setup::default() };
        let process = match trouble {
            Trouble::Swaps | Trouble::All => Process::start_as_with_own_cache(backend, &setup).await?,
            Trouble::Kills | Trouble::Restarts => Process::start_as(backend, &setup).await?,
        };
        Some(Self { process, neighbours })
    }
}
