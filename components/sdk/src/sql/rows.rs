//! Reads the packed rows that cross from the host; the encoding is in `wit/platform/sql.wit`.

use crate::bindings::provesi::platform::sql as wit;
use crate::{Money, Timestamp};

/// The rows of one answer.
pub struct Rows {
    width: u32,
    count: u32,
    cells: Vec<u8>,
}

/// The cells of the rows, read one after the other.
pub struct Cells<'r> {
    rest: &'r [u8],
    width: u32,
    column: u32,
}

/// A struct that is read from a row; [`row!`](crate::row) makes the implementation.
pub trait FromRow<'r> {
    /// Takes one cell per column, in the order of the SELECT list.
    fn from_row(cells: &mut Cells<'r>) -> Self;
}

/// A type that a cell can be.
pub trait FromCell<'r>: Sized {
    /// Reads a cell; none when it has another type.
    fn from_cell(cell: Cell<'r>) -> Option<Self>;
}

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'r> {
    /// NULL.
    Null,
    /// A truth value; on SQLite an integer.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Text.
    Text(&'r str),
    /// Bytes.
    Blob(&'r [u8]),
    /// Microseconds since 1970; on SQLite an integer.
    Timestamp(i64),
}

/// Declares a struct that is read from a row, its fields in the order of the SELECT list.
#[macro_export]
macro_rules! row {
    ($(#[$meta:meta])* $vis:vis struct $name:ident<$lifetime:lifetime> {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $ty:ty),* $(,)?
    }) => {
        $(#[$meta])*
        $vis struct $name<$lifetime> { $($(#[$field_meta])* $field_vis $field: $ty),* }

        impl<$lifetime> $crate::sql::FromRow<$lifetime> for $name<$lifetime> {
            fn from_row(cells: &mut $crate::sql::Cells<$lifetime>) -> Self {
                Self { $($field: cells.take()),* }
            }
        }
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $ty:ty),* $(,)?
    }) => {
        $(#[$meta])*
        $vis struct $name { $($(#[$field_meta])* $field_vis $field: $ty),* }

        impl<'r> $crate::sql::FromRow<'r> for $name {
            fn from_row(cells: &mut $crate::sql::Cells<'r>) -> Self {
                Self { $($field: cells.take()),* }
            }
        }
    };
}

impl Rows {
    /// Wraps what the host sent.
    pub fn new(rows: wit::Rows) -> Self {
        Self { width: rows.width, count: rows.count, cells: rows.cells }
    }

    /// Returns the number of rows.
    pub fn count(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// Reads the rows.
    pub fn read<'r, T: FromRow<'r>>(&'r self) -> impl Iterator<Item = T> {
        let mut cells = Cells { rest: &self.cells, width: self.width, column: 0 };
        (0..self.count).map(move |_| {
            cells.column = 0;
            let row = T::from_row(&mut cells);
            assert_eq!(cells.column, cells.width, "the struct has as many fields as the SELECT list");
            row
        })
    }
}

impl<'r> Cells<'r> {
    /// Takes the next cell of the row.
    ///
    /// # Panics
    /// When the cell has another type or there is none: the struct does not fit the statement.
    pub fn take<T: FromCell<'r>>(&mut self) -> T {
        self.column += 1;
        assert!(self.column <= self.width, "the struct has more fields than the SELECT list");
        let cell = self.next().unwrap_or_else(|| panic!("column {} is packed wrongly", self.column));
        T::from_cell(cell).unwrap_or_else(|| {
            panic!("column {} is {cell:?} and should be {}", self.column, std::any::type_name::<T>())
        })
    }

    fn next(&mut self) -> Option<Cell<'r>> {
        let (tag, rest) = self.rest.split_first()?;
        let (cell, rest) = match tag {
            0 => (Cell::Null, rest),
            1 => (Cell::Boolean(false), rest),
            2 => (Cell::Boolean(true), rest),
            3 | 4 | 7 => {
                let (word, rest) = rest.split_first_chunk()?;
                let cell = match tag {
                    3 => Cell::Integer(i64::from_le_bytes(*word)),
                    4 => Cell::Real(f64::from_le_bytes(*word)),
                    _ => Cell::Timestamp(i64::from_le_bytes(*word)),
                };
                (cell, rest)
            }
            5 | 6 => {
                let (len, rest) = rest.split_first_chunk()?;
                let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
                let (bytes, rest) = rest.split_at_checked(len)?;
                let cell = if *tag == 5 { Cell::Text(std::str::from_utf8(bytes).ok()?) } else { Cell::Blob(bytes) };
                (cell, rest)
            }
            _ => return None,
        };
        self.rest = rest;
        Some(cell)
    }
}

impl<'r> FromCell<'r> for Cell<'r> {
    fn from_cell(cell: Cell<'r>) -> Option<Self> {
        Some(cell)
    }
}

impl FromCell<'_> for i64 {
    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        if let Cell::Integer(value) = cell { Some(value) } else { None }
    }
}

impl FromCell<'_> for f64 {
    #[expect(clippy::cast_precision_loss, reason = "SQLite answers whole numbers of a REAL column as they are")]
    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Real(value) => Some(value),
            Cell::Integer(value) => Some(value as f64),
            _ => None,
        }
    }
}

