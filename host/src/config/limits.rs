//! The numbers that the host enforces for one service, each with its reason.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// Numbers that the host enforces for one service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// Linear memory of one instance. Default 64 MiB: the four services need 2.
    pub memory: ByteSize,
    /// Time from the request's arrival to its answer, waiting included. Default 5 s, the owner's requirement.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// Invocations that run at once. Default 256, a quarter of the instances.
    pub concurrency: u32,
    /// Further invocations that wait. Default 1024: about a second of work.
    pub queue: u32,
    /// Connections to the database, and at most that many open transactions. Default 8.
    pub sql_connections: u32,
    /// Statements of one invocation, each begin counted as one. Default 1000: a request needs a dozen, and filling an
    /// empty database some hundred.
    pub sql_statements: u32,
    /// Transactions that one invocation may have open at once. Default 4: more than a few is a leak.
    pub sql_transactions: u32,
    /// Largest answer of one statement. Default 8 MiB, an eighth of the memory that has to hold it.
    pub sql_result: ByteSize,
    /// Longest statement. Default 64 KiB.
    pub sql_statement: ByteSize,
    /// All parameters of one statement together. Default 4 MiB.
    pub sql_params: ByteSize,
    /// Largest body of a response. Default 8 MiB.
    pub response: ByteSize,
    /// Log lines of one invocation; further ones are counted. Default 100.
    pub log_lines: u32,
    /// Longest log message; the rest is cut. Default 8 KiB.
    pub log_message: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(64),
            deadline: Duration::from_secs(5),
            concurrency: 256,
            queue: 1024,
            sql_connections: 8,
            sql_statements: 1000,
            sql_transactions: 4,
            sql_result: ByteSize::mib(8),
            sql_statement: ByteSize::kib(64),
            sql_params: ByteSize::mib(4),
            response: ByteSize::mib(8),
            log_lines: 100,
            log_message: ByteSize::kib(8),
        }
    }
}
