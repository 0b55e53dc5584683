//! Holds an instance to its memory, and remembers that it wanted more.

use wasmtime::ResourceLimiter;

/// Elements of all tables of an instance together.
const MAX_TABLE_ELEMENTS: usize = 20_000;

/// The bounds of one instance.
pub(super) struct Limiter {
    memory_bytes: usize,
    exceeded: bool,
}

impl Limiter {
    pub(super) fn new(memory_bytes: usize) -> Self {
        Self { memory_bytes, exceeded: false }
    }

    /// Says whether the instance wanted more than it may have, and was refused.
    pub(super) fn exceeded(&self) -> bool {
        self.exceeded
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.memory_bytes;
        self.exceeded |= !allowed;
        Ok(allowed)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= MAX_TABLE_ELEMENTS;
        self.exceeded |= !allowed;
        Ok(allowed)
    }
}
