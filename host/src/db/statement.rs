//! Reads just enough of a statement to keep a guest inside its transaction, its database and its own tables.
//!
//! Only plain data statements pass, one at a time: no transaction control, which would break the host's own,
//! no ATTACH, PRAGMA, SET, COPY, LISTEN or DO. A guest names neither the host's tables nor what a database keeps for
//! itself: catalogues, settings, locks, files and other sessions are reached through names that begin alike. So nothing
//! that a guest does to a session is left on it. Roles (PostgreSQL) and an authorizer (SQLite) are the second wall.

mod lexer;

use self::lexer::{Lexer, Token};

/// What a statement does, as far as its first word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only reads.
    Read,
    /// It may write.
    Write,
}

/// What the host has to know of a statement before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// What it does.
    pub(super) kind: Kind,
    /// The highest of its parameters.
    pub(super) parameters: usize,
}

/// Beginnings of names that are not for guests: PostgreSQL's catalogue and most of its functions that reach beyond rows
/// (advisory locks, files, other sessions, sleep), large objects, addresses, other databases; SQLite's catalogue and
/// PRAGMAs as tables; the host's own tables.
const DENIED_PREFIXES: [&str; 9] =
    ["_pg_", "dblink_", "inet_client", "inet_server", "lo_", "pg_", "pragma_", "provesi_", "sqlite_"];

/// Further names: settings of a session and what it remembers, functions that run a text as a statement or read a
/// table that is named in a parameter, and names in disguise (`U&"…" UESCAPE '!'`).
const DENIED_NAMES: [&str; 15] = [
    "current_setting",
    "currval",
    "dblink",
    "dbstat",
    "fts3_tokenizer",
    "information_schema",
    "lastval",
    "load_extension",
    "loread",
    "lowrite",
    "set_config",
    "setseed",
    "ts_rewrite",
    "ts_stat",
    "uescape",
];

/// A part of PostgreSQL's functions that print tables or statements as XML.
const DENIED_PART: &str = "_to_xml";

/// The one statement of guests on a table of the host's: it notes that an event is handled, in the transaction that
/// handles it (see `outbox`). The SDK has the same text.
const NOTE_HANDLED: &str = "INSERT INTO provesi_inbox (event_id, handled_us) VALUES ($1, $2) ON CONFLICT DO NOTHING";

/// How statements of a migration begin.
const MIGRATION_STATEMENTS: [&str; 14] = [
    "alter", "analyze", "comment", "create", "delete", "drop", "insert", "reindex", "replace", "select", "truncate",
    "update", "values", "with",
];

/// What a migration may create, alter or drop; the word before it can be one of [`MODIFIERS`].
const MIGRATION_OBJECTS: [&str; 8] = ["domain", "index", "materialized", "sequence", "table", "type", "unique", "view"];

const MODIFIERS: [&str; 2] = ["or", "replace"];

/// Admits a single data statement of the host's.
///
/// # Errors
/// When it is anything else; the text says what.
pub(super) fn classify(statement: &str) -> Result<Reading, String> {
    read_single(statement, |_| Ok(()))
}

/// Admits a single data statement of a guest's.
///
/// # Errors
/// When it is anything else, or names what guests may not; the text says what.
pub(super) fn classify_for_guest(statement: &str) -> Result<Reading, String> {
    if statement == NOTE_HANDLED {
        return classify(statement);
    }
    read_single(statement, check_name)
}

/// Admits the statements of a migration: anything but what reaches out of the transaction, the database or the
/// service's own tables, or is there for one session only.
///
/// # Errors
/// When one of them does; the text says which.
pub(super) fn check_migration(script: &str) -> Result<(), String> {
    let mut tokens = Lexer::new(script)?;
    while let Some(first) = tokens.keyword()? {
        if !MIGRATION_STATEMENTS.contains(&first.as_str()) {
            return Err(format!("statements that start with {first:?} are not allowed in a migration"));
        }
        let mut verbs = Verbs::new(&first);
        let mut is_object_due = ["alter", "create", "drop"].contains(&first.as_str());
        while let Some(token) = tokens.token()?.filter(|token| *token != Token::Semicolon) {
            check_name(token)?;
            verbs.follow(token)?;
            if is_object_due && let Token::Word(word) = token {
                is_object_due = !is_object(&first, word)?;
            }
        }
    }
    Ok(())
}

