//! From a [`Service`] to the component's exports `describe` and `handle`.

use std::time::Duration;

use crate::bindings::exports::provesi::platform::service as wit;
use crate::{Access, Error, Migration, Request, Response, Route, Subscription, Task, log};

/// A service: a table of routes and what travels with it.
pub trait Service {
    /// Version of the service's own code, semver; most often `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// One sentence for people.
    const SUMMARY: &'static str;
    /// The routes, each with its handler.
    const ROUTES: &'static [Route];
    /// Schema changes, oldest first.
    const MIGRATIONS: &'static [Migration] = &[];
    /// Topics of the events that it publishes, each `<its own name>.<what>`; needs the grant `events`.
    const TOPICS: &'static [&'static str] = &[];
    /// What it does about the events of others; needs the export `subscriber`.
    const SUBSCRIPTIONS: &'static [Subscription] = &[];
    /// Work on a schedule; needs the export `worker`.
    const TASKS: &'static [Task] = &[];
    /// Exported functions that may be called again after a fault of this service, as `package/interface#function`: a
    /// second call of the same arguments changes nothing more.
    const IDEMPOTENT: &'static [&'static str] = &[];
}

/// Exports a [`Service`] from the component.
#[macro_export]
macro_rules! export_service {
    ($service:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            impl $crate::bindings::exports::provesi::platform::service::Guest for Component {
                fn describe() -> $crate::bindings::exports::provesi::platform::service::Description {
                    $crate::describe::<$service>()
                }

                fn handle(
                    request: $crate::bindings::exports::provesi::platform::service::Request,
                ) -> $crate::bindings::exports::provesi::platform::service::Response {
                    $crate::report_panics();
                    $crate::handle::<$service>(request)
                }
            }

    $crate::bindings::export_platform!(Component with_types_in $crate::bindings);
        };
    };
}

/// Makes the description of a service.
pub fn describe<S: Service>() -> wit::Description {
    wit::Description {
        version: S::VERSION.to_owned(),
        api_version: 1,
        summary: S::SUMMARY.to_owned(),
        routes: S::ROUTES.iter().map(describe_route).collect(),
        migrations: S::MIGRATIONS
            .iter()
            .map(|migration| wit::Migration {
                name: migration.name.to_owned(),
                phase: migration.phase,
                sqlite: migration.sqlite.to_owned(),
                postgres: migration.postgres.to_owned(),
            })
            .collect(),
        topics: S::TOPICS.iter().map(|topic| (*topic).to_owned()).collect(),
        subscriptions: S::SUBSCRIPTIONS.iter().map(|subscription| subscription.topic.to_owned()).collect(),
        tasks: S::TASKS
            .iter()
            .map(|task| wit::Task {
                name: task.name.to_owned(),
                interval_ms: task.interval.map(milliseconds),
                cron: task.cron.map(str::to_owned),
                deadline_ms: milliseconds(task.deadline),
            })
            .collect(),
        idempotent: S::IDEMPOTENT.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn describe_route(route: &Route) -> wit::Route {
    wit::Route {
        operation: route.operation.to_owned(),
        method: route.method,
        path: route.path.to_owned(),
        access: match route.access {
            Access::Public => wit::Access::Public,
            Access::SignedIn => wit::Access::SignedIn,
            Access::Roles(roles) => wit::Access::Roles(roles.iter().map(|role| (*role).to_owned()).collect()),
        },
        open_in_legacy: route.open_in_legacy,
        summary: route.summary.to_owned(),
        headers: route.headers.iter().map(|name| (*name).to_owned()).collect(),
        request_schema: route.request_schema.map(|schema| schema()),
        response_schema: route.response_schema.map(|schema| schema()),
    }
}

/// Answers a request with the handler of its operation; 501 for one that was not described.
pub fn handle<S: Service>(request: wit::Request) -> wit::Response {
    let Some(route) = S::ROUTES.iter().find(|route| route.operation == request.operation) else {
        return wit::Response { status: 501, headers: Vec::new(), body: Vec::new() };
    };
    let request = Request::new(request);
    (route.handler)(&request).unwrap_or_else(Error::into_response).into_wit()
}

/// Sends panics to the log, with message and place, before they become traps.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        log::error(message, &[("panic.location", &place)]);
    }));
}

impl Response {
    fn into_wit(self) -> wit::Response {
        wit::Response { status: self.status, headers: self.headers, body: self.body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Greeter;

    impl Service for Greeter {
        const VERSION: &'static str = "0.1.0";
        const SUMMARY: &'static str = "Greets.";
        const ROUTES: &'static [Route] = &[Route::get("/hello/", "greet", |_| Ok(Response::ok("hello")))];
    }

    fn status(operation: &str) -> u16 {
        let request = wit::Request {
            operation: operation.to_owned(),
            path_params: Vec::new(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            caller: None,
            request_id: String::new(),
        };
        handle::<Greeter>(request).status
    }

    #[test]
    fn an_operation_that_was_not_described_is_not_implemented() {
        assert_eq!((status("greet"), status("part")), (200, 501));
    }
}
