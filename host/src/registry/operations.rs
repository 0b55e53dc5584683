//! What a revision can be asked for, route by route and function by function, each with its breaker.
//!
//! Made once from what the component says of itself, so there are as many as it has routes and exported functions. A
//! swap and a canary begin with fresh ones.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::breaker::{Breaker, Phase};
use super::description::{Method, ServiceDescription};
use crate::config::BreakerConfig;
use crate::runtime::Compiled;

/// One route, or one function that is exported to other services.
pub struct Operation {
    /// The route's operation, or `package/interface@version#function`.
    pub name: String,
    /// Whether a call that ended in a fault may be made again: a GET, or a function that is declared so.
    pub is_idempotent: bool,
    /// Keeps calls away while it fails.
    pub breaker: Breaker,
}

/// All operations of one revision.
pub struct Operations {
    routes: HashMap<String, Operation>,
    /// By the interface's full name and the function's.
    functions: BTreeMap<String, BTreeMap<String, Operation>>,
}

impl Operations {
    /// Makes those of a component, with closed breakers.
    pub(super) fn new(description: &ServiceDescription, compiled: &Compiled, rules: BreakerConfig) -> Self {
        let now = Instant::now();
        let operation = |name, is_idempotent| Operation { name, is_idempotent, breaker: Breaker::new(rules, now) };
        let routes = description.routes.iter().map(|route| {
            let name = route.operation.clone();
            (name.clone(), operation(name, route.method == Method::Get))
        });
        let functions = compiled.peer_exports().map(|(interface, funcs)| {
            let functions = funcs.funcs.keys().map(|function| {
                let is_idempotent = description.is_idempotent(interface, function);
                (function.clone(), operation(format!("{interface}#{function}"), is_idempotent))
            });
            (interface.clone(), functions.collect())
        });
        Self { routes: routes.collect(), functions: functions.collect() }
    }

    /// Finds that of a route.
    pub fn route(&self, operation: &str) -> Option<&Operation> {
        self.routes.get(operation)
    }

    /// Finds that of an exported function, by the interface's full name.
    pub fn function(&self, interface: &str, function: &str) -> Option<&Operation> {
        self.functions.get(interface)?.get(function)
    }

    /// Returns the phase of the breaker that is in the worst one.
    pub fn worst(&self, now: Instant) -> Phase {
        let all = self.routes.values().chain(self.functions.values().flat_map(BTreeMap::values));
        all.map(|operation| operation.breaker.phase(now)).max().unwrap_or(Phase::Closed)
    }
}
