//! The first rows of an empty database, for the export `bootstrap`.

use crate::sql::{self, Connection, Transaction};
use crate::{Error, Result, report_panics};

/// Fills a service's database in a transaction unless a table has rows already; returns the lines for the operator.
///
/// # Errors
/// What the closure or the database says.
pub fn fill_empty(
    table: &str,
    mut fill: impl FnMut(&Transaction) -> Result<Vec<String>>,
) -> std::result::Result<Vec<String>, String> {
    report_panics();
    let statement = format!("SELECT id FROM {table} LIMIT 1");
    let mut run = || {
        sql::transaction(|tx| {
            if tx.first::<(i64,)>(&statement, &[])?.is_some() {
                return Ok(Vec::new());
            }
            fill(tx)
        })
    };
    let filled = match run() {
        // Another host filled it at the same moment: its rows are there now.
        Err(Error::Sql(sql::Error::Constraint(_))) => run(),
        filled => filled,
    };
    filled.map_err(|error| format!("{error:?}"))
}
