//! From bytes to code, and what a component imports and exports.

use std::collections::BTreeMap;

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex};

use super::{Runtime, is_platform};
use crate::names::ComponentDigest;

/// A compiled component, not yet linked.
pub struct Compiled {
    pub(super) component: Component,
    digest: ComponentDigest,
    imports: BTreeMap<String, InterfaceFuncs>,
    exports: BTreeMap<String, InterfaceFuncs>,
}

/// The functions of an interface, by name.
pub struct InterfaceFuncs {
    /// Type and, in an export, place of each function.
    pub funcs: BTreeMap<String, ComponentFunc>,
    pub(super) indices: BTreeMap<String, ComponentExportIndex>,
    /// Whether it has resources, which cannot cross between services.
    pub has_resources: bool,
}

/// The bytes are no component that this host can run.
#[derive(Debug, thiserror::Error)]
#[error("not a component that this host can run")]
pub struct CompileError(#[source] wasmtime::Error);

impl Runtime {
    /// Compiles a component, or takes its code from the cache. Takes a core for a while: not for async threads.
    ///
    /// # Errors
    /// When the bytes are no valid component.
    pub fn compile(&self, bytes: &[u8]) -> Result<Compiled, CompileError> {
        let component = Component::from_binary(&self.engine, bytes).map_err(CompileError)?;
        let engine = &self.engine;
        let ty = component.component_type();
        let mut imports = BTreeMap::new();
        for (name, item) in ty.imports(engine) {
            if let ComponentItem::ComponentInstance(instance) = item.ty {
                let items = instance.exports(engine).map(|(name, item)| (name, item.ty));
                imports.insert(name.to_owned(), InterfaceFuncs::collect(items, |_| None));
            } else {
                imports.insert(name.to_owned(), InterfaceFuncs::collect(std::iter::empty(), |_| None));
            }
        }
        let mut exports = BTreeMap::new();
        for (name, item) in ty.exports(engine) {
            let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
            let interface = component.get_export_index(None, name);
            let items = instance.exports(engine).map(|(name, item)| (name, item.ty));
            let index = |func: &str| component.get_export_index(interface.as_ref(), func);
            exports.insert(name.to_owned(), InterfaceFuncs::collect(items, index));
        }
        Ok(Compiled { component, digest: ComponentDigest::of(bytes), imports, exports })
    }
}

impl Compiled {
    /// Returns the digest of the bytes.
    pub fn digest(&self) -> ComponentDigest {
        self.digest
    }

    /// Returns what it needs, by full interface name.
    pub fn imports(&self) -> &BTreeMap<String, InterfaceFuncs> {
        &self.imports
    }

    /// Returns what it offers to other services, by full interface name.
    pub fn peer_exports(&self) -> impl Iterator<Item = (&String, &InterfaceFuncs)> {
        self.exports.iter().filter(|(name, _)| !is_platform(name))
    }

    pub(super) fn export_index(&self, interface: &str, func: &str) -> Option<&ComponentExportIndex> {
        self.exports.get(interface)?.indices.get(func)
    }

    pub(super) fn exports_interface(&self, interface: &str) -> bool {
        self.exports.contains_key(interface)
    }
}

impl InterfaceFuncs {
    fn collect<'a>(
        items: impl Iterator<Item = (&'a str, ComponentItem)>,
        index: impl Fn(&str) -> Option<ComponentExportIndex>,
    ) -> Self {
        let mut this = Self { funcs: BTreeMap::new(), indices: BTreeMap::new(), has_resources: false };
        for (name, item) in items {
            match item {
                ComponentItem::ComponentFunc(ty) => {
                    this.indices.extend(index(name).map(|index| (name.to_owned(), index)));
                    this.funcs.insert(name.to_owned(), ty);
                }
                ComponentItem::Resource(_) => this.has_resources = true,
                _ => {}
            }
        }
        this
    }
}
