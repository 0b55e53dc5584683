//! Makes a component whose `publish` does nothing and says that it went well.
//!
//! The host's function stays imported, so that the component needs the same grants; a function of its own is called in
//! its place.

use anyhow::{Context as _, ensure};
use wasm_encoder::{Function, Instruction, MemArg};

use super::patch::{Patch, patched};

/// What is called no more, as a core module imports it.
const PUBLISH: &str = "[method]transaction.publish";

/// The transaction, topic, key and payload with their lengths, and where the outcome is written.
const PARAMS: u32 = 8;

/// Writes the component anew.
pub(crate) fn silent(component: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut silenced = 0;
    let made = patched(component, |module| {
        let mut patch = Patch::default();
        if let Some(publish) = module.imported(PUBLISH) {
            patch.calls.insert(publish, module.functions());
            patch.functions.push((module.signature(publish), nothing()));
            silenced += 1;
        }
        patch
    });
    let made = made.context("the component cannot be written anew")?;
    ensure!(silenced == 1, "{PUBLISH} is imported by {silenced} modules of the component");
    Ok(made)
}

/// Writes the function that does nothing.
fn nothing() -> Function {
    let mut body = Function::new([]);
    // The first case of `result`, a byte: it went well.
    let outcome = MemArg { offset: 0, align: 0, memory_index: 0 };
    body.instruction(&Instruction::LocalGet(PARAMS - 1)).instruction(&Instruction::I32Const(0));
    body.instruction(&Instruction::I32Store8(outcome)).instruction(&Instruction::End);
    body
}
