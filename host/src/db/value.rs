//! What crosses between a guest and a database: parameters, packed rows, and reasons for failure.
//!
//! The packing is the contract of `wit/platform/sql.wit`, interface `sql`, record `rows`.

use sqlx::error::{DatabaseError, ErrorKind};

/// A parameter of a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL NULL of any type.
    Null,
    /// A truth value.
    Boolean(bool),
    /// An integer, narrowed to the column's width by the database.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Text; never with a NUL, which PostgreSQL cannot store.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// Microseconds since 1970-01-01, UTC.
    Timestamp(i64),
}

impl Value {
    /// Returns about how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
            _ => 8,
        }
    }
}

/// Bytes that an answer has from the start, so that it seldom grows in many small steps.
const FIRST_ROOM: usize = 512;

/// Rows in the encoding that crosses to the guest.
#[derive(Debug, Default, PartialEq)]
pub struct PackedRows {
    /// Cells in a row.
    pub width: u32,
    /// Number of rows.
    pub count: u32,
    /// The cells, each a tag byte and its value, little-endian.
    pub cells: Vec<u8>,
}

/// One cell of [`PackedRows`], borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// A truth value.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
    /// Microseconds since 1970, UTC.
    Timestamp(i64),
}

impl PackedRows {
    /// Has no rows, and room for a few.
    pub(super) fn new() -> Self {
        Self { cells: Vec::with_capacity(FIRST_ROOM), ..Self::default() }
    }

    /// Reads the rows back, for the host's own tables.
    pub fn rows(&self) -> impl Iterator<Item = Vec<Cell<'_>>> {
        let mut rest = self.cells.as_slice();
        (0..self.count).map_while(move |_| (0..self.width).map(|_| Cell::read(&mut rest)).collect())
    }

    pub(super) fn null(&mut self) {
        self.cells.push(0);
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.cells.push(if value { 2 } else { 1 });
    }

    pub(super) fn integer(&mut self, value: i64) {
        self.fixed(3, value.to_le_bytes());
    }

    pub(super) fn real(&mut self, value: f64) {
        self.fixed(4, value.to_le_bytes());
    }

    pub(super) fn text(&mut self, value: &str) {
        self.sized(5, value.as_bytes());
    }

    pub(super) fn blob(&mut self, value: &[u8]) {
        self.sized(6, value);
    }

    pub(super) fn timestamp(&mut self, micros: i64) {
        self.fixed(7, micros.to_le_bytes());
    }

    /// Counts a finished row.
    ///
    /// # Errors
    /// When the answer has grown over the limit.
    pub(super) fn end_row(&mut self, width: usize, limit: usize) -> Result<(), SqlError> {
        self.width = u32::try_from(width).map_err(|_| SqlError::TooLarge)?;
        self.count += 1;
        if self.cells.len() > limit { Err(SqlError::TooLarge) } else { Ok(()) }
    }

    fn fixed(&mut self, tag: u8, bytes: [u8; 8]) {
        self.cells.push(tag);
        self.cells.extend_from_slice(&bytes);
    }

    fn sized(&mut self, tag: u8, bytes: &[u8]) {
        // Both databases limit one value to 1 GiB, so the length always fits.
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.cells.push(tag);
        self.cells.extend_from_slice(&len.to_le_bytes());
        self.cells.extend_from_slice(bytes);
    }
}

impl<'a> Cell<'a> {
    /// Reads one cell off the front; none when the bytes are no cell.
    fn read(rest: &mut &'a [u8]) -> Option<Self> {
        let tag = *rest.split_off_first()?;
        let mut word = || Some(u64::from_le_bytes(rest.split_off(..8)?.try_into().ok()?));
        Some(match tag {
            0 => Self::Null,
            1 | 2 => Self::Boolean(tag == 2),
            3 => Self::Integer(word()?.cast_signed()),
            4 => Self::Real(f64::from_bits(word()?)),
            7 => Self::Timestamp(word()?.cast_signed()),
            5 | 6 => {
                let len = u32::from_le_bytes(rest.split_off(..4)?.try_into().ok()?);
                let bytes = rest.split_off(..usize::try_from(len).ok()?)?;
                if tag == 6 { Self::Blob(bytes) } else { Self::Text(std::str::from_utf8(bytes).ok()?) }
            }
            _ => return None,
        })
    }
}

/// The kind of a broken constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstraintKind {
    /// UNIQUE or PRIMARY KEY.
    Unique,
    /// FOREIGN KEY.
    ForeignKey,
    /// CHECK.
    Check,
    /// NOT NULL.
    NotNull,
}

/// A broken constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// What kind of rule it is.
    pub kind: ConstraintKind,
    /// Its name: the schema's, or PostgreSQL's default on both databases; empty where SQLite does not say.
    pub name: String,
}

