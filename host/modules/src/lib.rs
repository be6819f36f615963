//! The first-party fetcher components, built and embedded.
//!
//! Nothing here is a committed blob: `build.rs` runs a nested cargo that compiles each crate under
//! `fetchers/` for `wasm32-wasip2` and embeds the resulting component. Where no such toolchain can be
//! had, `NIX_FETCHHOST_MODULES_DIR` names a folder that holds them ready-made (`gitlab.wasm`, …).
//!
//! They are embedded packed, a third of their size, with their digests: where a module's native code is
//! kept already, its bytes are never needed.
//!
//! The bytes are as untrusted to the host's broker as any third party's: being built in gives a module
//! its reserved names and its default grant, not a way around the checks.

use std::io::{self, Read as _};

use flate2::read::ZlibDecoder;

/// One component that is part of the program.
#[derive(Clone, Copy)]
pub struct Builtin {
    /// What follows `builtin:` in grants: the name of the module, not of its fetchers.
    pub name: &'static str,
    /// The SHA-256 of the component's bytes.
    pub digest: [u8; 32],
    /// How many these are.
    pub bytes: u64,
    /// They, by zlib.
    packed: &'static [u8],
}

impl Builtin {
    /// The component's bytes, unpacked anew.
    ///
    /// # Errors
    /// The program is damaged.
    pub fn wasm(&self) -> io::Result<Vec<u8>> {
        let mut wasm = Vec::new();
        ZlibDecoder::new(self.packed).read_to_end(&mut wasm)?;
        Ok(wasm)
    }
}

/// Every built-in component, ordered by name.
pub const BUILTIN: &[Builtin] = include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// Returns the built-in component called `name`.
#[must_use]
pub fn builtin(name: &str) -> Option<Builtin> {
    BUILTIN.iter().copied().find(|module| module.name == name)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::{BUILTIN, builtin};

    /// The magic number, then version 13 of layer 1: a component, where a core module has version 1 of layer 0.
    const COMPONENT_PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn every_builtin_is_a_component_and_not_a_core_module() {
        for module in BUILTIN {
            assert!(
                module.wasm().unwrap().starts_with(COMPONENT_PREAMBLE),
                "`{}` is not a component",
                module.name
            );
        }
    }

    #[test]
    fn digest_and_size_are_those_of_the_bytes() {
        for module in BUILTIN {
            let wasm = module.wasm().unwrap();
            let digest: [u8; 32] = Sha256::digest(&wasm).into();
            assert_eq!(module.digest, digest, "`{}`", module.name);
            assert_eq!(module.bytes, wasm.len() as u64, "`{}`", module.name);
        }
    }

    #[test]
    fn names_are_unique_and_ordered() {
        assert!(BUILTIN.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn a_builtin_is_found_by_its_name_only() {
        assert!(builtin("gitlab").is_some());
        assert!(builtin("http").is_some());
        assert!(builtin("git").is_none());
    }

    #[test]
    fn no_builtin_names_a_folder_of_the_machine_that_built_it() {
        let workspace = env!("CARGO_MANIFEST_DIR").trim_end_matches("/host/modules");
        let home = std::env::home_dir().unwrap_or_default();
        for folder in [workspace.as_bytes(), home.as_os_str().as_encoded_bytes()] {
            // A home like `/` says nothing.
            if folder.len() < 4 {
                continue;
            }
            let folder = [folder, b"/"].concat();
            for module in BUILTIN {
                assert!(
                    !module
                        .wasm()
                        .unwrap()
                        .windows(folder.len())
                        .any(|window| window == folder),
                    "`{}` holds `{}`",
                    module.name,
                    String::from_utf8_lossy(&folder)
                );
            }
        }
    }
}
