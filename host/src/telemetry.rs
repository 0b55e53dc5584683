//! Log output: pretty on a terminal, one JSON object a line otherwise.

mod json;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use self::json::JsonLine;

/// Installs the process's log output, filtered as in `RUST_LOG` (`info,provesi=debug`).
///
/// # Errors
/// When the filter cannot be parsed.
///
/// # Panics
/// When called twice in one process.
pub fn install(filter: &str) -> Result<(), ParseError> {
    let filter: EnvFilter = filter.parse()?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        subscriber.init();
    } else {
        subscriber.event_format(JsonLine).init();
    }
    Ok(())
}
