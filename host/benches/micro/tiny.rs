//! Makes components that only have routes: a thousand of them compile in seconds.
//!
//! One is a memory that holds a description, laid out as the canonical ABI says, and a function that returns its
//! address. Whatever the WIT has besides what is written here stays zero: empty lists, absent options, first cases.

use std::collections::BTreeMap;

use anyhow::Context as _;
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ExportKind, ExportSection, Function, FunctionSection, MemorySection,
    MemoryType, Module, TypeSection, ValType,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{
    InterfaceId, LiftLowerAbi, ManglingAndAbi, Resolve, SizeAlign, Type, TypeDefKind, WasmExport, WasmExportKind,
    WorldItem,
};

/// How core functions are named and typed: as guests of wit-bindgen have them.
const ABI: ManglingAndAbi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);

/// The world of a service that imports nothing.
const WORLD: &str = "package bench:tiny; world tiny { export provesi:platform/service@0.1.0; }";

/// Routes of each, below its own path.
const ROUTES: [&str; 5] = ["", "{id:int}/", "{id:int}/parts/", "{id:int}/parts/{part:int}/", "by-name/{name}/"];

/// Address of the first byte that is written: 0 would be no address.
const BASE: usize = 1024;

/// Makes a component with routes below a path, from the WIT of `provesi:platform/service`.
pub(crate) fn component(service: &str, path: &str) -> anyhow::Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let platform = resolve.push_str("service.wit", service)?;
    let package = resolve.push_str("tiny.wit", WORLD)?;
    let interface = *resolve.packages[platform].interfaces.get("service").context("the interface `service`")?;
    let world = resolve.select_world(&[package], Some("tiny"))?;
    let image = description(&resolve, interface, path)?;
    let mut core = Core::default();
    for (key, item) in &resolve.worlds[world].exports {
        let WorldItem::Interface { id, .. } = item else { continue };
        for func in resolve.interfaces[*id].functions.values() {
            let export = WasmExport::Func { interface: Some(key), func, kind: WasmExportKind::Normal };
            let signature = resolve.wasm_signature(AbiVariant::GuestExport, func);
            let answer = (func.name == "describe").then_some(image.description);
            let name = resolve.wasm_export_name(ABI, export);
            core.export(&name, &signature.params, &signature.results, answer)?;
        }
    }
    let realloc = resolve.wasm_export_name(ABI, WasmExport::Realloc);
    core.export(&realloc, &[WasmType::I32; 4], &[WasmType::I32], None)?;
    let memory = resolve.wasm_export_name(ABI, WasmExport::Memory);
    let mut module = core.finish(&memory, image.bytes)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.validate(true).encode()
}

/// Writes a description into a memory.
fn description(resolve: &Resolve, interface: InterfaceId, path: &str) -> anyhow::Result<Image> {
    let mut sizes = SizeAlign::default();
    sizes.fill(resolve);
    let described = Layout::of(resolve, &sizes, interface, "description")?;
    let route = Layout::of(resolve, &sizes, interface, "route")?;
    let mut image = Image { bytes: Vec::new(), description: BASE };
    let at = image.reserve(described.size);
    let routes = image.reserve(route.size * ROUTES.len());
    image.text(at + described.offset("version")?, "1.0.0")?;
    image.word(at + described.offset("api-version")?, 1)?;
    image.word(at + described.offset("routes")?, routes)?;
    image.word(at + described.offset("routes")? + 4, ROUTES.len())?;
    for (number, pattern) in ROUTES.iter().enumerate() {
        let at = routes + number * route.size;
        image.text(at + route.offset("operation")?, &format!("operation-{number}"))?;
        image.text(at + route.offset("path")?, &format!("{path}{pattern}"))?;
    }
    Ok(image)
}

/// Where the fields of a record lie.
struct Layout {
    offsets: BTreeMap<String, usize>,
    size: usize,
}

impl Layout {
    fn of(resolve: &Resolve, sizes: &SizeAlign, interface: InterfaceId, name: &str) -> anyhow::Result<Self> {
        let id = *resolve.interfaces[interface].types.get(name).with_context(|| format!("the record {name}"))?;
        let TypeDefKind::Record(record) = &resolve.types[id].kind else { anyhow::bail!("{name} is no record") };
        let offsets = sizes.field_offsets(record.fields.iter().map(|field| &field.ty));
        let names = record.fields.iter().map(|field| field.name.clone());
        let offsets = names.zip(offsets.into_iter().map(|(offset, _)| offset.size_wasm32())).collect();
        Ok(Self { offsets, size: sizes.size(&Type::Id(id)).size_wasm32() })
    }

    fn offset(&self, field: &str) -> anyhow::Result<usize> {
        self.offsets.get(field).copied().with_context(|| format!("the field {field}"))
    }
}

/// The bytes of a memory from [`BASE`] on.
struct Image {
    bytes: Vec<u8>,
    /// Address of the description.
    description: usize,
}

impl Image {
    /// Makes room for zeros, aligned for any pointer, and returns its address.
    fn reserve(&mut self, size: usize) -> usize {
        let at = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(at + size, 0);
        BASE + at
    }

    fn word(&mut self, at: usize, value: usize) -> anyhow::Result<()> {
        let value = u32::try_from(value)?.to_le_bytes();
        self.write(at, &value);
        Ok(())
    }

    /// Writes a text, and its address and length into a field.
    fn text(&mut self, field: usize, text: &str) -> anyhow::Result<()> {
        let at = self.reserve(text.len());
        self.write(at, text.as_bytes());
        self.word(field, at)?;
        self.word(field + 4, text.len())
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        let at = at - BASE;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// A core module under construction.
#[derive(Default)]
struct Core {
    types: TypeSection,
    functions: FunctionSection,
    exports: ExportSection,
    code: CodeSection,
}

impl Core {
    /// Exports a function that returns an address, or traps.
    fn export(
        &mut self,
        name: &str,
        params: &[WasmType],
        results: &[WasmType],
        answer: Option<usize>,
    ) -> anyhow::Result<()> {
        let ty = self.types.len();
        self.types.ty().function(params.iter().copied().map(core_type), results.iter().copied().map(core_type));
        let index = self.functions.len();
        self.functions.function(ty);
        self.exports.export(name, ExportKind::Func, index);
        let mut body = Function::new([]);
        let mut instructions = body.instructions();
        match answer {
            Some(address) => instructions.i32_const(i32::try_from(address)?),
            None => instructions.unreachable(),
        };
        instructions.end();
        self.code.function(&body);
        Ok(())
    }

    fn finish(mut self, memory: &str, bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let mut memories = MemorySection::new();
        let (memory64, shared) = (false, false);
        memories.memory(MemoryType { minimum: 1, maximum: None, memory64, shared, page_size_log2: None });
        self.exports.export(memory, ExportKind::Memory, 0);
        let mut data = DataSection::new();
        data.active(0, &ConstExpr::i32_const(i32::try_from(BASE)?), bytes);
        let mut module = Module::new();
        module.section(&self.types).section(&self.functions).section(&memories);
        module.section(&self.exports).section(&self.code).section(&data);
        Ok(module.finish())
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
