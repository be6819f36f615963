//! How wasmtime is set up: the same in the process that runs guests and in the one that compiles
//! them.

use std::hash::{Hash as _, Hasher};

use sha2::{Digest as _, Sha256};
use wasmtime::Config;

/// The stack of a guest. JavaScript and Python runtimes nest deeper than wasmtime's default allows
/// for.
const WASM_STACK_BYTES: usize = 1024 * 1024;

/// The stack on which a guest and the host functions that it calls run together.
const ASYNC_STACK_BYTES: usize = 2 * 1024 * 1024;

/// The engine that runs and compiles fetchers.
pub(crate) fn engine() -> wasmtime::Result<wasmtime::Engine> {
    let mut config = Config::new();
    config
        // Fuel rather than epochs: the same module uses the same amount on every machine.
        .consume_fuel(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(ASYNC_STACK_BYTES)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        // Both are for debuggers; without them compiled modules are smaller.
        .native_unwind_info(false)
        .generate_address_map(false);
    wasmtime::Engine::new(&config)
}

/// Names everything that compiled code depends on (wasmtime's version, its settings, the
/// processor), in lower-case hexadecimal. Code compiled under another name is not usable.
pub(crate) fn compatibility(engine: &wasmtime::Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    fetchhost_formats::hex(&hasher.0.finalize())
}

/// Rust's default hasher is neither wide enough to be a key nor the same in the next release.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest
            .iter()
            .take(8)
            .fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compatibility_name_is_stable() {
        let name = compatibility(&engine().unwrap());
        assert_eq!(name, compatibility(&engine().unwrap()));
        assert_eq!(name.len(), 64);
    }
}
