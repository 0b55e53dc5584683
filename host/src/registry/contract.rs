//! The contract check: does every typed import find what it expects in all live revisions of who exports it?
//!
//! It needs compiled components and nothing else, so that it can be tried alone on pairs of WIT (`tests/contracts`).
//! Types are compared by structure: names of fields, cases and parameters count, names of types do not. Versions of
//! interfaces agree as semver says (see [`track`]).
//!
//! Not here: two services that export one interface (see `snapshot`), grants and resources (see `runtime`).

mod compare;
mod show;

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use self::compare::difference;
use self::show::signature;
use crate::runtime::{Compiled, InterfaceFuncs, is_platform, is_wasi, track};

/// One live revision as the contract check sees it.
pub struct Party<'a> {
    /// The service; its revisions have this in common.
    pub service: &'a str,
    /// What people call the revision, `name@7`.
    pub label: String,
    /// What it imports and exports.
    pub compiled: &'a Compiled,
}

/// An import that is not satisfied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Breach {
    /// Label of the revision that imports.
    pub consumer: String,
    /// Label of the revision that does not satisfy it; none when no live service exports the interface.
    pub exporter: Option<String>,
    /// Full name of the interface, as it is imported.
    pub interface: String,
    /// The function; none when the whole interface is missing.
    pub function: Option<String>,
    /// Its type as it is imported, written as WIT.
    pub expected: Option<String>,
    /// Its type as it is exported; none when it is not.
    pub actual: Option<String>,
    /// What is wrong, in words; it names the place in a nested type.
    pub reason: String,
}

/// Checks all typed imports of one revision against all live revisions, itself among them.
///
/// A service exports an interface if one of its live revisions does; then each of them must satisfy the import,
/// because a call may reach any of them. An interface without functions needs nobody: its types are compared where
/// functions use them.
///
/// Ordered by interface, then as `live` is, then by function; empty when nothing is wrong.
pub fn breaches(consumer: &Party<'_>, live: &[Party<'_>]) -> Vec<Breach> {
    typed_imports(consumer.compiled)
        .map(|(interface, funcs)| Import { consumer: &consumer.label, interface, funcs })
        .flat_map(|import| import.breaches(live))
        .collect()
}

/// Returns the imports that other services have to satisfy.
pub(super) fn typed_imports(compiled: &Compiled) -> impl Iterator<Item = (&String, &InterfaceFuncs)> {
    let imports = compiled.imports().iter();
    imports.filter(|(name, funcs)| !is_wasi(name) && !is_platform(name) && !is_only_types(funcs))
}

/// One typed import of a revision.
struct Import<'a> {
    consumer: &'a str,
    interface: &'a str,
    funcs: &'a InterfaceFuncs,
}

impl Import<'_> {
    fn breaches(&self, live: &[Party<'_>]) -> Vec<Breach> {
        let track = track(self.interface);
        let exporting = live.iter().filter(|party| party.compiled.exported_as(&track).is_some());
        let services: BTreeSet<&str> = exporting.map(|party| party.service).collect();
        if services.is_empty() {
            return vec![self.breach(None, self.unexported(live))];
        }
        let asked = live.iter().filter(|party| services.contains(party.service));
        asked.flat_map(|party| self.held_against(party, &track)).collect()
    }

    fn held_against(&self, exporter: &Party<'_>, track: &str) -> Vec<Breach> {
        if let Some(exported) = exported(exporter.compiled, track) {
            return self.functions(exporter, exported);
        }
        let reason = "another live revision of the service exports the interface, this one does not";
        vec![self.breach(Some(exporter), reason.to_owned())]
    }

    fn functions(&self, exporter: &Party<'_>, exported: &InterfaceFuncs) -> Vec<Breach> {
        let mut found = Vec::new();
        for (function, expected) in &self.funcs.funcs {
            let actual = exported.funcs.get(function);
            let reason = match actual {
                Some(actual) => difference(expected, actual),
                None => Some("the function is not exported".to_owned()),
            };
            found.extend(reason.map(|reason| Breach {
                function: Some(function.clone()),
                expected: Some(signature(expected)),
                actual: actual.map(signature),
                ..self.breach(Some(exporter), reason)
            }));
        }
        found
    }

    /// Says that nobody exports it, and who exports a version that does not agree.
    fn unexported(&self, live: &[Party<'_>]) -> String {
        let mut others = BTreeSet::new();
        for party in live {
            let names = party.compiled.peer_exports().map(|(name, _)| name);
            let same = names.filter(|name| unversioned(name) == unversioned(self.interface));
            others.extend(same.map(|name| format!("{} exports {name}", party.label)));
        }
        if others.is_empty() {
            return "no live service exports it".to_owned();
        }
        let others: Vec<String> = others.into_iter().collect();
        format!("no live service exports a version that agrees with it; {}", others.join(", "))
    }

    fn breach(&self, exporter: Option<&Party<'_>>, reason: String) -> Breach {
        Breach {
            consumer: self.consumer.to_owned(),
            exporter: exporter.map(|party| party.label.clone()),
            interface: self.interface.to_owned(),
            function: None,
            expected: None,
            actual: None,
            reason,
        }
    }
}

/// Finds what a call on a track reaches.
fn exported<'a>(compiled: &'a Compiled, track: &str) -> Option<&'a InterfaceFuncs> {
    let full = compiled.exported_as(track)?;
    compiled.peer_exports().find(|(name, _)| name.as_str() == full).map(|(_, funcs)| funcs)
}

/// Says whether nothing of an interface can be called.
fn is_only_types(interface: &InterfaceFuncs) -> bool {
    interface.funcs.is_empty() && !interface.has_resources
}

fn unversioned(interface: &str) -> &str {
    interface.split_once('@').map_or(interface, |(name, _)| name)
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} imports {}", self.consumer, self.interface)?;
        if let Some(function) = &self.function {
            write!(f, "#{function}")?;
        }
        if let Some(expected) = &self.expected {
            write!(f, " as {expected}")?;
        }
        if let Some(exporter) = &self.exporter {
            write!(f, " from {exporter}")?;
        }
        if let Some(actual) = &self.actual {
            write!(f, ", which exports it as {actual}")?;
        }
        write!(f, ": {}", self.reason)
    }
}
