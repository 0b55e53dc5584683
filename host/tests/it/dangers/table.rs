//! A component made by hand, for the one danger that Rust has no word for: its `handle` grows a table until it may
//! not, and traps.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, ExportKind, ExportSection, Function, FunctionSection,
    GlobalSection, GlobalType, HeapType, MemorySection, MemoryType, Module, RefType, TableSection, TableType,
    TypeSection, ValType,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::support::root;

/// Where the description lies in memory, aligned for everything in it.
const DESCRIPTION: i32 = 1024;

/// Lists of the description after its routes, all of them empty here.
const LISTS: i32 = 5;

/// Words of the description and of its one route, as the canonical ABI lays them out.
const DESCRIPTION_WORDS: i32 = 7 + 2 * LISTS;
const ROUTE_WORDS: i32 = 19;

/// Where the route lies, and where the texts.
const ROUTE: i32 = DESCRIPTION + 4 * DESCRIPTION_WORDS;
const TEXTS: i32 = ROUTE + 4 * ROUTE_WORDS;

/// The version, the operation, the path.
const VERSION: &str = "1.0.0";
const OPERATION: &str = "strike";
const PATH: &str = "/dangers/";

/// Where arguments are placed.
const ARGUMENTS: i32 = 4096;

/// Elements that the table grows by.
const STEP: i32 = 1000;

/// Makes the component.
pub(super) fn growing() -> Vec<u8> {
    let file = root().join("wit/platform/service.wit");
    let interface = std::fs::read_to_string(file).expect("the platform's interface");
    let mut resolve = Resolve::default();
    let text = format!("{interface}\nworld danger {{ export service; }}\n");
    let package = resolve.push_str("service.wit", &text).expect("the platform's interface is WIT");
    let world = resolve.select_world(&[package], Some("danger")).expect("it stands there");
    let mut module = core_module();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("a module takes a section");
    let encoder = ComponentEncoder::default().module(&module).expect("the module fits its world");
    encoder.validate(true).encode().expect("a valid component")
}

/// Makes the module: `describe`, `handle` and `cabi_realloc`, in this order everywhere.
fn core_module() -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], [ValType::I32]);
    types.ty().function([ValType::I32], [ValType::I32]);
    types.ty().function([ValType::I32; 4], [ValType::I32]);
    let mut functions = FunctionSection::new();
    functions.function(0).function(1).function(2);
    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: 1,
        maximum: None,
        shared: false,
    });
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: 2, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut globals = GlobalSection::new();
    let next = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
    globals.global(next, &ConstExpr::i32_const(ARGUMENTS));
    let mut exports = ExportSection::new();
    exports.export("provesi:platform/service@0.1.0#describe", ExportKind::Func, 0);
    exports.export("provesi:platform/service@0.1.0#handle", ExportKind::Func, 1);
    exports.export("cabi_realloc", ExportKind::Func, 2);
    exports.export("memory", ExportKind::Memory, 0);
    let mut code = CodeSection::new();
    code.function(&describe()).function(&handle()).function(&realloc());
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(DESCRIPTION), description());
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&tables).section(&memories).section(&globals);
    module.section(&exports).section(&code).section(&data);
    module.finish()
}

fn describe() -> Function {
    let mut body = Function::new([]);
    body.instructions().i32_const(DESCRIPTION).end();
    body
}

/// Grows the table until it is told no.
fn handle() -> Function {
    let mut body = Function::new([]);
    let mut is = body.instructions();
    is.loop_(BlockType::Empty).ref_null(HeapType::FUNC).i32_const(STEP).table_grow(0);
    is.i32_const(-1).i32_ne().br_if(0).end().unreachable().end();
    body
}

/// Places one argument after the other; nothing is ever given back.
fn realloc() -> Function {
    let (place, align, size) = (0, 2, 3);
    let mut body = Function::new([]);
    let mut is = body.instructions();
    is.global_get(0).local_get(align).i32_add().i32_const(1).i32_sub();
    is.i32_const(0).local_get(align).i32_sub().i32_and().local_tee(place);
    is.local_get(size).i32_add().global_set(0).local_get(place).end();
    body
}

/// Lays out the description, its one route, and their texts.
fn description() -> Vec<u8> {
    let len = |text: &str| i32::try_from(text.len()).expect("a short text");
    let version = [TEXTS, len(VERSION)];
    let operation = [TEXTS + len(VERSION), len(OPERATION)];
    let path = [TEXTS + len(VERSION) + len(OPERATION), len(PATH)];
    // An empty text or list: it has a place as well, which has to be aligned.
    let empty = [DESCRIPTION, 0];
    let none = [0, 0, 0];
    let lists = empty.repeat(usize::try_from(LISTS).expect("a few"));
    let described = [&version[..], &[1], &empty, &[ROUTE, 1], &lists].concat();
    // GET and public are the first of their cases; a list that only roles have follows the latter.
    let (get, public, open_in_legacy) = ([0], [0, 0, 0], [0]);
    let route = [&operation[..], &get, &path, &public, &open_in_legacy, &empty, &empty, &none, &none].concat();
    let words = described.into_iter().chain(route).flat_map(i32::to_le_bytes);
    words.chain([VERSION, OPERATION, PATH].concat().into_bytes()).collect()
}
