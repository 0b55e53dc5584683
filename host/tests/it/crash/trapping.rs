//! Makes a component trap at every tenth call of what it exports for others, after the work is done: its effects are
//! there, and nobody is told.
//!
//! Each function of an interface gets one around it that counts. An instance keeps the count, so it takes a service
//! whose instances are reused (`limits.reuse`).

use wasm_encoder::{BlockType, Function, Instruction};

use crate::support::patch::{Module, Patch, patched};

/// Which call of an instance is its last.
const TENTH: i32 = 10;

/// Makes the component trap at calls of an interface, `package/interface@`.
pub(super) fn trapping(component: &[u8], interface: &str) -> Vec<u8> {
    let mut wrapped = 0;
    let made = patched(component, |module| {
        let patch = wrap(module, interface);
        wrapped += patch.functions.len();
        patch
    });
    let made = made.expect("a component as it was built is valid");
    assert!(wrapped > 0, "nothing of {interface} is exported");
    made
}

/// Puts a function around each one of the interface.
fn wrap(module: &Module, interface: &str) -> Patch {
    let mut patch = Patch::default();
    let wanted = module.exports.iter().filter(|(name, _)| name.starts_with(interface));
    for (outer, (name, inner)) in (module.functions()..).zip(wanted) {
        patch.functions.push((module.signature(*inner), around(module, *inner)));
        patch.exports.insert(name.clone(), outer);
        patch.counter = true;
    }
    patch
}

/// Writes the function around another: it calls, counts, and traps or returns what came back.
fn around(module: &Module, inner: u32) -> Function {
    use Instruction as I;
    // It comes after all globals that are there.
    let counter = module.globals;
    let mut body = Function::new([]);
    for param in 0..module.params(inner) {
        body.instruction(&I::LocalGet(param));
    }
    body.instruction(&I::Call(inner));
    for counting in [I::GlobalGet(counter), I::I32Const(1), I::I32Add, I::GlobalSet(counter)] {
        body.instruction(&counting);
    }
    for trapping in [I::GlobalGet(counter), I::I32Const(TENTH), I::I32GeU, I::If(BlockType::Empty), I::Unreachable] {
        body.instruction(&trapping);
    }
    body.instruction(&I::End).instruction(&I::End);
    body
}
