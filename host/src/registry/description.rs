//! What a component says of itself, checked: nothing in it is trusted until it is one of these types.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::bindings::exports::provesi::platform::service as wit;
use crate::db::ledger::Migration;
use crate::names::ServiceName;
use crate::runtime::Compiled;
use crate::tasks::Schedule;

/// Bytes of all texts of a description; schemas and migrations included, the four services have 60 kB at most.
const MAX_BYTES: usize = 2 << 20;

/// Routes of one service.
const MAX_ROUTES: usize = 500;

/// Tasks that one service can have.
const MAX_TASKS: usize = 100;

/// Longest run of a task: after a crash nobody else runs it for as long.
const MAX_DEADLINE: Duration = Duration::from_secs(3600);

/// Topics that one service can publish, and subscribe to.
const MAX_TOPICS: usize = 100;

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
    /// Topics of the events that it publishes.
    pub topics: BTreeSet<String>,
    /// Topics of the events that it takes.
    pub subscriptions: BTreeSet<String>,
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
    /// When it is due.
    pub schedule: Schedule,
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
        let topics = self::topics("topic", described.topics)?;
        let subscriptions = self::topics("subscription", described.subscriptions)?;
        if described.tasks.len() > MAX_TASKS {
            return Err(wrong("tasks", &described.tasks.len().to_string(), "at most 100"));
        }
        let mut names = BTreeSet::new();
        for task in &described.tasks {
            if !is_word(&task.name.replace('-', "_")) || !names.insert(&task.name) {
                return Err(wrong("task", &task.name, "letters, digits, '-' and '_', each only once"));
            }
        }
        let tasks = described.tasks.into_iter().map(Task::try_from).collect::<Result<_, _>>()?;
        let idempotent = described.idempotent.into_iter().collect();
        Ok(Self { version, summary: described.summary, routes, migrations, topics, subscriptions, tasks, idempotent })
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
    let tasks = described.tasks.iter().map(|task| task.name.len() + task.cron.as_ref().map_or(0, String::len));
    let topics = texts(&described.topics) + texts(&described.subscriptions);
    let rest = described.summary.len() + topics + texts(&described.idempotent);
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

    /// Checks that a service publishes in its own name only.
    ///
    /// # Errors
    /// When one of its topics is another service's.
    pub(super) fn check_topics(&self, service: &ServiceName) -> Result<(), DescriptionError> {
        let own = |topic: &&String| topic.split_once('.').is_some_and(|(owner, _)| owner == service.as_str());
        match self.topics.iter().find(|topic| !own(topic)) {
            Some(topic) => Err(wrong("topic", topic, "a service publishes `<its own name>.<what>`")),
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
        let deadline = Duration::from_millis(task.deadline_ms);
        if deadline.is_zero() || deadline > MAX_DEADLINE {
            return Err(wrong("deadline of a task", &task.deadline_ms.to_string(), "from 1 ms to 1 h"));
        }
        let schedule = match (task.interval_ms, &task.cron) {
            (Some(ms), None) => Schedule::every(Duration::from_millis(ms))
                .map_err(|error| wrong("interval of a task", &ms.to_string(), error.allowed()))?,
            (None, Some(cron)) => {
                Schedule::cron(cron).map_err(|error| wrong("cron expression", cron, error.allowed()))?
            }
            _ => return Err(wrong("schedule of the task", &task.name, "exactly one of interval-ms and cron")),
        };
        Ok(Self { name: task.name, schedule, deadline })
    }
}

/// Checks topics: `<service>.<what>`, of letters that are safe in every broker.
fn topics(kind: &'static str, names: Vec<String>) -> Result<BTreeSet<String>, DescriptionError> {
    if names.len() > MAX_TOPICS {
        return Err(wrong(kind, &names.len().to_string(), "at most 100"));
    }
    let mut found = BTreeSet::new();
    for name in names {
        let valid = name.split_once('.').is_some_and(|(service, what)| {
            let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
            service.parse::<ServiceName>().is_ok() && (1..=60).contains(&what.len()) && what.bytes().all(plain)
        });
        if !valid {
            return Err(wrong(kind, &name, "`<service>.<what>` of a-z, 0-9 and '-'"));
        }
        if found.contains(&name) {
            return Err(wrong(kind, &name, "each only once"));
        }
        found.insert(name);
    }
    Ok(found)
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

    #[test]
    fn topics_name_a_service_and_what_happened_in_it() {
        let check = |name: &str| topics("topic", vec![name.to_owned()]);
        for good in ["a.b", "price-lists.item-renamed", "v2.x9"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "a", ".b", "a.", "a.b.c", "A.b", "a.B", "a.b c", "a.*", "a.#", "1a.b", "a.\u{f1}", "provesi.x"]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&format!("a.{}", "x".repeat(61))).is_err());
        assert!(topics("topic", vec!["a.b".to_owned(), "a.b".to_owned()]).is_err());
        assert!(topics("topic", (0..101).map(|n| format!("a.b{n}")).collect()).is_err());
    }
}
