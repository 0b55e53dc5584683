//! Collects what was measured and writes it as Markdown.

use std::fmt::{self, Write as _};
use std::path::Path;

use super::host::Database;
use super::measure::{machine, publish};

/// What a host runs on.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) database: Database,
    pub(crate) broker: &'static str,
}

/// The table, and what is to be said about it.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<String>,
    notes: Vec<String>,
}

impl Report {
    /// Adds a line.
    pub(crate) fn add(&mut self, what: &str, way: Way, measured: String, how: String) {
        let Way { database, broker } = way;
        self.rows.push(format!("| {what} | {database} | {broker} | {measured} | {how} |"));
    }

    /// Says how it was measured, or what could not be.
    pub(crate) fn note(&mut self, note: &str) {
        self.notes.push(format!("- {note}"));
    }

    /// Writes all of it to a file and to the terminal.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let mut text = "| what | database | broker | measured | how |\n|---|---|---|---|---|\n".to_owned();
        for row in &self.rows {
            writeln!(text, "{row}")?;
        }
        writeln!(text, "\n{}\n{}", self.notes.join("\n"), machine())?;
        publish(&text, file)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.database, self.broker)
    }
}
