//! The numbers that the host enforces for one service, each with its reason.
//!
//! They are checked in one place, wherever they come from: `provesi.toml`, or what a revision was stored with.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::names::ServiceName;

/// Elements that the tables of an instance can have: what a place in the engine's pool has room for.
pub const MAX_TABLES: u32 = 20_000;

/// The longest time that a limit can be: far from where adding it to the present moment overflows.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Numbers that the host enforces for one service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// Linear memory of one instance. Default 64 MiB: the four services need 2.
    pub memory: ByteSize,
    /// Elements of all tables of one instance together. Default 20 000, which is also the most: a component of 100 kB
    /// has a few hundred, and a place in the pool has room for no more.
    pub tables: u32,
    /// Time from the request's arrival to its answer, waiting included. Default 5 s, the owner's requirement.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// Percent of one core that those guests may take together that run longer than a tick, 1 to 1600. Default 50: a
    /// service that computes without end leaves the others three quarters of two cores.
    pub cpu: u32,
    /// Invocations that run at once. Default 256, a quarter of the instances.
    pub concurrency: u32,
    /// Further invocations that wait. Default 1024: about a second of work.
    pub queue: u32,
    /// Invocations that one instance may serve, one after the other. Default 1: a fresh instance for each.
    ///
    /// With more, what a guest leaves in its memory is there for the next request, whoever makes it. An instance that
    /// ended in a fault serves no other, and one that has grown over 4 MiB is not kept.
    pub reuse: u32,
    /// How long an instance that may serve again is kept idle. Default 10 s: it holds a place in the engine's pool.
    #[serde(with = "humantime_serde")]
    pub reuse_idle: Duration,
    /// Typed calls that one request which comes in by the service may make, those of the services that it calls
    /// included. Default 256: an order makes a handful.
    pub typed_calls: u32,
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
    /// Values and keys kept by the capability `cache` in memory. Default 16 MiB.
    pub cache: ByteSize,
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
            tables: MAX_TABLES,
            deadline: Duration::from_secs(5),
            cpu: 50,
            concurrency: 256,
            queue: 1024,
            reuse: 1,
            reuse_idle: Duration::from_secs(10),
            typed_calls: 256,
            sql_connections: 8,
            sql_statements: 1000,
            sql_transactions: 4,
            sql_result: ByteSize::mib(8),
            sql_statement: ByteSize::kib(64),
            sql_params: ByteSize::mib(4),
            cache: ByteSize::mib(16),
            response: ByteSize::mib(8),
            log_lines: 100,
            log_message: ByteSize::kib(8),
        }
    }
}

impl Limits {
    /// Checks the numbers of a service against what the host has.
    ///
    /// # Errors
    /// When one of them is not allowed; the error names it, its value and what is.
    pub fn check(&self, service: &ServiceName, max_memory: ByteSize) -> Result<(), ConfigError> {
        let contradiction = |key: &str, value: String, allowed: String| ConfigError::Contradiction {
            key: format!("services.{service}.limits.{key}"),
            value,
            allowed,
        };
        if self.memory > max_memory {
            let allowed = format!("at most runtime.max-memory = {max_memory}");
            return Err(contradiction("memory", self.memory.to_string(), allowed));
        }
        let numbers: [(&str, u32, RangeInclusive<u32>); 6] = [
            ("tables", self.tables, 0..=MAX_TABLES),
            ("cpu", self.cpu, 1..=1600),
            ("concurrency", self.concurrency, 1..=u32::MAX),
            ("reuse", self.reuse, 1..=u32::MAX),
            ("sql-connections", self.sql_connections, 1..=u32::MAX),
            ("sql-transactions", self.sql_transactions, 1..=u32::MAX),
        ];
        for (key, value, range) in numbers {
            if !range.contains(&value) {
                let (least, most) = range.into_inner();
                let allowed = if most == u32::MAX { format!("at least {least}") } else { format!("{least} to {most}") };
                return Err(contradiction(key, value.to_string(), allowed));
            }
        }
        let times =
            [("deadline", self.deadline, Duration::from_millis(1)), ("reuse-idle", self.reuse_idle, Duration::ZERO)];
        for (key, value, least) in times {
            if !(least..=LONGEST).contains(&value) {
                return Err(contradiction(key, format!("{value:?}"), format!("{least:?} to {LONGEST:?}")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(limits: &Limits) -> String {
        let service = "a".parse().expect("a name");
        limits.check(&service, ByteSize::mib(256)).expect_err("not allowed").to_string()
    }

    #[test]
    fn the_defaults_are_allowed() {
        let service = "a".parse().expect("a name");
        Limits::default().check(&service, ByteSize::mib(64)).expect("they fit");
    }

    #[test]
    fn a_limit_that_the_host_cannot_keep_is_named_with_what_is_allowed() {
        let second = Duration::from_secs(1);
        let with = Limits::default;
        for (limits, key, allowed) in [
            (Limits { memory: ByteSize::mib(257), ..with() }, "memory", "runtime.max-memory"),
            (Limits { tables: 20_001, ..with() }, "tables", "0 to 20000"),
            (Limits { cpu: 0, ..with() }, "cpu", "1 to 1600"),
            (Limits { cpu: 1601, ..with() }, "cpu", "1 to 1600"),
            (Limits { concurrency: 0, ..with() }, "concurrency", "at least 1"),
            (Limits { reuse: 0, ..with() }, "reuse", "at least 1"),
            (Limits { sql_connections: 0, ..with() }, "sql-connections", "at least 1"),
            (Limits { sql_transactions: 0, ..with() }, "sql-transactions", "at least 1"),
            (Limits { deadline: Duration::ZERO, ..with() }, "deadline", "1ms to 86400s"),
            (Limits { deadline: LONGEST + second, ..with() }, "deadline", "1ms to 86400s"),
            (Limits { reuse_idle: Duration::MAX, ..with() }, "reuse-idle", "0ns to 86400s"),
        ] {
            let error = refused(&limits);
            assert!(error.starts_with(&format!("services.a.limits.{key} = ")), "{error}");
            assert!(error.contains(allowed), "{error}");
        }
    }

    #[test]
    fn what_operators_are_shown_and_what_is_stored_has_every_limit() {
        let shown = serde_json::to_value(Limits::default()).expect("JSON");
        for key in ["memory", "tables", "deadline", "cpu", "reuse", "reuse-idle", "typed-calls", "sql-statements"] {
            assert!(!shown[key].is_null(), "{key} is missing in {shown}");
        }
        let stored: Limits = serde_json::from_value(shown).expect("what was stored");
        assert_eq!((stored.tables, stored.reuse_idle), (MAX_TABLES, Duration::from_secs(10)));
        let older: Limits = serde_json::from_str(r#"{"memory":"8 MiB"}"#).expect("by a host that knew fewer");
        assert_eq!((older.memory, older.reuse, older.typed_calls), (ByteSize::mib(8), 1, 256));
    }
}
