//! Statements that write one row, made of its columns, and columns in which no two rows have one value.

use super::{Connection, Error, Value, broke};
use crate::FieldErrors;

/// A column and its value; [`columns!`](crate::columns) makes a list of them.
pub type Column = (&'static str, Value);

/// Makes a list of columns from names and Rust values.
#[macro_export]
macro_rules! columns {
    ($($name:ident: $value:expr),* $(,)?) => { vec![$((stringify!($name), $crate::sql::Value::from($value))),*] };
}

/// Stores a row in a table that numbers its rows by itself, and returns its id.
///
/// # Errors
/// See [`Error`].
pub fn insert(connection: &impl Connection, table: &str, columns: Vec<Column>) -> Result<i64, Error> {
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let places: Vec<String> = (1..=names.len()).map(|place| format!("${place}")).collect();
    let statement = format!("INSERT INTO {table} ({}) VALUES ({}) RETURNING id", names.join(", "), places.join(", "));
    let (id,) = connection.first::<(i64,)>(&statement, &values)?.expect("RETURNING answers the new row");
    Ok(id)
}

/// Changes columns of the row with an id, and answers how many rows there were: 0 or 1.
///
/// # Errors
/// See [`Error`].
pub fn update(connection: &impl Connection, table: &str, id: i64, columns: Vec<Column>) -> Result<u64, Error> {
    let (names, mut values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let changes: Vec<String> = names.iter().zip(1..).map(|(name, place)| format!("{name} = ${place}")).collect();
    values.push(id.into());
    let statement = format!("UPDATE {table} SET {} WHERE id = ${}", changes.join(", "), values.len());
    connection.execute(&statement, &values)
}

/// The columns of a table in which no two rows have one value, each with what a client reads when it is taken.
///
/// A column has the name of its field, and a constraint of its own with PostgreSQL's default name.
#[derive(Clone, Copy, Debug)]
pub struct Unique<const N: usize> {
    /// The table.
    pub table: &'static str,
    /// Columns and messages.
    pub columns: [(&'static str, &'static str); N],
}

impl<const N: usize> Unique<N> {
    /// Names every column whose value another row has; `own` is the row that is changed, none for a new one.
    ///
    /// The values come in the order of the columns; none is never taken. Another request can still be faster: see
    /// [`Unique::explain`].
    ///
    /// # Errors
    /// When a value is taken or the database does not answer.
    pub fn check(
        &self,
        connection: &impl Connection,
        own: Option<i64>,
        values: [Option<&str>; N],
    ) -> crate::Result<()> {
        let mut parts = Vec::new();
        let mut params = Vec::new();
        for (place, ((column, _), value)) in self.columns.into_iter().zip(values).enumerate() {
            if let Some(value) = value {
                params.push(Value::from(value));
                parts.push(format!("SELECT {place}, id FROM {} WHERE {column} = ${}", self.table, params.len()));
            }
        }
        if parts.is_empty() {
            return Ok(());
        }
        // One statement sees one moment: with one for each column, a row stored between two of them would be named by
        // the later one alone.
        let found: Vec<(i64, i64)> = connection.all(&parts.join(" UNION ALL "), &params)?;
        let mut errors = FieldErrors::default();
        for (place, (column, message)) in (0_i64..).zip(self.columns) {
            if found.iter().any(|(of, id)| *of == place && Some(*id) != own) {
                errors.add(column, message);
            }
        }
        errors.into_result()
    }

    /// Makes a field error of a broken constraint of these columns; other errors stay what they are.
    pub fn explain(&self, error: Error) -> crate::Error {
        let constraint = |column: &str| format!("{}_{column}_key", self.table);
        match self.columns.into_iter().find(|(column, _)| broke(&error, &constraint(column))) {
            Some((column, message)) => crate::Error::field(column, message),
            None => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Constraint, ConstraintKind};
    use super::*;

    const PETS: Unique<2> = Unique { table: "pets", columns: [("name", "Ya existe."), ("chip", "Ya está puesto.")] };

    fn explain(name: &str) -> crate::Error {
        PETS.explain(Error::Constraint(Constraint { kind: ConstraintKind::Unique, name: name.to_owned() }))
    }

    #[test]
    fn a_value_that_was_taken_meanwhile_names_its_field() {
        let mut expected = FieldErrors::default();
        expected.add("chip", "Ya está puesto.");
        assert!(matches!(explain("pets_chip_key"), crate::Error::Fields(errors) if errors == expected));
        assert!(matches!(explain("pets_pkey"), crate::Error::Sql(_)), "a rule that nobody expects stays a bug");
    }
}
