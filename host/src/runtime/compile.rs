//! From bytes to code, and what a component imports and exports.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use wasmtime::Engine;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex};

use super::compiler::is_whole;
use super::{Runtime, is_platform, track};
use crate::names::ComponentDigest;

/// A compiled component, not yet linked.
pub struct Compiled {
    pub(super) component: Component,
    digest: ComponentDigest,
    imports: BTreeMap<String, InterfaceFuncs>,
    exports: BTreeMap<String, InterfaceFuncs>,
    /// Full names of the exports by what of them must agree with an import.
    tracks: BTreeMap<String, String>,
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
pub struct CompileError(#[source] pub(super) wasmtime::Error);

impl CompileError {
    /// Says what is wrong, on one line.
    pub fn reason(&self) -> String {
        format!("{:#}", self.0).replace('\n', " ")
    }
}

impl Runtime {
    /// Compiles in a process of its own, or takes the code from the cache.
    ///
    /// # Errors
    /// When the bytes are no valid component, or it takes too long.
    pub async fn compile_aside(&self, bytes: &Bytes) -> Result<Compiled, CompileError> {
        let digest = ComponentDigest::of(bytes);
        let file = self.compiler.file(digest);
        let load = {
            let (engine, file) = (self.engine.clone(), file.clone());
            move || load(&engine, &file).map(|component| inspect(&engine, component, digest))
        };
        let kept = load.clone();
        if let Some(kept) = aside(move || if is_whole(&file, digest) { kept().ok() } else { None }).await {
            return Ok(kept);
        }
        self.compiler.compile(digest, bytes).await?;
        aside(load).await
    }

    /// Compiles in this process: for tools that need no bound.
    ///
    /// # Errors
    /// When the bytes are no valid component.
    pub fn compile(&self, bytes: &[u8]) -> Result<Compiled, CompileError> {
        let component = Component::from_binary(&self.engine, bytes).map_err(CompileError)?;
        Ok(inspect(&self.engine, component, ComponentDigest::of(bytes)))
    }
}

/// Does what takes milliseconds on a thread that serves nobody.
async fn aside<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Who waits here ends with the runtime as well.
            Err(_) => std::future::pending().await,
        },
    }
}

#[expect(unsafe_code, reason = "code cannot be checked, only trusted")]
fn load(engine: &Engine, file: &Path) -> Result<Component, CompileError> {
    // SAFETY: `compiler` alone writes files of that name, in a folder that is the host's own, and never changes one;
    // wasmtime refuses code of another engine.
    unsafe { Component::deserialize_file(engine, file) }.map_err(CompileError)
}

fn inspect(engine: &Engine, component: Component, digest: ComponentDigest) -> Compiled {
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
    // Of two versions on one track the newer one answers: collected last, it stays.
    let mut names: Vec<&String> = exports.keys().filter(|name| !is_platform(name)).collect();
    names.sort_by_key(|name| name.split_once('@').and_then(|(_, version)| semver::Version::parse(version).ok()));
    let tracks = names.into_iter().map(|name| (track(name), name.clone())).collect();
    Compiled { component, digest, imports, exports, tracks }
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

    /// Finds the export that an import on a track gets, by its full name.
    pub fn exported_as(&self, track: &str) -> Option<&str> {
        self.tracks.get(track).map(String::as_str)
    }

    /// Returns the tracks of what it offers to other services.
    pub fn exported_tracks(&self) -> impl Iterator<Item = &str> {
        self.tracks.keys().map(String::as_str)
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
