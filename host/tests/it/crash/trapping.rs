//! Makes a component trap at every tenth call of what it exports for others, after the work is done: its effects are
//! there, and nobody is told.
//!
//! Each function of an interface gets one around it that counts. An instance keeps the count, so it takes a service
//! whose instances are reused (`limits.reuse`).

use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent, component_utils, utils};
use wasm_encoder::{
    BlockType, CodeSection, Component, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, GlobalSection,
    GlobalType, Instruction, ValType,
};
use wasmparser::{
    CodeSectionReader, Export, ExternalKind, FunctionSectionReader, GlobalSectionReader, Parser, Payload, TypeRef,
};

/// Which call of an instance is its last.
const TENTH: i32 = 10;

const VALID: &str = "a component as it was built is valid";

/// Makes the component trap at calls of an interface, `package/interface@`.
pub(super) fn trapping(component: &[u8], interface: &str) -> Vec<u8> {
    let mut trapping = Trapping { interface: interface.to_owned(), module: Module::default(), wrapped: 0 };
    let mut made = Component::new();
    trapping.parse_component(&mut made, Parser::new(0), component).expect(VALID);
    assert!(trapping.wrapped > 0, "nothing of {interface} is exported");
    made.finish()
}

struct Trapping {
    interface: String,
    /// The one that is being written.
    module: Module,
    wrapped: usize,
}

/// What has to be known of a core module before it is written.
#[derive(Default)]
struct Module {
    /// Functions that get another one around them.
    inner: Vec<Inner>,
    /// Its functions and globals, imported ones included.
    functions: u32,
    globals: u32,
}

struct Inner {
    name: String,
    function: u32,
    signature: u32,
    params: u32,
}

// === impl Module ===

impl Module {
    fn read(module: &[u8], interface: &str) -> Self {
        let (mut params, mut signatures, mut globals, mut exports) = (Vec::new(), Vec::new(), 0, Vec::new());
        for payload in Parser::new(0).parse_all(module) {
            match payload.expect(VALID) {
                Payload::TypeSection(section) => {
                    let types = section.into_iter_err_on_gc_types();
                    params = types.map(|signature| signature.expect(VALID).params().len()).collect();
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        match import.expect(VALID).ty {
                            TypeRef::Func(signature) => signatures.push(signature),
                            TypeRef::Global(_) => globals += 1,
                            _ => {}
                        }
                    }
                }
                Payload::FunctionSection(section) => {
                    signatures.extend(section.into_iter().map(|signature| signature.expect(VALID)));
                }
                Payload::GlobalSection(section) => globals += section.count(),
                Payload::ExportSection(section) => {
                    exports.extend(section.into_iter().map(|export| export.expect(VALID)));
                }
                _ => {}
            }
        }
        let wanted = |export: &&Export<'_>| export.kind == ExternalKind::Func && export.name.starts_with(interface);
        let inner = exports.iter().filter(wanted).map(|export| {
            let signature = signatures[export.index as usize];
            let params = u32::try_from(params[signature as usize]).expect("a function has few parameters");
            Inner { name: export.name.to_owned(), function: export.index, signature, params }
        });
        let inner = inner.collect();
        Self { inner, functions: u32::try_from(signatures.len()).expect("a module has fewer"), globals }
    }
}

// === impl Inner ===

impl Inner {
    /// Writes the function around it: it calls, counts, and traps or returns what came back.
    fn outer(&self, counter: u32) -> Function {
        use Instruction as I;
        let mut body = Function::new([]);
        for param in 0..self.params {
            body.instruction(&I::LocalGet(param));
        }
        body.instruction(&I::Call(self.function));
        for counting in [I::GlobalGet(counter), I::I32Const(1), I::I32Add, I::GlobalSet(counter)] {
            body.instruction(&counting);
        }
        for trapping in [I::GlobalGet(counter), I::I32Const(TENTH), I::I32GeU, I::If(BlockType::Empty), I::Unreachable]
        {
            body.instruction(&trapping);
        }
        body.instruction(&I::End).instruction(&I::End);
        body
    }
}

// === impl Trapping ===

impl Reencode for Trapping {
    type Error = Infallible;

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_function_section(self, functions, section)?;
        for inner in &self.module.inner {
            functions.function(inner.signature);
        }
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_global_section(self, globals, section)?;
        if !self.module.inner.is_empty() {
            let counter = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
            globals.global(counter, &ConstExpr::i32_const(0));
        }
        Ok(())
    }

    fn parse_export(&mut self, exports: &mut ExportSection, export: Export<'_>) -> Result<(), Error> {
        let mut outers = (self.module.functions..).zip(&self.module.inner);
        let outer = outers.find(|(_, inner)| inner.name == export.name).map(|(outer, _)| outer);
        let Some(outer) = outer else { return utils::parse_export(self, exports, export) };
        exports.export(export.name, ExportKind::Func, outer);
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Result<(), Error> {
        utils::parse_code_section(self, code, section)?;
        for inner in &self.module.inner {
            // It comes after all globals that are there.
            code.function(&inner.outer(self.module.globals));
        }
        Ok(())
    }
}

impl ReencodeComponent for Trapping {
    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        parser: Parser,
        module: &[u8],
    ) -> Result<(), Error> {
        self.module = Module::read(module, &self.interface);
        self.wrapped += self.module.inner.len();
        component_utils::parse_component_submodule(self, component, parser, module)
    }
}
