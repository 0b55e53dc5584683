//! Collects what was measured and prints it as Markdown.

use std::fmt;
use std::time::Duration;

use crate::measure::{machine, median, range};

/// What the numbers of a row are.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Milliseconds,
    Ratio,
    Requests,
}

/// One line of the table.
pub(crate) struct Row {
    pub(crate) what: String,
    /// What the median may be at most; none where nothing is wanted.
    pub(crate) wanted: Option<f64>,
    pub(crate) unit: Unit,
    /// One number a round.
    pub(crate) values: Vec<f64>,
    pub(crate) note: String,
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

    /// Prints the table, and below it the machine.
    #[expect(clippy::print_stdout, reason = "the bench's one output")]
    pub(crate) fn print(&self) {
        println!("| what | wanted | median | min | max | rounds | | of which (medians, ms), or how |");
        println!("|---|---|---|---|---|---|---|---|");
        for row in &self.rows {
            println!("{row}");
        }
        println!("\n`ok`: the median is within what is wanted. The host is a process of its own, on SQLite; its");
        println!("clients run on the same cores. Cold: compiled anew, without wasmtime's cache.\n");
        println!("{}", machine());
    }
}

impl Row {
    /// Makes a line of times.
    pub(crate) fn ms(what: String, wanted: f64, values: Vec<f64>) -> Self {
        Self { what, wanted: Some(wanted), unit: Unit::Milliseconds, values, note: String::new() }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, unit, values, note, .. } = self;
        let middle = median(values);
        let (wanted, verdict) = match self.wanted {
            Some(wanted) => (format!("≤ {}", unit.show(wanted)), if middle <= wanted { "ok" } else { "missed" }),
            None => ("–".to_owned(), ""),
        };
        let (min, max) = range(values.iter().copied());
        let (middle, min, max) = (unit.show(middle), unit.show(min), unit.show(max));
        let rounds = values.len();
        write!(f, "| {what} | {wanted} | {middle} | {min} | {max} | {rounds} | {verdict} | {note} |")
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::Ratio => format!("{value:.2}"),
            Self::Requests => format!("{value:.0}"),
        }
    }
}

/// Returns a time in milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
