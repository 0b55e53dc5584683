//! The contract check: does every typed import find a live export with the same types?
//!
//! Types are compared by structure, across components; names of records do not count, names of fields, cases and
//! parameters do not either where wasmtime does not compare them.

use std::sync::Arc;

use wasmtime::component::types::ComponentFunc;

use super::snapshot::Revision;
use crate::names::ServiceName;
use crate::runtime::{is_platform, is_wasi};

/// An import that is not satisfied.
#[derive(Debug, thiserror::Error)]
pub enum Breach {
    /// Nobody exports the interface.
    #[error("{consumer} imports {interface}, which no live service exports")]
    NoExporter {
        /// Who imports it.
        consumer: ServiceName,
        /// What it imports.
        interface: String,
    },
    /// The exported interface lacks a function.
    #[error("{consumer} imports {interface}#{function}, which {exporter} does not export")]
    NoFunction {
        /// Who imports it.
        consumer: ServiceName,
        /// The interface.
        interface: String,
        /// The function.
        function: String,
        /// Who exports the interface without it.
        exporter: ServiceName,
    },
    /// The types differ.
    #[error("{consumer} imports {interface}#{function} as {expected}, but {exporter} exports it as {actual}")]
    Types {
        /// Who imports it.
        consumer: ServiceName,
        /// The interface.
        interface: String,
        /// The function.
        function: String,
        /// Who exports it otherwise.
        exporter: ServiceName,
        /// The type that is imported.
        expected: String,
        /// The type that is exported.
        actual: String,
    },
}

/// Checks all typed imports of a revision against what is exported.
///
/// # Errors
/// The first import that is not satisfied.
pub(super) fn check<'s>(
    consumer: &Revision,
    exporter: impl Fn(&str) -> Option<(&'s Arc<Revision>, &'s str)>,
) -> Result<(), Box<Breach>> {
    for (interface, imported) in consumer.linked.compiled().imports() {
        if is_wasi(interface) || is_platform(interface) {
            continue;
        }
        let consumer = || consumer.service.clone();
        let Some((revision, exported_as)) = exporter(interface) else {
            return Err(Breach::NoExporter { consumer: consumer(), interface: interface.clone() }.into());
        };
        let exports = revision.linked.compiled().peer_exports();
        let exported = exports.into_iter().find(|(name, _)| name.as_str() == exported_as).map(|(_, funcs)| funcs);
        for (function, expected) in &imported.funcs {
            let (interface, function) = (interface.clone(), function.clone());
            let exporter = revision.service.clone();
            let Some(actual) = exported.and_then(|exported| exported.funcs.get(&function)) else {
                return Err(Breach::NoFunction { consumer: consumer(), interface, function, exporter }.into());
            };
            if !same(expected, actual) {
                let (expected, actual) = (signature(expected), signature(actual));
                return Err(
                    Breach::Types { consumer: consumer(), interface, function, exporter, expected, actual }.into()
                );
            }
        }
    }
    Ok(())
}

fn same(expected: &ComponentFunc, actual: &ComponentFunc) -> bool {
    expected.params().map(|(_, ty)| ty).eq(actual.params().map(|(_, ty)| ty)) && expected.results().eq(actual.results())
}

mod show;
use self::show::signature;
