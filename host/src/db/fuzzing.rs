//! What of this room takes a guest's bytes or makes what a guest reads, for the room `fuzzing`.

use super::{Cell, PackedRows, SqlError, statement};

/// Packs rows of one width as the databases do.
///
/// # Errors
/// When they are larger than the limit.
pub(crate) fn pack(rows: &[Vec<Cell<'_>>], width: usize, limit: usize) -> Result<PackedRows, SqlError> {
    let mut packed = PackedRows::default();
    for row in rows {
        for cell in row {
            match *cell {
                Cell::Null => packed.null(),
                Cell::Boolean(value) => packed.boolean(value),
                Cell::Integer(value) => packed.integer(value),
                Cell::Real(value) => packed.real(value),
                Cell::Text(value) => packed.text(value),
                Cell::Blob(value) => packed.blob(value),
                Cell::Timestamp(micros) => packed.timestamp(micros),
            }
        }
        packed.end_row(width, limit)?;
    }
    Ok(packed)
}

/// Says whether a guest may run a statement, and whether a migration may.
pub(crate) fn admits(text: &str) -> (bool, bool) {
    (statement::classify(text).is_ok(), statement::check_migration(text).is_ok())
}
