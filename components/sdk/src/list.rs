//! Lists: filters and pages from the query, and the headers that go with a page.
//!
//! Unknown parameters are ignored; bad values are 400 with the parameter's name. A list without `limit` is whole; one
//! that is too large for an answer is 400 as well, and the text says how to ask for a page.

use std::fmt::Write as _;

use serde::Serialize;

use crate::sql::{self, Connection, Database, Value};
use crate::{Error, FieldErrors, Request, Response, Result, Timestamp, json};

/// Largest `limit`.
pub const MAX_LIMIT: i64 = 500;

/// Largest list in bytes: what the host lets through as the body of a response, unless it is told otherwise.
const MAX_BODY: usize = 8 << 20;

/// Room for the first items of a list.
const CAPACITY: usize = 4 << 10;

/// A list under construction: conditions, their parameters, and the page.
pub struct List<'r> {
    request: &'r Request,
    conditions: Vec<String>,
    params: Vec<Value>,
    limit: Option<i64>,
    offset: i64,
    errors: FieldErrors,
}

impl<'r> List<'r> {
    /// Starts with `limit` and `offset` of a request.
    pub fn of(request: &'r Request) -> Self {
        let mut this = Self {
            request,
            conditions: Vec::new(),
            params: Vec::new(),
            limit: None,
            offset: 0,
            errors: FieldErrors::default(),
        };
        this.limit = this.number("limit", 1, MAX_LIMIT);
        this.offset = this.number("offset", 0, i64::MAX).unwrap_or(0);
        this
    }

    /// Adds a condition; `?` stands for the value.
    pub fn filter(&mut self, condition: &str, value: impl Into<Value>) {
        self.params.push(value.into());
        self.conditions.push(condition.replace('?', &format!("${}", self.params.len())));
    }

