//! Measures what many services cost: those that nobody asks, and the one that is asked beside them.
//!
//! The real binary as a process of its own, on SQLite in a temporary folder, with the fixture `hello` and 3, 99 and 999
//! further services; `wrk` and the operator's requests come from this machine, too. What is missing is named, and the
//! rest is measured. What comes out is Markdown. No number is asserted: a bench reports.
//!
//! `BENCH_COPIES` (100) is how many further services are copies of `hello`; each is a real compilation, the rest only
//! have routes. `BENCH_ROUNDS` (3), `BENCH_SECONDS` (5) and `BENCH_OUT` (`target/bench/scale.md`) change how.
//!
//! Not here: components (see `copies`), the process (see `host`), load (see `load`), the tables (see `report`).

mod copies;
mod host;
mod load;
#[path = "../support/measure.rs"]
mod measure;
#[path = "../support/operator.rs"]
mod operator;
#[path = "../support/process.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod process;
mod report;
#[path = "../support/settings.rs"]
mod settings;
#[path = "../micro/tiny.rs"]
mod tiny;
#[path = "../compare/wrk.rs"]
mod wrk;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::json;

use self::copies::Copies;
use self::host::{Host, Place};
use self::load::Load;
use self::measure::say;
use self::operator::ask;
use self::report::{Report, Stage, Swaps};
use self::settings::{number, root, variable};

/// Services of a host, the fewest first.
const SERVICES: [u32; 3] = [4, 100, 1000];

/// Starts with compiled code.
const STARTS: usize = 5;

/// Deploys of the service that is asked: each takes a compilation.
const DEPLOYS: u32 = 5;

/// Moves of its pointer between revisions in memory.
const MOVES: usize = 20;

/// What is asked for.
const PATH: &str = "/api/hello/";

/// Connections at which hosts with few and many services are compared.
const FEW_AND_MANY: [u32; 2] = [1, 32];

