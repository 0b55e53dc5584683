//! Makes a component of a WIT text: a world's types around functions that only trap.

use wasm_encoder::{
    CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection, MemorySection,
    MemoryType, Module, TypeSection, ValType,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{
    LiftLowerAbi, ManglingAndAbi, Resolve, WasmExport, WasmExportKind, WasmImport, WorldId, WorldItem, WorldKey,
};

/// How core functions are named and typed: as guests of wit-bindgen have them.
const ABI: ManglingAndAbi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);

/// Makes a component that imports and exports what a world of the text says.
///
/// # Errors
/// When the text is no WIT or has no such world; says where.
pub(super) fn of_wit(file: &str, wit: &str, world: &str) -> Result<Vec<u8>, String> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str(file, wit).map_err(|error| resolve.render_error(&error))?;
    let encode = || -> anyhow::Result<Vec<u8>> {
        let world = resolve.select_world(&[package], Some(world))?;
        let mut module = core_module(&resolve, world);
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        ComponentEncoder::default().module(&module)?.validate(true).encode()
    };
    encode().map_err(|error| format!("{file}: {error:#}"))
}

/// A core module under construction; all imports come before the first export.
#[derive(Default)]
struct Core {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    exports: ExportSection,
    code: CodeSection,
}

/// Makes the module that a world's component is lifted from.
fn core_module(resolve: &Resolve, world: WorldId) -> Vec<u8> {
    let world = &resolve.worlds[world];
    let mut core = Core::default();
    for (key, item) in &world.imports {
        for (interface, func) in functions(resolve, key, item) {
            let (module, name) = resolve.wasm_import_name(ABI, WasmImport::Func { interface, func });
            let signature = resolve.wasm_signature(AbiVariant::GuestImport, func);
            core.import(&module, &name, &signature.params, &signature.results);
        }
    }
    for (key, item) in &world.exports {
        for (interface, func) in functions(resolve, key, item) {
            let kind = WasmExportKind::Normal;
            let name = resolve.wasm_export_name(ABI, WasmExport::Func { interface, func, kind });
            let signature = resolve.wasm_signature(AbiVariant::GuestExport, func);
            core.export(&name, &signature.params, &signature.results);
        }
    }
    let realloc = resolve.wasm_export_name(ABI, WasmExport::Realloc);
    core.export(&realloc, &[WasmType::I32; 4], &[WasmType::I32]);
    core.finish(&resolve.wasm_export_name(ABI, WasmExport::Memory))
}

/// Returns the functions of an item of a world, and the interface that they belong to.
fn functions<'r>(
    resolve: &'r Resolve,
    key: &'r WorldKey,
    item: &'r WorldItem,
) -> Vec<(Option<&'r WorldKey>, &'r wit_parser::Function)> {
    match item {
        WorldItem::Interface { id, .. } => {
            resolve.interfaces[*id].functions.values().map(|func| (Some(key), func)).collect()
        }
        WorldItem::Function(func) => vec![(None, func)],
        WorldItem::Type { .. } => Vec::new(),
    }
}

impl Core {
    fn import(&mut self, module: &str, name: &str, params: &[WasmType], results: &[WasmType]) {
        let ty = self.ty(params, results);
        self.imports.import(module, name, EntityType::Function(ty));
    }

    fn export(&mut self, name: &str, params: &[WasmType], results: &[WasmType]) {
        let ty = self.ty(params, results);
        let index = self.imports.len() + self.functions.len();
        self.functions.function(ty);
        self.exports.export(name, ExportKind::Func, index);
        let mut body = Function::new([]);
        body.instructions().unreachable().end();
        self.code.function(&body);
    }

    fn ty(&mut self, params: &[WasmType], results: &[WasmType]) -> u32 {
        let index = self.types.len();
        self.types.ty().function(params.iter().copied().map(core_type), results.iter().copied().map(core_type));
        index
    }

    fn finish(mut self, memory: &str) -> Vec<u8> {
        let mut memories = MemorySection::new();
        let (memory64, shared) = (false, false);
        memories.memory(MemoryType { minimum: 0, maximum: None, memory64, shared, page_size_log2: None });
        self.exports.export(memory, ExportKind::Memory, 0);
        let mut module = Module::new();
        module.section(&self.types).section(&self.imports).section(&self.functions).section(&memories);
        module.section(&self.exports).section(&self.code);
        module.finish()
    }
}

fn core_type(ty: WasmType) -> ValType {
    match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => ValType::I32,
        WasmType::I64 | WasmType::PointerOrI64 => ValType::I64,
        WasmType::F32 => ValType::F32,
        WasmType::F64 => ValType::F64,
    }
}
