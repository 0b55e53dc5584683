//! What a component says of itself, checked: nothing in it is trusted until it is one of these types.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::bindings::exports::provesi::platform::service as wit;
use crate::db::ledger::Migration;
use crate::runtime::Compiled;

/// Bytes of all texts of a description; schemas and migrations included, the four services have 60 kB at most.
const MAX_BYTES: usize = 2 << 20;

/// Routes of one service.
const MAX_ROUTES: usize = 500;

/// A checked description.
#[derive(Debug)]
pub struct ServiceDescription {
    /// Version of the service's own code.
    pub version: semver::Version,
    /// One sentence for people.
    pub summary: String,
    /// The routes, in the component's order.
    pub routes: Vec<Route>,
    /// Schema changes, oldest first.
    pub migrations: Vec<Migration>,
    /// Work on a schedule.
    pub tasks: Vec<Task>,
    /// Exported functions that may be called again after a fault, as `package/interface#function`.
    idempotent: BTreeSet<String>,
}

/// One method on one path pattern.
#[derive(Debug)]
pub struct Route {
    /// What `handle` switches on.
    pub operation: String,
    /// The HTTP method.
    pub method: Method,
    /// The pattern, from the root: `/api/orders/{id:int}/`.
    pub pattern: String,
    /// Who may call it.
    pub access: Access,
    /// Whether it is public when the gateway is open.
    pub open_in_legacy: bool,
    /// Request headers that cross, in lower case.
    pub headers: Vec<String>,
    /// Whether it reads a body.
    pub takes_body: bool,
}

/// HTTP methods that a route can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or acts.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        })
    }
}

/// Who may call a route.
#[derive(Debug)]
pub enum Access {
    /// Everybody.
    Public,
    /// Whoever has a valid token.
    SignedIn,
    /// Whoever has a valid token with one of these roles.
    Roles(Vec<String>),
}

/// Work that the host starts on a schedule.
#[derive(Clone, Debug)]
pub struct Task {
    /// What the worker switches on.
    pub name: String,
    /// From the end of one run to the start of the next.
    pub interval: Duration,
    /// Longest time of one run.
    pub deadline: Duration,
}

/// What is wrong with a description.
#[derive(Debug, thiserror::Error)]
#[error("its description has {what} {value:?}: {allowed}")]
pub struct DescriptionError {
    what: &'static str,
    value: String,
    allowed: &'static str,
}

fn wrong(what: &'static str, value: &str, allowed: &'static str) -> DescriptionError {
    DescriptionError { what, value: value.chars().take(200).collect(), allowed }
}

impl TryFrom<wit::Description> for ServiceDescription {
    type Error = DescriptionError;

    fn try_from(described: wit::Description) -> Result<Self, DescriptionError> {
        let size = size(&described);
        if size > MAX_BYTES {
            return Err(wrong("texts", &format!("{size} bytes"), "at most 2 MiB in all"));
        }
        let version = described
            .version
            .parse()
            .map_err(|_| wrong("version", &described.version, "a semantic version such as 1.4.0"))?;
        if described.api_version != 1 {
            return Err(wrong("api-version", &described.api_version.to_string(), "1"));
        }
        if described.routes.len() > MAX_ROUTES {
            return Err(wrong("routes", &described.routes.len().to_string(), "at most 500"));
        }
        let mut operations = BTreeSet::new();
        let mut routes = Vec::new();
        for route in described.routes {
            if !operations.insert(route.operation.clone()) {
                return Err(wrong("operation", &route.operation, "each only once"));
            }
            routes.push(Route::try_from(route)?);
        }
        let mut names = BTreeSet::new();
        for migration in &described.migrations {
            if !is_word(&migration.name) || !names.insert(&migration.name) {
                return Err(wrong("migration", &migration.name, "letters, digits and '_', each only once"));
            }
        }
        let migrations = described
            .migrations
            .into_iter()
            .map(|found| Migration {
                name: found.name,
                contracts: found.phase == wit::MigrationPhase::Contract,
                sqlite: found.sqlite,
                postgres: found.postgres,
            })
            .collect();
        let tasks = described.tasks.into_iter().map(Task::try_from).collect::<Result<_, _>>()?;
        let idempotent = described.idempotent.into_iter().collect();
        Ok(Self { version, summary: described.summary, routes, migrations, tasks, idempotent })
    }
}