    /// Adds a condition without a value.
    pub fn only(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    /// Adds a condition when a text parameter is there.
    pub fn text(&mut self, parameter: &str, condition: &str) {
        if let Some(value) = self.request.query(parameter) {
            self.filter(condition, value.trim());
        }
    }

    /// Adds a condition when an id parameter is there.
    pub fn id(&mut self, parameter: &str, condition: &str) {
        if let Some(value) = self.number(parameter, i64::MIN, i64::MAX) {
            self.filter(condition, value);
        }
    }

    /// Adds a condition when a moment parameter is there.
    pub fn moment(&mut self, parameter: &str, condition: &str) {
        let Some(text) = self.request.query(parameter) else { return };
        match Timestamp::parse(text) {
            Some(moment) => self.filter(condition, moment),
            None => self.errors.add(parameter, "Introduzca una fecha ISO 8601 válida."),
        }
    }

    /// Returns a yes-or-no parameter.
    pub fn flag(&mut self, parameter: &str) -> Option<bool> {
        match self.request.query(parameter)? {
            "true" | "True" | "1" => Some(true),
            "false" | "False" | "0" => Some(false),
            _ => {
                self.errors.add(parameter, "Debe ser true o false.");
                None
            }
        }
    }

    /// Complains of a parameter.
    pub fn wrong(&mut self, parameter: &str, message: impl Into<String>) {
        self.errors.add(parameter, message);
    }

    /// Runs `SELECT <columns> FROM <tables> WHERE … ORDER BY <order>` and answers the page as a bare array.
    ///
    /// A LEFT JOIN finds at most one row for each: the total is counted without those that no condition names, as
    /// `alias.column`.
    ///
    /// # Errors
    /// When a parameter is wrong, the page is too large for one answer, or the database does not answer.
    pub fn answer(
        self,
        select: &str,
        order: &str,
        to_response: impl FnOnce(&sql::Rows) -> Result<Response>,
    ) -> Result<Response> {
        self.errors.into_result()?;
        let filter = match self.conditions.as_slice() {
            [] => String::new(),
            conditions => " WHERE ".to_owned() + &conditions.join(" AND "),
        };
        let mut statement = [select, filter.as_str(), " ORDER BY ", order].concat();
        if let Some(limit) = self.limit {
            let _ = write!(statement, " LIMIT {limit} OFFSET {}", self.offset);
        } else if self.offset > 0 {
            let _ = write!(statement, " LIMIT {} OFFSET {}", i64::MAX, self.offset);
        }
        let rows = Database.query(&statement, &self.params).map_err(|error| match error {
            sql::Error::TooLarge => too_large(),
            error => error.into(),
        })?;
        let response = to_response(&rows)?;
        if self.limit.is_none() && self.request.query("offset").is_none() {
            return Ok(response);
        }
        let count = count(select, &filter);
        let (total,) = Database.first::<(i64,)>(&count, &self.params)?.unwrap_or((0,));
        let response = response.header("x-total-count", total.to_string());
        Ok(match self.limit.and_then(|limit| links(self.request, limit, self.offset, total)) {
            Some(links) => response.header("link", links),
            None => response,
        })
    }

    fn number(&mut self, parameter: &str, min: i64, max: i64) -> Option<i64> {
        let value = self.request.query(parameter)?.parse::<i64>().ok();
        let value = value.filter(|value| (min..=max).contains(value));
        if value.is_none() {
            let message = match (min, max) {
                (i64::MIN, _) => "Introduzca un número entero válido.".to_owned(),
                (min, i64::MAX) => format!("Introduzca un número entero mayor o igual a {min}."),
                (min, max) => format!("Introduzca un número entero de {min} a {max}."),
            };
            self.errors.add(parameter, message);
        }
        value
    }
}

/// Answers a list of values as a bare array.
///
/// # Errors
/// When it is larger than a response may be.
///
/// # Panics
/// When a value is no JSON: a map with keys that are no text.
pub fn json<T: Serialize>(items: impl IntoIterator<Item = T>) -> Result<Response> {
    // Value by value: what is too large must not fill the memory first.
    let mut body = Vec::with_capacity(CAPACITY);
    body.push(b'[');
    for item in items {
        if body.len() > 1 {
            body.push(b',');
        }
        json::write(&mut body, &item).expect("a response has only keys that are text");
        if body.len() >= MAX_BODY {
            return Err(too_large());
        }
    }
    body.push(b']');
    Ok(Response { status: 200, headers: Vec::new(), body })
}

fn too_large() -> Error {
    let message = format!(
        "La lista es demasiado grande para una respuesta. Pida una página más pequeña con limit (de 1 a {MAX_LIMIT}) y \
         offset."
    );
    Error::field("limit", message)
}

/// Makes the statement that counts what a condition leaves, without the joins that it does not name.
fn count(select: &str, filter: &str) -> String {
    let from = select.rfind(" FROM ").map_or("", |at| &select[at..]);
    let parts: Vec<&str> = from.split(" LEFT JOIN ").collect();
    // What joins otherwise may change the number of rows; what is named, or joins, may itself name what is before it.
    let counts = |join: &&str| {
        let names = join.split(" ON ").next().unwrap_or_default();
        join.contains(" JOIN ") || names.split_whitespace().any(|name| filter.contains(&format!("{name}.")))
    };
    let joins = parts[1..].iter().rposition(counts).map_or(0, |last| last + 1);
    ["SELECT COUNT(*)", &parts[..=joins].join(" LEFT JOIN "), filter].concat()
}

/// Makes the `Link` header (RFC 8288), with references relative to the request.
fn links(request: &Request, limit: i64, offset: i64, total: i64) -> Option<String> {
    let link = |offset: i64, relation: &str| {
        let mut query = String::new();
        for (name, value) in request.query_pairs().iter().filter(|(name, _)| name != "limit" && name != "offset") {
            let _ = write!(query, "{}={}&", encode(name), encode(value));
        }
        format!("<?{query}limit={limit}&offset={offset}>; rel=\"{relation}\"")
    };
    let next = offset.checked_add(limit).filter(|next| *next < total).map(|next| link(next, "next"));
    let previous = (offset > 0).then(|| link((offset - limit).max(0), "prev"));
    let links: Vec<String> = next.into_iter().chain(previous).collect();
    (!links.is_empty()).then(|| links.join(", "))
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Says that a filter's value is none of the choices.
pub fn no_choice(text: &str) -> String {
    format!("\"{text}\" no es una elección válida.")
}

/// Makes a LIKE pattern with the escape character `!` that finds a text anywhere.
pub fn contains(text: &str) -> String {
    let escaped = text.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{escaped}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_bare_array() {
        assert_eq!(json([1, 2]).expect("small").body, b"[1,2]");
        assert_eq!(json(["a"]).expect("small").body, b"[\"a\"]");
        assert_eq!(json::<i64>([]).expect("small").body, b"[]");
    }

    #[test]
    fn a_list_that_fills_more_than_a_response_is_refused_with_a_hint() {
        let item = "x".repeat(1 << 20);
        assert!(json([&item; 7]).is_ok());
        let Err(Error::Fields(errors)) = json([&item; 8]) else { panic!("quotes and commas make it too large") };
        let shown = format!("{errors:?}");
        assert!(shown.contains("limit") && shown.contains("offset"), "{shown}");
    }

    #[test]
    fn what_no_condition_names_is_not_joined_to_count() {
        let select = "SELECT o.id, (SELECT 1 FROM x) FROM orders o LEFT JOIN names n ON n.id = o.name \
            LEFT JOIN towns t ON t.id = n.town";
        assert_eq!(count(select, " WHERE o.id = $1"), "SELECT COUNT(*) FROM orders o WHERE o.id = $1");
        let named = "SELECT COUNT(*) FROM orders o LEFT JOIN names n ON n.id = o.name";
        assert_eq!(count(select, " WHERE n.id = $1"), format!("{named} WHERE n.id = $1"));
        let both = format!("{named} LEFT JOIN towns t ON t.id = n.town");
        assert_eq!(count(select, " WHERE o.id = $1 AND t.id = $2"), format!("{both} WHERE o.id = $1 AND t.id = $2"));
        let as_alias = "SELECT o.id FROM orders o LEFT JOIN names AS n ON n.id = o.name";
        assert!(count(as_alias, " WHERE n.id = $1").contains("names AS n"));
        let inner = "SELECT o.id FROM orders o LEFT JOIN names n ON n.id = o.name JOIN towns t ON t.id = o.town";
        assert!(count(inner, " WHERE o.id = $1").contains("JOIN towns t"), "it may leave rows out");
        assert_eq!(count("SELECT id FROM users", ""), "SELECT COUNT(*) FROM users");
    }

    #[test]
    fn what_is_too_large_is_not_read_to_its_end() {
        let item = "x".repeat(1 << 20);
        let mut taken = 0;
        let endless = std::iter::repeat_with(|| &item).inspect(|_| taken += 1);
        assert!(json(endless).is_err());
        assert_eq!(taken, 8);
    }
}
