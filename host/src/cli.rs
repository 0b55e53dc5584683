//! The command line of operators and teams: one request to the admin listener, shown to a person or to a script.
//!
//! It knows HTTP only: a host of another machine or of the next version serves as well, and fields of an answer
//! that are not shown are not looked at. What the host refuses is never judged here a second time.
//!
//! Not here: `serve` (see `main`), what the configuration listens on (`main` says it).

mod answers;
mod backlog;
mod client;
mod deploy;
mod events;
mod failure;
mod host;
mod inspect;
mod layout;
mod letters;
mod progress;
mod refusal;
mod screen;
mod show;
mod traffic;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use self::client::Client;
use self::deploy::{Check, Deploy};
use self::events::Events;
use self::failure::Failure;
use self::host::Host;
use self::inspect::{Audit, Revisions, Status};
use self::traffic::{Remove, Rollback, Traffic};

/// What can be asked of a host that runs.
#[derive(Subcommand)]
pub enum Command {
    /// Deploys a component as the next revision of a service.
    Deploy(Deploy),
    /// Says what deploy would say, changing nothing.
    Check(Check),
    /// Splits the traffic of a service between its revisions.
    Traffic(Traffic),
    /// Gives the traffic back to an earlier revision.
    Rollback(Rollback),
    /// Shows all services, or one in detail.
    Status(Status),
    /// Lists the revisions of a service, the newest first.
    Revisions(Revisions),
    /// Follows what happens until Ctrl-C, or shows, replays and discards events that a service could not handle.
    Events(Events),
    /// Lists who changed what, the newest first.
    Audit(Audit),
    /// Removes a service that no other one imports.
    Remove(Remove),
}

/// Runs a command and returns its exit code: 0 done, 1 refused or failed, 2 usage.
///
/// `configured` says what the configuration listens on, if there is one; it is asked only without `--admin`.
pub fn run<E: fmt::Display>(
    command: &Command,
    configured: impl FnOnce(Option<&Path>) -> Result<Option<SocketAddr>, E>,
) -> ExitCode {
    match attempt(command, configured) {
        // A reader that has seen enough, as in `provesi events | head`, is no failure.
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(failure) => {
            screen::fail(&failure, command.host().json);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn attempt<E: fmt::Display>(
    command: &Command,
    configured: impl FnOnce(Option<&Path>) -> Result<Option<SocketAddr>, E>,
) -> Result<(), Failure> {
    let client = Client::new(command.host().resolve(configured)?).map_err(Failure::setup)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::setup)?;
    runtime.block_on(command.perform(&client))
}

impl Command {
    async fn perform(&self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::Deploy(deploy) => deploy.perform(client).await,
            Self::Check(check) => check.perform(client).await,
            Self::Traffic(traffic) => traffic.perform(client).await,
            Self::Rollback(rollback) => rollback.perform(client).await,
            Self::Status(status) => status.perform(client).await,
            Self::Revisions(revisions) => revisions.perform(client).await,
            Self::Events(events) => events.perform(client).await,
            Self::Audit(audit) => audit.perform(client).await,
            Self::Remove(remove) => remove.perform(client).await,
        }
    }

    fn host(&self) -> &Host {
        match self {
            Self::Deploy(deploy) => &deploy.host,
            Self::Check(check) => &check.host,
            Self::Traffic(traffic) => &traffic.host,
            Self::Rollback(rollback) => &rollback.host,
            Self::Status(status) => &status.host,
            Self::Revisions(revisions) => &revisions.host,
            Self::Events(events) => events.host(),
            Self::Audit(audit) => &audit.host,
            Self::Remove(remove) => &remove.host,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn refused(line: &str) -> ErrorKind {
        let words = std::iter::once("provesi").chain(line.split(' '));
        Line::try_parse_from(words).err().expect("a line that is refused").kind()
    }

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Line::command().debug_assert();
    }

    #[test]
    fn what_cannot_be_meant_is_refused_before_a_request() {
        assert_eq!(refused("deploy ../products a.wasm"), ErrorKind::ValueValidation);
        assert_eq!(refused("deploy products a.wasm --canary 100"), ErrorKind::ValueValidation);
        assert_eq!(refused("deploy products a.wasm --canary 10 --no-activate"), ErrorKind::ArgumentConflict);
        assert_eq!(refused("traffic products"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("traffic products 7=101"), ErrorKind::ValueValidation);
        assert_eq!(refused("rollback products --to 0"), ErrorKind::ValueValidation);
        assert_eq!(refused("events replay"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("events discard x"), ErrorKind::ValueValidation);
        assert_eq!(refused("events list --limit 0"), ErrorKind::ValueValidation);
        assert_eq!(refused("status --admin https://127.0.0.1:9000"), ErrorKind::ValueValidation);
    }

    #[test]
    fn a_service_that_is_not_named_is_allowed_only_where_all_are_meant() {
        let parse = |words: &[&str]| Line::try_parse_from(words).map(|line| line.command);
        assert!(matches!(parse(&["provesi", "status"]), Ok(Command::Status(_))));
        assert!(matches!(parse(&["provesi", "audit", "--limit", "5"]), Ok(Command::Audit(_))));
        assert!(matches!(parse(&["provesi", "events"]), Ok(Command::Events(_))));
        assert!(matches!(parse(&["provesi", "events", "list", "--json"]), Ok(Command::Events(_))));
        assert_eq!(refused("revisions"), ErrorKind::MissingRequiredArgument);
    }
}
