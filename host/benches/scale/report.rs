//! Collects what was measured and writes it as Markdown.

use std::fmt::Write as _;
use std::path::Path;

use super::host::Memory;
use super::load::Turns;
use super::measure::{machine, median, publish, range};
use super::wrk::Run;

/// What is wanted of a host with the fewest services, and of each further one.
const WARM_MS: f64 = 150.0;
const RSS_MB: f64 = 60.0;
const SERVICE_KIB: f64 = 300.0;
const P50_RATIO: f64 = 1.05;

/// What one number of services cost.
pub(crate) struct Stage {
    pub(crate) services: u32,
    /// What the services are that nobody asks.
    pub(crate) others: String,
    pub(crate) cold_ms: f64,
    pub(crate) warm_ms: Vec<f64>,
    pub(crate) memory: Memory,
    pub(crate) load: Vec<Turns>,
    pub(crate) swaps: Swaps,
}

/// How long changes of one service took, in milliseconds.
#[derive(Default)]
pub(crate) struct Swaps {
    pub(crate) deploys: Vec<f64>,
    /// Of the deploys.
    pub(crate) compile: Vec<f64>,
    /// Of the deploys: the next snapshot, built whole and checked.
    pub(crate) contract: Vec<f64>,
    pub(crate) activations: Vec<f64>,
}

/// The tables, and what is to be said about them.
#[derive(Default)]
pub(crate) struct Report {
    stages: Vec<Stage>,
    connections: Vec<(u32, Run)>,
    sizes: Vec<(u32, Run)>,
    notes: Vec<String>,
}

impl Report {
    /// Adds a number of services; the smallest comes first.
    pub(crate) fn stage(&mut self, stage: Stage) {
        self.stages.push(stage);
    }

    /// Adds what a number of connections did.
    pub(crate) fn connections(&mut self, connections: u32, run: Run) {
        self.connections.push((connections, run));
    }

    /// Adds what answers of a number of bytes did.
    pub(crate) fn size(&mut self, bytes: u32, run: Run) {
        self.sizes.push((bytes, run));
    }

    /// Says how it was measured, or what could not be.
    pub(crate) fn note(&mut self, note: &str) {
        self.notes.push(format!("- {note}"));
    }

    /// Writes all of it to a file and to the terminal.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        publish(&self.render(), file)
    }

    fn render(&self) -> String {
        let mut text = self.services();
        if self.stages.iter().any(|stage| !stage.load.is_empty()) {
            text += &self.p50();
        }
        if !self.connections.is_empty() {
            text += &self.sweeps();
        }
        let _ = writeln!(text, "{}\n{}", self.notes.join("\n"), machine());
        text
    }

    fn services(&self) -> String {
        let mut text = "| services | others | start cold ms | start warm ms | RSS MB | of it anonymous \
            | KiB per further service | deploy ms | of it compile | of it contract | activation ms |\n"
            .to_owned();
        text += "|---|---|---|---|---|---|---|---|---|---|---|\n";
        let mut before: Option<&Stage> = None;
        for stage in &self.stages {
            let Stage { services, others, cold_ms, warm_ms, memory, swaps, .. } = stage;
            let _ = write!(text, "| {services} | {others} | {cold_ms:.0} ");
            let warm = median(warm_ms);
            let wanted = before.is_none().then(|| verdict(warm, WARM_MS));
            let _ = write!(text, "| {warm:.0} {}", wanted.unwrap_or_default());
            let wanted = before.is_none().then(|| verdict(mb(memory.rss), RSS_MB));
            let _ = write!(text, "| {:.1} {}", mb(memory.rss), wanted.unwrap_or_default());
            let _ = write!(text, "| {:.1} ", mb(memory.anonymous));
            match before {
                Some(before) => {
                    let further = f64::from(stage.services - before.services);
                    let each = (memory.rss - before.memory.rss) / further;
                    let _ = write!(text, "| {each:.0} {}", verdict(each, SERVICE_KIB));
                }
                None => text += "| – ",
            }
            for times in [&swaps.deploys, &swaps.compile, &swaps.contract, &swaps.activations] {
                let _ = write!(text, "| {:.1} ", median(times));
            }
            text += "|\n";
            before = Some(stage);
        }
        text + "\nOthers: services that nobody asks. KiB: by which the RSS exceeds that of the line above. Start: from \
            the process to the first 200. Contract: the next snapshot, built whole and checked.\n\n"
    }

    fn p50(&self) -> String {
        let mut text = "| services | connections | p50 ms | to that with the fewest (min–max) | failed |\n".to_owned();
        text += "|---|---|---|---|---|\n";
        for stage in &self.stages {
            for turns in &stage.load {
                let _ = write!(text, "| {} | {} | {:.3} ", stage.services, turns.connections, median(&turns.p50_ms()));
                let ratios = turns.ratios();
                if ratios.is_empty() {
                    text += "| – ";
                } else {
                    let (middle, (min, max)) = (median(&ratios), range(ratios.iter().copied()));
                    let _ = write!(text, "| {middle:.2} ({min:.2}–{max:.2}) {}", verdict(middle, P50_RATIO));
                }
                let runs = || turns.ours.iter().chain(&turns.smaller);
                let failed: f64 = runs().map(|run| run.failed).sum();
                let requests: f64 = runs().map(|run| run.requests).sum();
                let _ = writeln!(text, "| {failed:.0} of {requests:.0} |");
            }
        }
        text + "\n"
    }

    fn sweeps(&self) -> String {
        let mut text = "| connections | requests/s | p50 ms | p99 ms | failed |\n|---|---|---|---|---|\n".to_owned();
        for (connections, run) in &self.connections {
            let Run { per_second, p50_ms, p99_ms, failed, .. } = run;
            let _ = writeln!(text, "| {connections} | {per_second:.0} | {p50_ms:.3} | {p99_ms:.3} | {failed:.0} |");
        }
        text += "\n| bytes of an answer | requests/s | MB/s | p50 ms | p99 ms | failed |\n|---|---|---|---|---|---|\n";
        for (bytes, run) in &self.sizes {
            let Run { per_second, p50_ms, p99_ms, failed, .. } = run;
            let megabytes = per_second * f64::from(*bytes) / 1e6;
            let _ = writeln!(
                text,
                "| {bytes} | {per_second:.0} | {megabytes:.1} | {p50_ms:.3} | {p99_ms:.3} | {failed:.0} |"
            );
        }
        text + "\n"
    }
}

/// Says whether a number is as small as is wanted.
fn verdict(value: f64, wanted: f64) -> String {
    format!("(≤ {wanted}: {}) ", if value <= wanted { "ok" } else { "missed" })
}

fn mb(kib: f64) -> f64 {
    kib * 1024.0 / 1e6
}
