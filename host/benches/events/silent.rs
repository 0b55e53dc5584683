//! Makes a component whose `publish` does nothing and says that it went well.
//!
//! The host's function stays imported, so that the component needs the same grants; a function of its own is called in
//! its place.

use std::convert::Infallible;

use anyhow::{Context as _, ensure};
use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent, component_utils, utils};
use wasm_encoder::{CodeSection, Component, Function, FunctionSection, Instruction, MemArg};
use wasmparser::{CodeSectionReader, FunctionSectionReader, Parser, Payload, TypeRef};

/// What is called no more, as a core module imports it.
const PUBLISH: &str = "[method]transaction.publish";

/// The transaction, topic, key and payload with their lengths, and where the outcome is written.
const PARAMS: u32 = 8;

/// Writes the component anew.
pub(crate) fn silent(component: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut silent = Silent { publish: None, functions: 0, silenced: 0 };
    let mut made = Component::new();
    silent.parse_component(&mut made, Parser::new(0), component).context("the component cannot be written anew")?;
    ensure!(silent.silenced == 1, "{PUBLISH} is imported by {} modules of the component", silent.silenced);
    Ok(made.finish())
}

struct Silent {
    /// The import in the module that is being written: its function and its signature.
    publish: Option<(u32, u32)>,
    /// Functions of that module, imported ones included.
    functions: u32,
    silenced: u32,
}

impl Silent {
    /// Learns what has to be known of a core module before it is written.
    fn read(&mut self, module: &[u8]) -> Result<(), Error> {
        (self.publish, self.functions) = (None, 0);
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        let TypeRef::Func(signature) = import.ty else { continue };
                        if import.name == PUBLISH {
                            self.publish = Some((self.functions, signature));
                            self.silenced += 1;
                        }
                        self.functions += 1;
                    }
                }
                Payload::FunctionSection(section) => self.functions += section.count(),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Reencode for Silent {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, Error> {
        // The one that is added comes after all others.
        Ok(if self.publish.is_some_and(|(publish, _)| publish == function) { self.functions } else { function })
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_function_section(self, functions, section)?;
        if let Some((_, signature)) = self.publish {
            functions.function(signature);
        }
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Result<(), Error> {
        utils::parse_code_section(self, code, section)?;
        if self.publish.is_some() {
            let mut body = Function::new([]);
            // The first case of `result`, a byte: it went well.
            let outcome = MemArg { offset: 0, align: 0, memory_index: 0 };
            body.instruction(&Instruction::LocalGet(PARAMS - 1)).instruction(&Instruction::I32Const(0));
            body.instruction(&Instruction::I32Store8(outcome)).instruction(&Instruction::End);
            code.function(&body);
        }
        Ok(())
    }
}

impl ReencodeComponent for Silent {
    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        parser: Parser,
        module: &[u8],
    ) -> Result<(), Error> {
        self.read(module)?;
        component_utils::parse_component_submodule(self, component, parser, module)
    }
}