/// Why a statement had no effect.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The data breaks a rule of the schema.
    #[error("constraint {} is broken", .0.name)]
    Constraint(Constraint),
    /// Serialization failure, deadlock or busy database.
    #[error("another transaction was in the way")]
    Conflict,
    /// The statement or the wait for a connection took too long.
    #[error("took too long")]
    Timeout,
    /// The statement, its parameters or its answer are larger than the limit.
    #[error("larger than the limit")]
    TooLarge,
    /// The statement or a parameter is wrong.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The database cannot be reached.
    #[error("the database cannot be reached")]
    Unavailable(#[source] sqlx::Error),
}

impl From<sqlx::Error> for SqlError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(database) => from_database(database),
            sqlx::Error::PoolTimedOut => Self::Timeout,
            sqlx::Error::Encode(error) | sqlx::Error::Decode(error) => Self::Invalid(error.to_string()),
            sqlx::Error::ColumnDecode { source, .. } => Self::Invalid(source.to_string()),
            other => Self::Unavailable(other),
        }
    }
}

fn from_database(error: Box<dyn DatabaseError>) -> SqlError {
    let kind = match error.kind() {
        ErrorKind::UniqueViolation => ConstraintKind::Unique,
        ErrorKind::ForeignKeyViolation => ConstraintKind::ForeignKey,
        ErrorKind::CheckViolation => ConstraintKind::Check,
        ErrorKind::NotNullViolation => ConstraintKind::NotNull,
        _ => return from_code(error),
    };
    let name = match error.constraint() {
        Some(name) => name.to_owned(),
        None => default_name(kind, error.message(), error.code().as_deref() == Some(SQLITE_CONSTRAINT_PRIMARYKEY)),
    };
    SqlError::Constraint(Constraint { kind, name })
}

/// Sorts the remaining codes: five characters are a SQLSTATE, the others are SQLite's numbers.
fn from_code(error: Box<dyn DatabaseError>) -> SqlError {
    let code = error.code().unwrap_or_default().into_owned();
    match code.as_str() {
        // serialization_failure, deadlock_detected
        "40001" | "40P01" => SqlError::Conflict,
        // query_canceled, lock_not_available, idle_in_transaction_session_timeout, transaction_timeout,
        // idle_session_timeout
        "57014" | "55P03" | "25P03" | "25P04" | "57P05" => SqlError::Timeout,
        // Connection exceptions, insufficient resources, operator intervention.
        state if state.len() == 5 && ["08", "53", "57"].contains(&&state[..2]) => {
            SqlError::Unavailable(sqlx::Error::Database(error))
        }
        number => match number.parse::<i32>().map(|number| number & 0xff) {
            // SQLITE_BUSY, SQLITE_LOCKED
            Ok(5 | 6) => SqlError::Conflict,
            // SQLITE_INTERRUPT
            Ok(9) => SqlError::Timeout,
            // SQLITE_TOOBIG
            Ok(18) => SqlError::TooLarge,
            // SQLITE_PERM, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB
            Ok(3 | 10 | 11 | 13 | 14 | 26) if number.len() != 5 => SqlError::Unavailable(sqlx::Error::Database(error)),
            _ => SqlError::Invalid(error.message().to_owned()),
        },
    }
}

/// SQLite's extended code for a primary key, which its message does not tell from other unique keys.
const SQLITE_CONSTRAINT_PRIMARYKEY: &str = "1555";

/// Names a constraint as PostgreSQL would, from SQLite's "UNIQUE constraint failed: users.username".
fn default_name(kind: ConstraintKind, message: &str, is_primary_key: bool) -> String {
    let Some((_, what)) = message.split_once("constraint failed: ") else { return String::new() };
    let suffix = match kind {
        ConstraintKind::Unique => "key",
        ConstraintKind::NotNull => "not_null",
        ConstraintKind::Check | ConstraintKind::ForeignKey => return what.to_owned(),
    };
    let mut table = "";
    let mut name = String::new();
    for column in what.split(", ") {
        let (owner, column) = column.split_once('.').unwrap_or(("", column));
        table = owner;
        name.push_str(column);
        name.push('_');
    }
    if is_primary_key { format!("{table}_pkey") } else { format!("{table}_{name}{suffix}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_constraints_get_the_names_that_postgres_gives() {
        let name = |kind, message| default_name(kind, message, false);
        assert_eq!(name(ConstraintKind::Unique, "UNIQUE constraint failed: users.username"), "users_username_key");
        assert_eq!(
            name(ConstraintKind::Unique, "UNIQUE constraint failed: stock.product_id, stock.warehouse_id"),
            "stock_product_id_warehouse_id_key"
        );
        assert_eq!(name(ConstraintKind::NotNull, "NOT NULL constraint failed: users.email"), "users_email_not_null");
        assert_eq!(name(ConstraintKind::Check, "CHECK constraint failed: stock_reserved"), "stock_reserved");
        assert_eq!(default_name(ConstraintKind::Unique, "UNIQUE constraint failed: t.a, t.b", true), "t_pkey");
        assert_eq!(name(ConstraintKind::ForeignKey, "FOREIGN KEY constraint failed"), "");
    }
}
