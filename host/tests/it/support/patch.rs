//! Takes a component apart and puts it together again, with functions added to its core modules.
//!
//! What is added comes after all that is there, so that nothing else has to be counted anew.

use std::collections::BTreeMap;
use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent, component_utils, utils};
use wasm_encoder::{
    CodeSection, Component, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, GlobalSection, GlobalType,
    ValType,
};
use wasmparser::{
    CodeSectionReader, Export, ExternalKind, FunctionSectionReader, GlobalSectionReader, Parser, Payload, TypeRef,
};

/// What has to be known of a core module before it is changed.
#[derive(Default)]
pub(crate) struct Module {
    /// How many parameters its signatures have.
    params: Vec<usize>,
    /// The signature of each of its functions, imported ones first.
    signatures: Vec<u32>,
    /// Its imported functions by name.
    imports: BTreeMap<String, u32>,
    /// Its exported functions by name.
    pub(crate) exports: BTreeMap<String, u32>,
    /// How many globals it has, and so the first one that is added.
    pub(crate) globals: u32,
}

/// What is changed of a core module.
#[derive(Default)]
pub(crate) struct Patch {
    /// Functions that are added, each with its signature.
    pub(crate) functions: Vec<(u32, Function)>,
    /// Whether a global is added, which counts from 0.
    pub(crate) counter: bool,
    /// What is called instead of a function.
    pub(crate) calls: BTreeMap<u32, u32>,
    /// What is exported instead of a function, by the name of the export.
    pub(crate) exports: BTreeMap<String, u32>,
}

struct Patching<F> {
    patch_for: F,
    /// For the module that is being written.
    patch: Patch,
}

/// Writes a component anew, with a patch for each of its core modules.
pub(crate) fn patched(component: &[u8], patch_for: impl FnMut(&Module) -> Patch) -> Result<Vec<u8>, Error> {
    let mut made = Component::new();
    let mut patching = Patching { patch_for, patch: Patch::default() };
    patching.parse_component(&mut made, Parser::new(0), component)?;
    Ok(made.finish())
}

// === impl Module ===

impl Module {
    fn read(bytes: &[u8]) -> wasmparser::Result<Self> {
        let mut module = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::TypeSection(section) => {
                    for signature in section.into_iter_err_on_gc_types() {
                        module.params.push(signature?.params().len());
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        match import.ty {
                            TypeRef::Func(signature) => {
                                let function = module.functions();
                                module.imports.insert(import.name.to_owned(), function);
                                module.signatures.push(signature);
                            }
                            TypeRef::Global(_) => module.globals += 1,
                            _ => {}
                        }
                    }
                }
                Payload::FunctionSection(section) => {
                    for signature in section {
                        module.signatures.push(signature?);
                    }
                }
                Payload::GlobalSection(section) => module.globals += section.count(),
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if export.kind == ExternalKind::Func {
                            module.exports.insert(export.name.to_owned(), export.index);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(module)
    }

    /// Returns the imported function of a name.
    pub(crate) fn imported(&self, name: &str) -> Option<u32> {
        self.imports.get(name).copied()
    }

    /// Returns how many functions it has, and so the first one that is added.
    pub(crate) fn functions(&self) -> u32 {
        u32::try_from(self.signatures.len()).expect("a module has fewer")
    }

    /// Returns the signature of a function.
    pub(crate) fn signature(&self, function: u32) -> u32 {
        self.signatures[function as usize]
    }

    /// Returns how many parameters a function has.
    pub(crate) fn params(&self, function: u32) -> u32 {
        let params = self.params[self.signature(function) as usize];
        u32::try_from(params).expect("a function has few parameters")
    }
}

// === impl Patching ===

impl<F> Reencode for Patching<F> {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, Error> {
        Ok(self.patch.calls.get(&function).copied().unwrap_or(function))
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_function_section(self, functions, section)?;
        for (signature, _) in &self.patch.functions {
            functions.function(*signature);
        }
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_global_section(self, globals, section)?;
        if self.patch.counter {
            let counter = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
            globals.global(counter, &ConstExpr::i32_const(0));
        }
        Ok(())
    }

    fn parse_export(&mut self, exports: &mut ExportSection, export: Export<'_>) -> Result<(), Error> {
        let Some(function) = self.patch.exports.get(export.name).copied() else {
            return utils::parse_export(self, exports, export);
        };
        exports.export(export.name, ExportKind::Func, function);
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Result<(), Error> {
        utils::parse_code_section(self, code, section)?;
        for (_, body) in &self.patch.functions {
            code.function(body);
        }
        Ok(())
    }
}

impl<F: FnMut(&Module) -> Patch> ReencodeComponent for Patching<F> {
    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        parser: Parser,
        module: &[u8],
    ) -> Result<(), Error> {
        self.patch = (self.patch_for)(&Module::read(module)?);
        component_utils::parse_component_submodule(self, component, parser, module)?;
        // The numbers of functions outside of the module are others.
        self.patch = Patch::default();
        Ok(())
    }
}
