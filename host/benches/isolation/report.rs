//! Collects what was measured and writes it as Markdown.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::measure::{machine, median, publish, range};

/// What the number of a row is.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Milliseconds,
    Ratio,
    PerSecond,
    Count,
    Megabytes,
}

/// One line of the table.
pub(crate) struct Row {
    what: String,
    unit: Unit,
    measured: f64,
    /// The least and the most of what was measured; none where it was measured once.
    spread: Option<(f64, f64)>,
    /// What it may be at most; none where nothing is wanted.
    wanted: Option<f64>,
    note: String,
}

/// The table.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds a line.
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Writes the table, and below it how it was measured, to a file and to the terminal.
    pub(crate) fn write(&self, file: &Path, turns: &str) -> anyhow::Result<()> {
        publish(&self.render(turns), file)
    }

    fn render(&self, turns: &str) -> String {
        let mut text = String::from("| what | wanted | measured | least–most | | how |\n|---|---|---|---|---|---|\n");
        for row in &self.rows {
            text += &format!("{row}\n");
        }
        text += "\nMedians of the windows, their least and most beside them. A ratio is that of two medians; beside it \
            are the ratios of the windows that followed each other.\n\n";
        text += "- host: a process of its own, on SQLite, with two services; the breaker of `faulty` is off, since \
            each of its loops is a fault\n";
        text += "- clients: in the bench's process, on one thread, on the same cores: what they take is part of every \
            time, and of what the machine can do\n";
        text += "- rate: each connection asks at a fixed interval, whether or not answers come; one that is late \
            counts from when it was due\n";
        text += &format!("- windows: {turns}, after a second each to warm up\n");
        text + &machine() + "\n"
    }
}

impl Row {
    /// Makes a line of something that was measured once.
    pub(crate) fn one(what: String, unit: Unit, measured: f64) -> Self {
        Self { what, unit, measured, spread: None, wanted: None, note: String::new() }
    }

    /// Makes a line of the middle of some numbers.
    pub(crate) fn median(what: String, unit: Unit, values: &[f64]) -> Self {
        Self { spread: Some(range(values.iter().copied())), ..Self::one(what, unit, median(values)) }
    }

    /// Makes a line of how many times another some numbers are.
    pub(crate) fn ratio(what: String, over: &[f64], under: &[f64]) -> Self {
        let pairs = over.iter().zip(under).map(|(over, under)| over / under);
        Self { spread: Some(range(pairs)), ..Self::one(what, Unit::Ratio, median(over) / median(under)) }
    }

    /// Says what it may be at most.
    pub(crate) fn wanted(self, most: f64) -> Self {
        Self { wanted: Some(most), ..self }
    }

    /// Says how it was measured, or what belongs to it.
    pub(crate) fn note(self, note: String) -> Self {
        Self { note, ..self }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, unit, measured, note, .. } = self;
        let (wanted, verdict) = match self.wanted {
            Some(most) => (format!("≤ {}", unit.show(most)), if *measured <= most { "ok" } else { "missed" }),
            None => ("–".to_owned(), ""),
        };
        let spread = self.spread.map_or_else(String::new, |(least, most)| {
            let (least, most) = (unit.show(least), unit.show(most));
            format!("{least}–{most}")
        });
        write!(f, "| {what} | {wanted} | {} | {spread} | {verdict} | {note} |", unit.show(*measured))
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Ratio => format!("{value:.2}"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Count => format!("{value:.0}"),
            Self::Megabytes => format!("{value:.0} MB"),
        }
    }
}

/// Returns a time in milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