/// Connections that requests come over.
const CONNECTIONS: [u32; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// Bytes of an answer.
const SIZES: [u32; 6] = [100, 1 << 10, 10 << 10, 100 << 10, 512 << 10, 1 << 20];

/// Connections over which answers of different sizes are asked for.
const SIZE_CONNECTIONS: u32 = 32;

/// Bytes that an answer has around its message: `{"message":""}`.
const AROUND: u32 = 14;

/// How it is measured.
struct Settings {
    rounds: usize,
    seconds: u32,
    copies: u32,
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(bench())
}

async fn bench() -> anyhow::Result<()> {
    let settings = Settings::read()?;
    let folder = tempfile::tempdir()?;
    let copies = Copies::new(folder.path(), settings.copies)?;
    let mut report = Report::default();
    let load = match wrk::version() {
        Some(version) => {
            let Settings { rounds, seconds, .. } = settings;
            report.note(&format!("load: {version}, {rounds} rounds of {seconds} s, in turns, on the same cores"));
            Some(Load::new(folder.path(), rounds, seconds)?)
        }
        None => {
            report.note("wrk is not installed: starts, memory and swaps were measured, and no load");
            None
        }
    };
    let mut smallest: Option<Host> = None;
    for services in SERVICES {
        let (host, stage) = stage(folder.path(), &copies, services, smallest.as_ref(), load.as_ref()).await?;
        report.stage(stage);
        if smallest.is_some() {
            host.stop().await?;
        } else {
            smallest = Some(host);
        }
    }
    if let (Some(load), Some(host)) = (load, smallest) {
        sweep(&load, &host, &mut report)?;
    }
    report.write(&settings.out)
}

/// Measures a number of services, and leaves their host running.
async fn stage(
    folder: &Path,
    copies: &Copies,
    services: u32,
    smallest: Option<&Host>,
    load: Option<&Load>,
) -> anyhow::Result<(Host, Stage)> {
    let others = copies.describe(services);
    say(&format!("{services} services ({others}): starting cold"));
    let place = Place::new(folder, &services.to_string(), tables(copies, services)?)?;
    let (host, cold_ms) = place.start(PATH).await?;
    host.stop().await?;
    say(&format!("{services} services: starting warm"));
    let mut warm_ms = Vec::new();
    for _ in 1..STARTS {
        let (host, took_ms) = place.start(PATH).await?;
        warm_ms.push(took_ms);
        host.stop().await?;
    }
    let (host, took_ms) = place.start(PATH).await?;
    warm_ms.push(took_ms);
    let memory = host.settled_memory().await?;
    let mut turns = Vec::new();
    if let Some(load) = load {
        for connections in FEW_AND_MANY {
            say(&format!("{services} services: {connections} connections"));
            turns.push(load.turns(&host, smallest, PATH, connections)?);
        }
    }
    say(&format!("{services} services: swaps"));
    let swaps = swaps(&host, copies).await?;
    Ok((host, Stage { services, others, cold_ms, warm_ms, memory, load: turns, swaps }))
}

/// Writes the tables of a number of services.
fn tables(copies: &Copies, services: u32) -> anyhow::Result<String> {
    let mut text = format!("[services.hello]\ncomponent = \"{}\"\n", copies::fixture().display());
    for number in 1..services {
        let file = copies.file(number)?;
        writeln!(text, "[services.other-{number}]\ncomponent = \"{}\"", file.display())?;
    }
    Ok(text)
}

/// Deploys the service that is asked, and moves it between what was deployed last.
async fn swaps(host: &Host, copies: &Copies) -> anyhow::Result<Swaps> {
    let mut swaps = Swaps::default();
    let mut numbers = Vec::new();
    for number in 0..DEPLOYS {
        let request = host.operate(Method::POST, "/v1/services/hello/revisions");
        let request = request.header("content-type", "application/wasm").body(copies.changed(number));
        let answer = ask(request).await?;
        let is_live = answer.status == 201 && answer.body["state"] == "active";
        ensure!(is_live, "a changed component was not deployed: {} {}", answer.status, answer.body);
        let step = |name: &str| answer.body["timings_ms"][name].as_f64().unwrap_or(f64::NAN);
        swaps.deploys.push(answer.took_ms);
        swaps.compile.push(step("compile"));
        swaps.contract.push(step("contract"));
        numbers.push(answer.body["revision"].as_u64().context("a number of a revision")?);
    }
    let [.., older, newest] = numbers[..] else { unreachable!("more than two were deployed") };
    for to in [older, newest].into_iter().cycle().take(MOVES) {
        let weights = json!({ "weights": { (to.to_string()): 100 } });
        let answer = ask(host.operate(Method::PUT, "/v1/services/hello/traffic").json(&weights)).await?;
        let is_moved = answer.status == 200 && answer.body["traffic"][0]["revision"] == to;
        ensure!(is_moved, "no move to {to}: {} {}", answer.status, answer.body);
        swaps.activations.push(answer.took_ms);
    }
    Ok(swaps)
}

/// Asks one host over more and more connections, and for larger and larger answers.
fn sweep(load: &Load, host: &Host, report: &mut Report) -> anyhow::Result<()> {
    for connections in CONNECTIONS {
        say(&format!("{connections} connections"));
        report.connections(connections, load.one(host, PATH, connections)?);
    }
    for bytes in SIZES {
        say(&format!("answers of {bytes} bytes"));
        let path = format!("{PATH}{}/", bytes - AROUND);
        report.size(bytes, load.one(host, &path, SIZE_CONNECTIONS)?);
    }
    report.note(&format!("connections and sizes: with the fewest services; sizes over {SIZE_CONNECTIONS} connections"));
    Ok(())
}

impl Settings {
    fn read() -> anyhow::Result<Self> {
        Ok(Self {
            rounds: usize::try_from(number("BENCH_ROUNDS", 3, 1..=1000)?)?,
            seconds: number("BENCH_SECONDS", 5, 1..=1000)?,
            copies: number("BENCH_COPIES", 100, 0..=1000)?,
            out: variable("BENCH_OUT").map_or_else(|| root().join("target/bench/scale.md"), PathBuf::from),
        })
    }
}