/// Says whether a word names what is changed, and not how.
fn is_object(first: &str, word: &str) -> Result<bool, String> {
    let is_any = |listed: &[&str]| listed.iter().any(|listed| word.eq_ignore_ascii_case(listed));
    if is_any(&MIGRATION_OBJECTS) {
        Ok(true)
    } else if is_any(&MODIFIERS) {
        Ok(false)
    } else {
        Err(format!("{first} {} is not allowed in a migration", word.to_ascii_lowercase()))
    }
}

fn read_single(statement: &str, check: fn(Token<'_>) -> Result<(), String>) -> Result<Reading, String> {
    let mut tokens = Lexer::new(statement)?;
    let first = tokens.keyword()?.ok_or("the statement is empty")?;
    let kind = match first.as_str() {
        "select" | "values" => Kind::Read,
        "insert" | "update" | "delete" | "replace" | "with" => Kind::Write,
        other => return Err(format!("statements that start with {other:?} are not allowed")),
    };
    let mut verbs = Verbs::new(&first);
    let mut parameters = 0;
    let mut is_at_end = false;
    while let Some(token) = tokens.token()? {
        is_at_end |= token == Token::Semicolon;
        if is_at_end && token != Token::Semicolon {
            return Err("more than one statement".to_owned());
        }
        if let Token::Parameter(number) = token {
            parameters = parameters.max(number);
        }
        check(token)?;
        verbs.follow(token)?;
    }
    Ok(Reading { kind, parameters })
}

/// Refuses names that are not for guests. Quoted texts count: SQLite takes them for names where it needs one.
fn check_name(token: Token<'_>) -> Result<(), String> {
    let (Token::Word(name) | Token::Quoted(name)) = token else { return Ok(()) };
    let begins_with = |prefix: &&str| {
        name.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    // Nearly all denied names have an underscore, and few words of a statement have one.
    let is_denied = DENIED_NAMES.iter().any(|denied| name.eq_ignore_ascii_case(denied))
        || (name.contains('_')
            && (DENIED_PREFIXES.iter().any(begins_with) || name.to_ascii_lowercase().contains(DENIED_PART)));
    if is_denied { Err(format!("the name {name:?} is not for services")) } else { Ok(()) }
}

/// Follows what each parenthesis is about, to find the INTO of PostgreSQL's `SELECT … INTO`, which makes a table.
struct Verbs(Vec<Verb>);

#[derive(Clone, Copy)]
enum Verb {
    /// Not seen yet.
    None,
    /// WITH, whose statement is still to come; and whether the last token closed a parenthesis.
    With { after_close: bool },
    /// INSERT or REPLACE, whose INTO is still to come.
    Insert,
    /// Anything else, which has no INTO.
    Other,
}

// === impl Verbs ===

impl Verbs {
    fn new(first: &str) -> Self {
        Self(vec![Verb::from(first)])
    }

    fn follow(&mut self, token: Token<'_>) -> Result<(), String> {
        match token {
            Token::Open => self.0.push(Verb::None),
            Token::Close if self.0.len() > 1 => {
                self.0.pop();
            }
            _ => {}
        }
        let Some(verb) = self.0.last_mut() else { return Ok(()) };
        *verb = match (*verb, token) {
            (Verb::Insert, Token::Word(word)) if word.eq_ignore_ascii_case("into") => Verb::Other,
            (_, Token::Word(word)) if word.eq_ignore_ascii_case("into") => {
                return Err("INTO is allowed after INSERT only".to_owned());
            }
            (Verb::None, Token::Word(word)) => Verb::from(word),
            (Verb::With { after_close }, Token::Word(word)) => match Verb::from(word) {
                Verb::Insert if !after_close => Verb::With { after_close: false },
                Verb::Other if !is_statement(word) => Verb::With { after_close: false },
                verb => verb,
            },
            (Verb::With { .. }, token) => Verb::With { after_close: token == Token::Close },
            (verb, _) => verb,
        };
        Ok(())
    }
}

impl From<&str> for Verb {
    fn from(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "with" => Self::With { after_close: false },
            "insert" | "replace" => Self::Insert,
            _ => Self::Other,
        }
    }
}

fn is_statement(word: &str) -> bool {
    ["select", "values", "update", "delete"].iter().any(|statement| word.eq_ignore_ascii_case(statement))
}

#[cfg(test)]
mod tests;
