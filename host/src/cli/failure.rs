//! Why a command did not do what was asked.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::answers::Problem;
use super::refusal;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The host said no.
    #[error("{}", refusal::reason(.0))]
    Refused(Box<Refused>),
    /// There is no connection.
    #[error("cannot reach the host at {admin}: {cause} (is `provesi serve` running?)")]
    Unreachable { admin: String, cause: String },
    /// The host took too long.
    #[error("the host at {admin} did not answer within {} s", .within.as_secs())]
    Unanswered { admin: String, within: Duration },
    /// The connection ended before the answer did.
    #[error("the connection to the host at {admin} broke: {cause}")]
    Broken { admin: String, cause: String },
    /// The host answered what this version does not understand.
    #[error("the answer of the host is not understood: {0}")]
    Answer(serde_json::Error),
    /// The token of the host cannot be read.
    #[error(
        "cannot read the admin token {}: {cause} (`provesi serve` makes it at its first start; \
         name its folder with --data, or give --token or PROVESI_ADMIN_TOKEN)",
        .path.display()
    )]
    Token { path: PathBuf, cause: String },
    /// The component's file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// What was asked makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Anything else before a request could be made or after it was shown.
    #[error("{0}")]
    Setup(String),
    /// Nobody reads the output any more.
    #[error("nobody reads the output")]
    Closed,
}

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Refused {
    /// The status code.
    pub(super) status: u16,
    /// The answer as it came.
    pub(super) body: String,
    /// The answer as a problem of RFC 9457, if it is one.
    pub(super) problem: Option<Problem>,
}

impl Failure {
    /// Wraps what stops a command before its request.
    pub(super) fn setup(cause: impl fmt::Display) -> Self {
        Self::Setup(cause.to_string())
    }

    /// Returns the exit code.
    pub(super) fn exit_code(&self) -> u8 {
        if matches!(self, Self::Usage(_)) { 2 } else { 1 }
    }
}

impl Refused {
    /// Reads an answer that is no success.
    pub(super) fn read(status: u16, body: String) -> Self {
        let problem = serde_json::from_str(&body).ok();
        Self { status, body, problem }
    }
}
