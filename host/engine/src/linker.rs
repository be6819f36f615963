//! What a guest finds behind its imports.
//!
//! Threat: a runtime library reaches the machine through WASI. Rule: WASI is linked interface by
//! interface, and only what is inert with an empty context: clocks, random numbers, standard
//! streams, an empty environment, a file system without a single folder. Other `wasi:` interfaces
//! are linked as well, since some runtimes (Python's) import sockets that they never use, but each
//! of their functions traps and says its name.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker, ResourceType};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::random::WasiRandom;

use crate::bindings::{Fetcher, FetcherPre};
use crate::failure::ModuleError;
use crate::imports::is_wasi;
use crate::store::Host;
use crate::trap::{Stop, shown};

/// The `wasi:` interfaces that [`base`] links.
const INERT: [&str; 19] = [
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/wall-clock",
    "wasi:clocks/monotonic-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:filesystem/types",
    "wasi:filesystem/preopens",
];

/// A linker with everything that every module may import.
pub(crate) fn base(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    Fetcher::add_to_linker::<_, HasSelf<_>>(l, |host| host)?;
    wasmtime_wasi_io::add_to_linker_async(l)?;
    cli::environment::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::exit::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::stdin::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::stdout::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::stderr::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_input::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_output::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stdin::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stdout::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stderr::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    clocks::wall_clock::add_to_linker::<Host, WasiClocks>(l, Host::clocks)?;
    clocks::monotonic_clock::add_to_linker::<Host, WasiClocks>(l, Host::clocks)?;
    random::random::add_to_linker::<Host, WasiRandom>(l, |host| host.ctx().ctx.random())?;
    random::insecure::add_to_linker::<Host, WasiRandom>(l, |host| host.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<Host, WasiRandom>(l, |host| host.ctx().ctx.random())?;
    filesystem::types::add_to_linker::<Host, WasiFilesystem>(l, Host::filesystem)?;
    filesystem::preopens::add_to_linker::<Host, WasiFilesystem>(l, Host::filesystem)?;
    Ok(linker)
}

/// Links a component, so that it only needs to be instantiated.
pub(crate) fn link(
    base: &Linker<Host>,
    component: &Component,
    imports: &[String],
) -> Result<FetcherPre<Host>, ModuleError> {
    let unfit = |error: wasmtime::Error| ModuleError::Unfit {
        detail: shown(&format!("{error:#}")),
    };
    let pre = if imports.iter().any(|name| is_trap(name)) {
        let mut linker = base.clone();
        define_traps(&mut linker, component)?;
        linker.instantiate_pre(component)
    } else {
        base.instantiate_pre(component)
    };
    FetcherPre::new(pre.map_err(unfit)?).map_err(unfit)
}

/// Whether an import is linked to traps.
pub(crate) fn is_trap(name: &str) -> bool {
    let interface = name
        .split_once('@')
        .map_or(name, |(interface, _)| interface);
    is_wasi(name) && !INERT.contains(&interface)
}

/// A resource of an interface that fetchers do not have. There never is one.
struct Nothing;

fn define_traps(linker: &mut Linker<Host>, component: &Component) -> Result<(), ModuleError> {
    let engine = linker.engine().clone();
    let failed = |error: wasmtime::Error| ModuleError::Unfit {
        detail: shown(&format!("{error:#}")),
    };
    // A resource that an earlier import has defined is the same resource when a later one uses it,
    // and must not be defined again.
    let mut known = Vec::new();
    for (name, import) in component.component_type().imports(&engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            if is_trap(name) {
                return Err(ModuleError::UnknownImport { name: shown(name) });
            }
            continue;
        };
        let mut traps = match is_trap(name) {
            true => Some(linker.instance(name).map_err(failed)?),
            false => None,
        };
        for (item, export) in instance.exports(&engine) {
            match (export.ty, &mut traps) {
                (ComponentItem::Resource(resource), traps) if !known.contains(&resource) => {
                    known.push(resource);
                    if let Some(traps) = traps {
                        let ty = ResourceType::host::<Nothing>();
                        traps.resource(item, ty, |_, _| Ok(())).map_err(failed)?;
                    }
                }
                (ComponentItem::ComponentFunc(_), Some(traps)) => {
                    let function = format!("{name}#{item}");
                    traps
                        .func_new(item, move |_, _, _, _| {
                            Err(Stop::Forbidden {
                                function: function.clone(),
                            }
                            .into())
                        })
                        .map_err(failed)?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}
