//! Log lines; they carry the service's name and the request's id by themselves.

use crate::bindings::provesi::platform::log::{Level, write};

/// Writes for developers.
pub fn debug(message: &str, fields: &[(&str, &str)]) {
    line(Level::Debug, message, fields);
}

/// Writes what an operator may want to know.
pub fn info(message: &str, fields: &[(&str, &str)]) {
    line(Level::Info, message, fields);
}

/// Writes what an operator should look at.
pub fn warn(message: &str, fields: &[(&str, &str)]) {
    line(Level::Warn, message, fields);
}

/// Writes what an operator must look at.
pub fn error(message: &str, fields: &[(&str, &str)]) {
    line(Level::Error, message, fields);
}

fn line(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<(String, String)> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    write(level, message, &fields);
}