/// Returns the bytes of all texts; what is kept of them lives as long as the revision.
fn size(described: &wit::Description) -> usize {
    let texts = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
    let routes = described.routes.iter().map(|route| {
        let roles = if let wit::Access::Roles(roles) = &route.access { texts(roles) } else { 0 };
        let schemas = [&route.request_schema, &route.response_schema].into_iter().flatten().map(String::len);
        route.path.len() + route.summary.len() + texts(&route.headers) + roles + schemas.sum::<usize>()
    });
    let migrations = described.migrations.iter().map(|found| found.sqlite.len() + found.postgres.len());
    let tasks = described.tasks.iter().map(|task| task.name.len());
    let rest = described.summary.len() + texts(&described.subscriptions) + texts(&described.idempotent);
    routes.sum::<usize>() + migrations.sum::<usize>() + tasks.sum::<usize>() + rest
}

impl ServiceDescription {
    /// Checks that what it says of its exports is about exports.
    ///
    /// # Errors
    /// When it names a function that the component does not export.
    pub(super) fn check_exports(&self, compiled: &Compiled) -> Result<(), DescriptionError> {
        const ALLOWED: &str = "package/interface#function, which the component exports";
        let mut exports = BTreeSet::new();
        for (interface, funcs) in compiled.peer_exports() {
            exports.extend(funcs.funcs.keys().map(|function| unversioned(interface, function)));
        }
        match self.idempotent.iter().find(|name| !exports.contains(*name)) {
            Some(name) => Err(wrong("idempotent", name, ALLOWED)),
            None => Ok(()),
        }
    }

    /// Says whether an exported function may be called again after a fault.
    pub(super) fn is_idempotent(&self, interface: &str, function: &str) -> bool {
        !self.idempotent.is_empty() && self.idempotent.contains(&unversioned(interface, function))
    }
}

/// Names a function in all versions of its interface.
fn unversioned(interface: &str, function: &str) -> String {
    let interface = interface.split('@').next().unwrap_or(interface);
    format!("{interface}#{function}")
}

impl TryFrom<wit::Route> for Route {
    type Error = DescriptionError;

    fn try_from(route: wit::Route) -> Result<Self, DescriptionError> {
        if !is_word(&route.operation.replace('-', "_")) {
            return Err(wrong("operation", &route.operation, "letters, digits, '-' and '_'"));
        }
        check_path(&route.path)?;
        for header in &route.headers {
            // A guest that reads credentials could hand them on.
            if ["authorization", "cookie"].contains(&header.as_str()) {
                return Err(wrong("header", header, "credentials never cross to a service"));
            }
            if header.parse::<hyper::header::HeaderName>().is_err() || header.to_ascii_lowercase() != *header {
                return Err(wrong("header", header, "a header's name in lower case"));
            }
        }
        Ok(Self {
            operation: route.operation,
            method: match route.method {
                wit::Method::Get => Method::Get,
                wit::Method::Post => Method::Post,
                wit::Method::Put => Method::Put,
                wit::Method::Patch => Method::Patch,
                wit::Method::Delete => Method::Delete,
            },
            pattern: format!("/api{}", route.path),
            access: match route.access {
                wit::Access::Public => Access::Public,
                wit::Access::SignedIn => Access::SignedIn,
                wit::Access::Roles(roles) => Access::Roles(roles),
            },
            open_in_legacy: route.open_in_legacy,
            headers: route.headers,
            takes_body: route.request_schema.is_some(),
        })
    }
}

impl TryFrom<wit::Task> for Task {
    type Error = DescriptionError;

    fn try_from(task: wit::Task) -> Result<Self, DescriptionError> {
        if task.interval_ms < 100 || task.deadline_ms == 0 {
            return Err(wrong("task", &task.name, "an interval of at least 100 ms and a deadline"));
        }
        Ok(Self {
            name: task.name,
            interval: Duration::from_millis(task.interval_ms),
            deadline: Duration::from_millis(task.deadline_ms),
        })
    }
}

fn is_word(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn check_path(path: &str) -> Result<(), DescriptionError> {
    const ALLOWED: &str = "/segment/{name}/ with plain segments, and int or text after a ':'";
    let inner = path.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    let inner = inner.filter(|_| path.len() <= 200).ok_or_else(|| wrong("path", path, ALLOWED))?;
    for segment in inner.split('/') {
        let valid = match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(parameter) => {
                let (name, kind) = parameter.split_once(':').unwrap_or((parameter, "text"));
                is_word(name) && ["int", "text"].contains(&kind)
            }
            None => is_word(&segment.replace(['-', '.'], "_")) && segment != "." && segment != "..",
        };
        if !valid {
            return Err(wrong("path", path, ALLOWED));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_plain_segments_and_parameters() {
        for good in ["/orders/", "/orders/{id:int}/", "/orders/{product_name:text}/", "/a/{b}/c-d/"] {
            assert!(check_path(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "orders/",
            "/orders",
            "//",
            "/a//",
            "/../",
            "/{}/",
            "/{a:float}/",
            "/{*a}/",
            "/a{b}/",
            "/a b/",
            "/ñ/",
        ] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }
}
