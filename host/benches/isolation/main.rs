//! Measures what a service that loops without end, or is flooded, does to its own clients and to its neighbours'.
//!
//! The real binary as a process of its own, with a neighbour and the broken service, on SQLite in a temporary folder;
//! its clients are in this process, on one thread. Whatever is compared is measured in one run and in turns, so that
//! what slows the machine down for a while slows both sides. No number is asserted: a bench reports, and ends with a
//! message where what it measures is not what it says.
//!
//! `BENCH_SECONDS` (5) is the length of a window.
//!
//! Not here: the host (see `host`), a connection (see `client`), requests at a rate (see `load`), the loops (see
//! `loops`), the flood (see `flood`), the table (see `report`).

#[path = "../support/client.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod client;
mod flood;
mod host;
mod load;
mod loops;
#[path = "../support/measure.rs"]
mod measure;
#[path = "../support/process.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod process;
mod report;
#[path = "../support/settings.rs"]
mod settings;

use std::time::Duration;

use self::host::Host;
use self::measure::say;
use self::report::Report;
use self::settings::{number, root};

/// Turns of each comparison: an odd number, so that the median is one that was measured.
const ROUNDS: usize = 5;

/// Path that the neighbour's clients get.
const NEIGHBOUR: &str = "/api/products/1/";

/// What part of what the machine can do the neighbour's clients ask for.
const PART: f64 = 1.0 / 3.0;

/// How many times longer than in calm windows the neighbour's clients may wait.
const SLOWER: f64 = 1.5;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(bench())
}

async fn bench() -> anyhow::Result<()> {
    let seconds = number("BENCH_SECONDS", 5, 1..=100)?;
    let span = Duration::from_secs(seconds.into());
    let mut report = Report::default();

    say("starting a host for the loops");
    let host = Host::start(loops::LIMITS).await?;
    loops::lateness(&host, &mut report).await?;
    loops::neighbours(&host, span, &mut report).await?;
    drop(host);

    say("starting a host for the flood");
    let host = Host::start(flood::LIMITS).await?;
    flood::flood(&host, span, &mut report).await?;
    drop(host);

    report.write(&root().join("target/bench/isolation.md"), &format!("{ROUNDS} rounds of {seconds} s, in turns"))
}
