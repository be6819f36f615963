//! From a module's bytes to a module that can run.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fetchhost_policy::describe::Description;
use fetchhost_policy::{Limit, Limits};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use wasmtime::component::{Component, Linker};

use crate::bindings::FetcherPre;
use crate::cache::Cache;
use crate::compile::{self, CompileMode};
use crate::config;
use crate::failure::ModuleError;
use crate::module::{self, Module};
use crate::store::Host;
use crate::{imports, linker};

/// How an [`Engine`] works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where compiled modules and their descriptions are kept; nowhere when absent. A folder that
    /// others have access to is not used, with a warning.
    pub cache_dir: Option<PathBuf>,
    /// The limits for loading modules. A fetch has its own in its session.
    pub limits: Limits,
    /// Where third-party modules are compiled.
    pub compile: CompileMode,
}

/// Whether a module came with this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It did: it is compiled in this process.
    Embedded,
    /// It did not: it is compiled as the [`CompileMode`] says.
    ThirdParty,
}

/// Loads modules. Cheap to make: the sandbox is set up when the first module is loaded. Clones
/// share it.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    options: Options,
    sandbox: OnceCell<Sandbox>,
}

struct Sandbox {
    engine: wasmtime::Engine,
    linker: Linker<Host>,
    cache: Option<Cache>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that has done nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Inner {
            options,
            sandbox: OnceCell::new(),
        }))
    }

    /// The limits for the modules that it loads.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.options.limits
    }

    /// Loads a module: checks it, compiles it unless that was done before, and has it describe
    /// itself unless it did before.
    ///
    /// # Errors
    /// [`ModuleError`]: it is no fetcher module, or not one for this host.
    pub async fn load(&self, wasm: &[u8], trust: Trust) -> Result<Module, ModuleError> {
        self.check_size(wasm.len() as u64)?;
        let imports = imports::check(wasm)?;
        let digest: [u8; 32] = Sha256::digest(wasm).into();
        let sandbox = self.sandbox().await?;
        let component = match sandbox.cached(&digest) {
            Some(component) => component,
            None => sandbox.admit(&digest, self.compile(sandbox, wasm, trust).await?)?,
        };
        self.module(sandbox, digest, &component, imports).await
    }

    /// Loads a module that came with this program as [`load`](Self::load) does, of which the digest and
    /// the size in bytes were known when the program was built: `unpack` is called only where the module
    /// has not been compiled before.
    ///
    /// # Errors
    /// Those of [`load`](Self::load), and [`ModuleError::Packed`].
    pub async fn load_embedded(
        &self,
        digest: [u8; 32],
        bytes: u64,
        unpack: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> Result<Module, ModuleError> {
        self.check_size(bytes)?;
        let sandbox = self.sandbox().await?;
        if let Some(component) = sandbox.cached(&digest) {
            let imports = imports::of(&component);
            return self.module(sandbox, digest, &component, imports).await;
        }
        let wasm = unpack().map_err(|error| ModuleError::Packed {
            detail: error.to_string(),
        })?;
        self.load(&wasm, Trust::Embedded).await
    }

    fn check_size(&self, bytes: u64) -> Result<(), ModuleError> {
        let limits = &self.0.options.limits;
        if bytes > limits.module_bytes {
            return Err(ModuleError::TooLarge(limits.overrun(Limit::ModuleBytes)));
        }
        Ok(())
    }

    async fn sandbox(&self) -> Result<&Sandbox, ModuleError> {
        self.0.sandbox.get_or_try_init(async || self.set_up()).await
    }

    async fn module(
        &self,
        sandbox: &Sandbox,
        digest: [u8; 32],
        component: &Component,
        imports: Vec<String>,
    ) -> Result<Module, ModuleError> {
        let pre = linker::link(&sandbox.linker, component, &imports)?;
        let limits = &self.0.options.limits;
        let description = sandbox.description(&digest, &pre, limits).await?;
        Ok(Module::new(digest, imports, description, pre))
    }

    fn set_up(&self) -> Result<Sandbox, ModuleError> {
        let failed = |error: wasmtime::Error| ModuleError::Sandbox {
            detail: format!("{error:#}"),
        };
        let engine = config::engine().map_err(failed)?;
        let linker = linker::base(&engine).map_err(failed)?;
        let cache = self
            .0
            .options
            .cache_dir
            .as_deref()
            .and_then(|dir| open_cache(dir, &engine));
        Ok(Sandbox {
            engine,
            linker,
            cache,
        })
    }

    async fn compile(
        &self,
        sandbox: &Sandbox,
        wasm: &[u8],
        trust: Trust,
    ) -> Result<Vec<u8>, ModuleError> {
        match (trust, &self.0.options.compile) {
            (Trust::ThirdParty, CompileMode::Child(program)) => {
                compile::in_child(program, wasm).await
            }
            _ => compile::in_process(&sandbox.engine, wasm).await,
        }
    }
}

/// Opens the cache, or says why it is not used: a run without it is slower and otherwise the same.
fn open_cache(dir: &Path, engine: &wasmtime::Engine) -> Option<Cache> {
    match Cache::open(dir, config::compatibility(engine)) {
        Ok(cache) => Some(cache),
        Err(reason) => {
            tracing::warn!("compile cache `{}` is not used: {reason}", dir.display());
            None
        }
    }
}

impl Sandbox {
    /// The compiled module from the cache.
    fn cached(&self, digest: &[u8; 32]) -> Option<Component> {
        let path = self.cache.as_ref()?.code(digest)?;
        match self.map(&path) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::debug!("cached file `{}` is not usable: {error:#}", path.display());
                None
            }
        }
    }

    /// Makes a component of code that was just compiled, and keeps the code.
    fn admit(&self, digest: &[u8; 32], code: Vec<u8>) -> Result<Component, ModuleError> {
        if let Some(cache) = &self.cache {
            match cache.put_code(digest, &code) {
                Ok(path) => match self.map(&path) {
                    Ok(component) => return Ok(component),
                    Err(error) => tracing::debug!("compiled code is not usable: {error:#}"),
                },
                Err(error) => tracing::warn!("compiled code cannot be kept: {error}"),
            }
        }
        #[expect(
            unsafe_code,
            reason = "compiled code is machine code; nothing can check it"
        )]
        // SAFETY: the code comes from this program's compiler, in this process or in a child that
        // runs the same executable.
        unsafe { Component::deserialize(&self.engine, code) }.map_err(|error| {
            ModuleError::Compiler {
                detail: format!("{error:#}"),
            }
        })
    }

    #[expect(
        unsafe_code,
        reason = "compiled code is machine code; nothing can check it"
    )]
    fn map(&self, path: &Path) -> wasmtime::Result<Component> {
        // SAFETY: the file lies in a cache folder that only the user can write to, is his alone,
        // and was put there by this program; see `cache`. It is replaced by renaming only, never
        // written to.
        unsafe { Component::deserialize_file(&self.engine, path) }
    }

    /// The module's description, from the cache or from itself.
    async fn description(
        &self,
        digest: &[u8; 32],
        pre: &FetcherPre<Host>,
        limits: &Limits,
    ) -> Result<Description, ModuleError> {
        let kept = self
            .cache
            .as_ref()
            .and_then(|cache| cache.description(digest));
        if let Some(description) = kept.and_then(|json| Description::parse(&json).ok()) {
            return Ok(description);
        }
        let (description, json) = module::describe(pre, limits).await?;
        if let Some(cache) = &self.cache
            && let Err(error) = cache.put_description(digest, json.as_bytes())
        {
            tracing::warn!("the module's description cannot be kept: {error}");
        }
        Ok(description)
    }
}
