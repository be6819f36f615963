//! What a module wants from its host, read from the names of its imports before anything is
//! compiled.
//!
//! | import | what happens |
//! |---|---|
//! | `nix-fetchhost:fetcher/http@0.1.0`, or a lower patch version | linked |
//! | the same at a higher version, or an interface that is new there | refused: "needs host ≥ x" |
//! | `wasi:cli/environment@0.2.6` and the other inert interfaces | linked, with nothing behind them |
//! | `wasi:sockets/tcp@0.2.6` and every other `wasi:` interface | linked to a trap that says its name |
//! | anything else | refused by its name |

use std::fmt;

use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload};
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::failure::ModuleError;

/// The version of the contract in `wit/` that this host offers.
pub(crate) const OFFERED: Version = Version {
    major: 0,
    minor: 1,
    patch: 0,
};

const PACKAGE: &str = "nix-fetchhost:fetcher";
const INTERFACES: [&str; 6] = ["types", "http", "artifact", "inputs", "keys", "log"];
const EXPORTS: [&str; 2] = ["describe", "fetch"];

/// A version in an import's name. Pre-releases never match and are not represented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        let version = Self {
            major: parts.next()??,
            minor: parts.next()??,
            patch: parts.next()??,
        };
        parts.next().is_none().then_some(version)
    }

    /// Whether a host that offers `self` can run a module built for `wanted`: the same `0.x` line,
    /// and not later.
    fn serves(self, wanted: Self) -> bool {
        (self.major, self.minor) == (wanted.major, wanted.minor) && self.patch >= wanted.patch
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Reads the names of all imports of the component `wasm`, and refuses what is no fetcher for this
/// host.
///
/// The code itself is not looked at: compiling does that.
pub(crate) fn check(wasm: &[u8]) -> Result<Vec<String>, ModuleError> {
    let surface = Surface::read(wasm)?;
    for name in &surface.imports {
        check_import(name)?;
    }
    for name in EXPORTS {
        if !surface.exports.iter().any(|export| export == name) {
            return Err(ModuleError::MissingExport { name });
        }
    }
    Ok(surface.imports)
}

/// The names of all imports of a component that was checked before it was compiled.
pub(crate) fn of(component: &Component) -> Vec<String> {
    let ty = component.component_type();
    // What brings nothing along is no import, as in `Surface::read`.
    let brings =
        |item: &ComponentItem| !matches!(item, ComponentItem::Type(_) | ComponentItem::Resource(_));
    ty.imports(component.engine())
        .filter(|(_, import)| brings(&import.ty))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Whether an import belongs to WASI.
pub(crate) fn is_wasi(name: &str) -> bool {
    name.starts_with("wasi:")
}

fn check_import(name: &str) -> Result<(), ModuleError> {
    if is_wasi(name) {
        return Ok(());
    }
    let unknown = || ModuleError::UnknownImport { name: shown(name) };
    let (interface, version) = name
        .strip_prefix(PACKAGE)
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(|rest| rest.split_once('@'))
        .ok_or_else(unknown)?;
    let wanted = Version::parse(version).ok_or_else(unknown)?;
    if wanted > OFFERED {
        return Err(ModuleError::NeedsHost {
            import: shown(name),
            wanted,
            offered: OFFERED,
        });
    }
    if OFFERED.serves(wanted) && INTERFACES.contains(&interface) {
        Ok(())
    } else {
        Err(unknown())
    }
}

fn shown(name: &str) -> String {
    fetchhost_policy::printable(name).into_owned()
}

/// The names on the outside of a component.
#[derive(Default)]
struct Surface {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Surface {
    fn read(wasm: &[u8]) -> Result<Self, ModuleError> {
        let malformed = |error: wasmparser::BinaryReaderError| ModuleError::NotAComponent {
            detail: error.message().to_owned(),
        };
        let mut surface = Self::default();
        // Modules and components inside of this one have imports of their own, which are none of
        // ours.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(malformed)? {
                Payload::Version {
                    encoding: Encoding::Module,
                    ..
                } if depth == 0 => {
                    let detail = "it is a core module".to_owned();
                    return Err(ModuleError::NotAComponent { detail });
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let import = import.map_err(malformed)?;
                        // A type brings nothing along: `use`d records of an interface appear like
                        // this.
                        if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                            surface.imports.push(import.name.name.to_owned());
                        }
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        surface
                            .exports
                            .push(export.map_err(malformed)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(surface)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_of_this_version_is_accepted() {
        for name in INTERFACES {
            check_import(&format!("nix-fetchhost:fetcher/{name}@0.1.0")).unwrap();
        }
    }

    #[test]
    fn wasi_is_accepted_whatever_it_is() {
        check_import("wasi:sockets/tcp@0.2.9").unwrap();
        check_import("wasi:nonsense/thing@9.9.9").unwrap();
    }

    #[test]
    fn a_later_version_says_which_host_it_needs() {
        for version in ["0.1.1", "0.2.0", "1.0.0"] {
            let error = check_import(&format!("nix-fetchhost:fetcher/http@{version}")).unwrap_err();
            assert!(matches!(error, ModuleError::NeedsHost { .. }), "{error}");
            assert!(
                error
                    .to_string()
                    .contains(&format!("needs host ≥ {version}")),
                "{error}"
            );
        }
    }

    #[test]
    fn everything_else_is_refused_by_its_name() {
        for name in [
            "nix-fetchhost:fetcher/http",
            "nix-fetchhost:fetcher/http@0.0.9",
            "nix-fetchhost:fetcher/http@0.1.0-rc1",
            "nix-fetchhost:fetcher/http@0.1",
            "nix-fetchhost:fetcher/sockets@0.1.0",
            "nix-fetchhost:fetcher-more/http@0.1.0",
            "wasi-like:sockets/tcp@0.2.0",
            "env",
        ] {
            let error = check_import(name).unwrap_err();
            assert!(
                matches!(error, ModuleError::UnknownImport { .. }),
                "{error}"
            );
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
