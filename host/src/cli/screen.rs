//! Writes to the terminal; nothing else in this room does.
//!
//! Answers go to standard output, failures to standard error. Text comes from hosts, and so from components: what
//! would steer a terminal is replaced before it gets there. JSON is written as it came, it cannot hold such text.

use std::io::{ErrorKind, Write};

use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::refusal;

/// Columns that everything fits into.
pub(super) const WIDTH: usize = 80;

/// Shows an answer: as it came with `json`, rendered without.
///
/// # Errors
/// When the answer is not understood or nobody reads the output.
pub(super) fn show<T: DeserializeOwned>(
    body: &str,
    json: bool,
    render: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    if json {
        return raw(body);
    }
    let answer = serde_json::from_str(body).map_err(Failure::Answer)?;
    text(&render(&answer))
}

/// Writes JSON as it came.
///
/// # Errors
/// When nobody reads the output.
pub(super) fn raw(json: &str) -> Result<(), Failure> {
    let json = json.trim_end();
    if json.is_empty() { Ok(()) } else { write(&mut std::io::stdout().lock(), json) }
}

/// Writes text for a person.
///
/// # Errors
/// When nobody reads the output.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    write(&mut std::io::stdout().lock(), &harmless(text.trim_end()))
}

/// Writes why a command failed: the reason on one line, details under it.
pub(super) fn fail(failure: &Failure, json: bool) {
    let text = match failure {
        Failure::Refused(refused) => {
            if json && refused.problem.is_some() {
                // Whoever closed standard output still gets the reason below.
                raw(&refused.body).unwrap_or_default();
            }
            refusal::render(refused, WIDTH)
        }
        other => format!("error: {other}"),
    };
    // There is nowhere left to say that this failed, too.
    write(&mut std::io::stderr().lock(), &harmless(text.trim_end())).unwrap_or_default();
}

fn write(to: &mut impl Write, text: &str) -> Result<(), Failure> {
    writeln!(to, "{text}").and_then(|()| to.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::setup(format!("cannot write the output: {error}")),
    })
}

fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_component_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\nc\u{9b}d"), "a\u{fffd}[2Jb\u{fffd}\nc\u{fffd}d");
    }
}
