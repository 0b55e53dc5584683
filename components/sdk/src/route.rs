//! The table of routes: what the host is told and what answers.

use std::borrow::Cow;
use std::time::Duration;

use schemars::consts::meta_schemas::DRAFT2020_12;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::bindings::exports::provesi::platform::service::Method;
pub use crate::bindings::exports::provesi::platform::service::MigrationPhase;
use crate::{Request, Response, Result, json};

/// Answers one operation.
pub type Handler = fn(&Request) -> Result<Response>;

/// Who may call a route.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// Everybody.
    Public,
    /// Whoever has a valid token.
    SignedIn,
    /// Whoever has a valid token with one of these roles.
    Roles(&'static [&'static str]),
}

/// One method on one path, and its handler.
///
/// Starts as signed-in only; each builder method changes one thing.
pub struct Route {
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) handler: Handler,
    pub(crate) access: Access,
    pub(crate) open_in_legacy: bool,
    pub(crate) summary: &'static str,
    pub(crate) headers: &'static [&'static str],
    pub(crate) request_schema: Option<fn() -> String>,
    pub(crate) response_schema: Option<fn() -> String>,
}

/// One change of the schema, for both databases.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// `NNNN_what`.
    pub name: &'static str,
    /// What it does to revisions that do not know it.
    pub phase: MigrationPhase,
    /// Statements for SQLite.
    pub sqlite: &'static str,
    /// Statements for PostgreSQL.
    pub postgres: &'static str,
}

impl Migration {
    /// Makes a migration that only adds.
    pub const fn new(name: &'static str, sqlite: &'static str, postgres: &'static str) -> Self {
        Self { name, phase: MigrationPhase::Expand, sqlite, postgres }
    }

    /// Marks a migration after which revisions that do not know it cannot run: it removes or tightens.
    #[must_use]
    pub const fn contracts(mut self) -> Self {
        self.phase = MigrationPhase::Contract;
        self
    }
}

/// Takes a migration's two files from `migrations/<service>/{sqlite,postgres}/<name>.sql`.
#[macro_export]
macro_rules! migration {
    ($service:literal, $name:literal) => {
        $crate::Migration::new(
            $name,
            include_str!(concat!("../../../migrations/", $service, "/sqlite/", $name, ".sql")),
            include_str!(concat!("../../../migrations/", $service, "/postgres/", $name, ".sql")),
        )
    };
}

/// Work that the host starts on a schedule, once among all hosts.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    pub(crate) name: &'static str,
    pub(crate) interval: Option<Duration>,
    pub(crate) cron: Option<&'static str>,
    pub(crate) deadline: Duration,
}

impl Task {
    /// Longest time of one run, unless [`Task::deadline`] says another.
    const DEADLINE: Duration = Duration::from_secs(30);

    /// Runs when the service starts, and again this long after the end of each run.
    pub const fn every(name: &'static str, interval: Duration) -> Self {
        Self { name, interval: Some(interval), cron: None, deadline: Self::DEADLINE }
    }

    /// Runs at the times of an expression of five fields, in UTC: `30 4 * * 1-5`.
    pub const fn cron(name: &'static str, expression: &'static str) -> Self {
        Self { name, interval: None, cron: Some(expression), deadline: Self::DEADLINE }
    }

    /// Says how long one run may take; after a crash of the host in a run, the next one comes that much later.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

impl Route {
    /// A route that reads.
    pub const fn get(path: &'static str, operation: &'static str, handler: Handler) -> Self {
        Self::new(Method::Get, path, operation, handler)
    }

    /// A route that creates or acts.
    pub const fn post(path: &'static str, operation: &'static str, handler: Handler) -> Self {
        Self::new(Method::Post, path, operation, handler)
    }

    /// A route that changes.
    pub const fn patch(path: &'static str, operation: &'static str, handler: Handler) -> Self {
        Self::new(Method::Patch, path, operation, handler)
    }

    /// A route that removes.
    pub const fn delete(path: &'static str, operation: &'static str, handler: Handler) -> Self {
        Self::new(Method::Delete, path, operation, handler)
    }

    const fn new(method: Method, path: &'static str, operation: &'static str, handler: Handler) -> Self {
        Self {
            operation,
            method,
            path,
            handler,
            access: Access::SignedIn,
            open_in_legacy: false,
            summary: "",
            headers: &[],
            request_schema: None,
            response_schema: None,
        }
    }

    /// Says in one sentence what it does.
    #[must_use]
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// Says who may call it.
    #[must_use]
    pub const fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Makes it public when the operator opens the gateway for clients of the old system.
    #[must_use]
    pub const fn open_in_legacy(mut self) -> Self {
        self.open_in_legacy = true;
        self
    }

    /// Names the request headers that the handler reads, in lower case.
    #[must_use]
    pub const fn headers(mut self, names: &'static [&'static str]) -> Self {
        self.headers = names;
        self
    }

    /// Says what the body is.
    #[must_use]
    pub const fn body<T: JsonSchema>(mut self) -> Self {
        self.request_schema = Some(schema::<T>);
        self
    }

    /// Says what a successful response is.
    #[must_use]
    pub const fn answers<T: JsonSchema>(mut self) -> Self {
        self.response_schema = Some(schema::<T>);
        self
    }
}

fn schema<T: JsonSchema>() -> String {
    root(T::json_schema, T::schema_name)
}

/// Makes a whole schema of a type's; one function for all types, where `into_root_schema_for` is one for each.
fn root(of_type: fn(&mut SchemaGenerator) -> Schema, name: fn() -> Cow<'static, str>) -> String {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = of_type(&mut generator);
    if schema.get("title").is_none() {
        schema.insert("title".to_owned(), Value::String(name().into_owned()));
    }
    schema.insert("$schema".to_owned(), Value::String(DRAFT2020_12.to_owned()));
    let definitions = generator.take_definitions(true);
    if !definitions.is_empty() {
        schema.insert("$defs".to_owned(), Value::Object(definitions));
    }
    json::to_vec(&schema).ok().and_then(|text| String::from_utf8(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Pet {
        /// What it is called.
        name: String,
        /// Those that live with it.
        friends: Vec<Friend>,
        age: Option<u8>,
        best: Option<Friend>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Friend {
        since: crate::Timestamp,
        notes: BTreeMap<String, f64>,
    }

    fn same<T: JsonSchema>() {
        let whole = SchemaGenerator::new(SchemaSettings::draft2020_12()).into_root_schema_for::<T>();
        assert_eq!(schema::<T>(), serde_json::to_string(&whole).expect("JSON"));
    }

    #[test]
    fn a_schema_is_the_one_that_schemars_makes() {
        same::<Pet>();
        same::<Vec<Pet>>();
        same::<Option<Friend>>();
        same::<String>();
    }
}
