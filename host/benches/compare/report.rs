//! Collects what was measured and writes it as Markdown.

use std::fmt::Write as _;
use std::path::Path;

use super::cases::{Case, Instances};
use super::measure::{machine, median, publish, range};
use super::stage::{Database, locked};
use super::turns::{Rivals, Side};

/// Spread of a server's ratio to itself from which a machine is too noisy for small differences.
const NOISY: f64 = 0.10;

/// The tables, and what is to be said about them.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<String>,
    memory: Vec<String>,
    versions: Vec<String>,
    notes: Vec<String>,
}

impl Report {
    /// Says what could not be measured, or how far the numbers can be trusted.
    pub(crate) fn note(&mut self, note: &str) {
        self.notes.push(format!("- {note}"));
    }

    /// Names something that took part, with its version.
    pub(crate) fn version(&mut self, version: &str) {
        self.versions.push(format!("- {version}"));
    }

    /// Says how much a server differs from itself.
    pub(crate) fn noise(&mut self, rivals: &Rivals) {
        let ratios = rivals.ratios();
        let (min, max) = range(ratios.iter().copied());
        let verdict = if max - min > NOISY { "noisy machine: small differences mean nothing" } else { "steady" };
        self.note(&format!("the twin against itself: {:.2} ({min:.2}–{max:.2}), {verdict}", median(&ratios)));
    }

    /// Adds a comparison.
    pub(crate) fn add(
        &mut self,
        database: Database,
        instances: Instances,
        case: &Case,
        connections: u32,
        rivals: &Rivals,
    ) {
        let mut row = if case.uses_database { format!("| {database} ") } else { "| none ".to_owned() };
        let _ = write!(row, "| {instances} | {} | {connections} ", case.label);
        for side in [&rivals.ours, &rivals.theirs] {
            row += &numbers(side);
        }
        let ratios = rivals.ratios();
        let (min, max) = range(ratios.iter().copied());
        let _ = write!(row, "| {:.2} ({min:.2}–{max:.2}) ", median(&ratios));
        let _ = write!(row, "| {} ", verdict(median(&ratios), wanted(case, database, instances)));
        let _ = write!(row, "| {:.2} ", median(&rivals.p99_ratios()));
        let _ = write!(row, "| {:.3} | {:.3} ", rivals.ours.cpu_per_thousand(), rivals.theirs.cpu_per_thousand());
        let _ = write!(row, "| {:.0} / {:.0} |", rivals.ours.failed(), rivals.theirs.failed());
        self.rows.push(row);
    }

    /// Adds the memory of both after all of their requests.
    pub(crate) fn memory(&mut self, database: Database, instances: Instances, ours_mb: f64, twins_mb: f64) {
        self.memory.push(format!("| {database} | {instances} | {ours_mb:.0} | {twins_mb:.0} |"));
    }

    /// Writes all of it to a file and to the terminal.
    pub(crate) fn write(&self, file: &Path, how: &str) -> anyhow::Result<()> {
        publish(&self.render(how), file)
    }

    fn render(&self, how: &str) -> String {
        let mut text = String::new();
        if !self.rows.is_empty() {
            text += "| database | instances | request | connections | requests/s | p50 ms | p99 ms \
                | other: requests/s | p50 ms | p99 ms | ratio (min–max) | wanted | p99 ratio \
                | CPU s per 1 000 | other | failed |\n";
            text += "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
            text += &lines(&self.rows);
            text += "\nMedians of the rounds. Other: the native twin unless the request names something else. Ratio: \
                requests/s here to there, round by round. CPU: of the server's process alone.\n\n";
        }
        text += "| database | instances | RSS MB | twin: RSS MB |\n|---|---|---|---|\n";
        text += &lines(&self.memory);
        text += "\n";
        text += &lines(&self.notes);
        let _ = writeln!(text, "{how}");
        text += &lines(&self.versions);
        let _ = writeln!(text, "- wasmtime {}, as a library", locked("wasmtime"));
        text + &machine() + "\n"
    }
}

fn lines(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |text, line| text + line + "\n")
}

/// Renders the rate and the times of one side.
fn numbers(side: &Side) -> String {
    let rates: Vec<f64> = side.runs.iter().map(|run| run.per_second).collect();
    let p50: Vec<f64> = side.runs.iter().map(|run| run.p50_ms).collect();
    let p99: Vec<f64> = side.runs.iter().map(|run| run.p99_ms).collect();
    format!("| {:.0} | {:.2} | {:.2} ", median(&rates), median(&p50), median(&p99))
}

fn wanted(case: &Case, database: Database, instances: Instances) -> f64 {
    let [sqlite, postgres] = match instances {
        Instances::Fresh => case.wanted.fresh,
        Instances::Reused => case.wanted.reused,
    };
    match database {
        Database::Sqlite => sqlite,
        Database::Postgres => postgres,
    }
}

fn verdict(ratio: f64, wanted: f64) -> String {
    if wanted.is_nan() {
        return "–".to_owned();
    }
    format!("≥ {wanted:.2} {}", if ratio >= wanted { "ok" } else { "missed" })
}
