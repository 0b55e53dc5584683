//! Holds an instance to its memory, and remembers that it wanted more.

use wasmtime::ResourceLimiter;

/// The bounds of one instance, and what it has.
pub(super) struct Limiter {
    max_memory: usize,
    max_tables: usize,
    memory: usize,
    tables: usize,
    exceeded: bool,
}

impl Limiter {
    /// Allows bytes of linear memory, and elements of all tables together.
    pub(super) fn new(max_memory: usize, max_tables: usize) -> Self {
        Self { max_memory, max_tables, memory: 0, tables: 0, exceeded: false }
    }

    /// Says whether the instance wanted more than it may have, and was refused.
    pub(super) fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// Returns the bytes of linear memory that the instance has.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Takes over what an instance has that serves once more.
    pub(super) fn resume(&mut self, before: &Self) {
        (self.memory, self.tables) = (before.memory, before.tables);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.max_memory;
        if allowed {
            self.memory = self.memory.max(desired);
        }
        self.exceeded |= !allowed;
        Ok(allowed)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        // A growth that fails after this counts all the same: then the instance may have less, not more.
        let tables = self.tables.saturating_add(desired.saturating_sub(current));
        let allowed = tables <= self.max_tables;
        if allowed {
            self.tables = tables;
        }
        self.exceeded |= !allowed;
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grow_table(limiter: &mut Limiter, current: usize, desired: usize) -> bool {
        limiter.table_growing(current, desired, None).expect("never an error")
    }

    fn grow_memory(limiter: &mut Limiter, current: usize, desired: usize) -> bool {
        limiter.memory_growing(current, desired, None).expect("never an error")
    }

    #[test]
    fn all_tables_of_an_instance_count_together() {
        let mut limiter = Limiter::new(0, 100);
        assert!(grow_table(&mut limiter, 0, 60) && grow_table(&mut limiter, 0, 30));
        assert!(grow_table(&mut limiter, 30, 40) && !limiter.exceeded(), "a hundred are allowed");
        assert!(!grow_table(&mut limiter, 60, 61) && limiter.exceeded());
        assert!(!grow_table(&mut limiter, 0, usize::MAX));
    }

    #[test]
    fn memory_ends_at_its_limit_and_that_is_remembered() {
        let mut limiter = Limiter::new(10, 0);
        assert!(grow_memory(&mut limiter, 0, 8) && grow_memory(&mut limiter, 8, 10) && !limiter.exceeded());
        assert!(!grow_memory(&mut limiter, 10, 11) && limiter.exceeded());
        assert_eq!(limiter.memory(), 10);
    }

    #[test]
    fn an_instance_that_serves_once_more_keeps_what_it_has_and_begins_without_blame() {
        let mut before = Limiter::new(10, 10);
        assert!(grow_memory(&mut before, 0, 8) && grow_table(&mut before, 0, 8) && !grow_table(&mut before, 8, 11));
        let mut limiter = Limiter::new(10, 10);
        limiter.resume(&before);
        assert!(!limiter.exceeded());
        assert_eq!(limiter.memory(), 8);
        assert!(grow_table(&mut limiter, 8, 10) && !grow_table(&mut limiter, 10, 11));
    }
}