impl FromCell<'_> for bool {
    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Boolean(value) => Some(value),
            Cell::Integer(value) => Some(value != 0),
            _ => None,
        }
    }
}

impl<'r> FromCell<'r> for &'r str {
    fn from_cell(cell: Cell<'r>) -> Option<Self> {
        if let Cell::Text(value) = cell { Some(value) } else { None }
    }
}

impl FromCell<'_> for String {
    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        <&str>::from_cell(cell).map(str::to_owned)
    }
}

impl FromCell<'_> for Vec<u8> {
    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        if let Cell::Blob(value) = cell { Some(value.to_owned()) } else { None }
    }
}

impl FromCell<'_> for Timestamp {
    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Timestamp(micros) | Cell::Integer(micros) => Some(Self(micros)),
            _ => None,
        }
    }
}

impl FromCell<'_> for Money {
    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        i64::from_cell(cell).map(Self)
    }
}

impl<'r, T: FromCell<'r>> FromCell<'r> for Option<T> {
    fn from_cell(cell: Cell<'r>) -> Option<Self> {
        if cell == Cell::Null { Some(None) } else { T::from_cell(cell).map(Some) }
    }
}

impl<'r, T: FromCell<'r>> FromRow<'r> for (T,) {
    fn from_row(cells: &mut Cells<'r>) -> Self {
        (cells.take(),)
    }
}

impl<'r, T: FromCell<'r>, U: FromCell<'r>> FromRow<'r> for (T, U) {
    fn from_row(cells: &mut Cells<'r>) -> Self {
        (cells.take(), cells.take())
    }
}

/// All cells of the row, whatever their number.
impl<'r, T: FromCell<'r>> FromRow<'r> for Vec<T> {
    fn from_row(cells: &mut Cells<'r>) -> Self {
        (0..cells.width).map(|_| cells.take()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    row! {
        #[derive(Debug, PartialEq)]
        struct Person<'r> {
            id: i64,
            name: &'r str,
            phone: Option<&'r str>,
            active: bool,
        }
    }

    fn rows(cells: Vec<u8>, count: u32) -> Rows {
        Rows { width: 4, count, cells }
    }

    fn packed(id: i64, name: &str) -> Vec<u8> {
        let mut cells = vec![3];
        cells.extend(id.to_le_bytes());
        cells.push(5);
        cells.extend(u32::try_from(name.len()).expect("short").to_le_bytes());
        cells.extend(name.as_bytes());
        cells.extend([0, 2]);
        cells
    }

    #[test]
    fn rows_become_structs() {
        let rows = rows([packed(1, "Ana"), packed(2, "Íñigo")].concat(), 2);
        let people: Vec<Person> = rows.read().collect();
        assert_eq!(people[0], Person { id: 1, name: "Ana", phone: None, active: true });
        assert_eq!(people[1].name, "Íñigo");
    }

    #[test]
    fn a_row_can_be_read_whatever_its_columns_are() {
        let rows = rows(packed(1, "Ana"), 1);
        let read: Vec<Vec<Cell>> = rows.read().collect();
        assert_eq!(read, [[Cell::Integer(1), Cell::Text("Ana"), Cell::Null, Cell::Boolean(true)]]);
    }

    #[test]
    #[should_panic(expected = "more fields than the SELECT list")]
    fn a_struct_that_does_not_fit_its_statement_is_a_bug() {
        let rows = Rows { width: 3, count: 1, cells: packed(1, "Ana") };
        let _: Vec<Person> = rows.read().collect();
    }
}
