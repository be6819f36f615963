//! Limits that wasmtime asks about while a guest runs.
//!
//! A guest's growth beyond a limit ends it. Refusing the growth alone would let the guest go on in
//! a state that hardly any program is tested in, and would hide the reason from the user.

use fetchhost_policy::{Limit, Limits};
use wasmtime::ResourceLimiter;

use crate::trap::Stop;

/// Instances, tables and memories of one component. Python's runtime has about thirty instances.
const INSTANCES: usize = 1_000;
const TABLES: usize = 1_000;
const MEMORIES: usize = 100;

/// Size of one table entry in the host.
const TABLE_ENTRY_BYTES: u64 = 16;

/// Bounds the memory of one instance: all its linear memories and tables together.
pub(crate) struct MemoryLimiter {
    limits: Limits,
    used: u64,
}

impl MemoryLimiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            used: 0,
        }
    }

    fn grow(&mut self, bytes: u64) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(bytes);
        if used > self.limits.memory {
            return Err(Stop::Limit(self.limits.overrun(Limit::Memory)).into());
        }
        self.used = used;
        Ok(true)
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow((desired - current) as u64)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow((desired - current) as u64 * TABLE_ENTRY_BYTES)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 64 * 1024;

    fn limiter(memory: u64) -> MemoryLimiter {
        MemoryLimiter::new(&Limits {
            memory,
            ..Limits::default()
        })
    }

    #[test]
    fn several_memories_share_one_limit() {
        let mut limiter = limiter(3 * PAGE as u64);
        limiter.memory_growing(0, PAGE, None).unwrap();
        limiter.memory_growing(0, 2 * PAGE, None).unwrap();
        assert!(limiter.memory_growing(PAGE, 2 * PAGE, None).is_err());
    }

    #[test]
    fn tables_count_as_memory() {
        let mut limiter = limiter(PAGE as u64);
        limiter.table_growing(0, 1_000, None).unwrap();
        assert!(limiter.table_growing(1_000, 10_000, None).is_err());
    }
}
