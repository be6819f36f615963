//! From WebAssembly to native code.
//!
//! Threat: a module crafted so that compiling it takes all memory or time. Rule: modules that do
//! not come with this program are compiled in a child process with limits of its own. The child
//! gets the module on its standard input and nothing else: no environment, no arguments, no files.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use crate::config;
use crate::failure::ModuleError;

/// The hidden first argument that makes the program a compile worker: it calls [`compile_worker`].
pub const COMPILE_WORKER_ARGUMENT: &str = "__compile-worker";

/// Address space of the child. Python's 18 MB take about 1 GiB.
const WORKER_MEMORY_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Processor time of the child, on all processors together.
const WORKER_CPU: Duration = Duration::from_secs(300);

/// Wall-clock time of the child, as seen by the parent.
const WORKER_TIME: Duration = Duration::from_secs(300);

/// The most that a child reads. What may really be loaded is `[limits] module-bytes`, checked by the
/// parent.
const WORKER_INPUT_BYTES: u64 = 256 * 1024 * 1024;

/// The most compiled code that is taken from a child: native code is three to four times as large
/// as WebAssembly.
const CODE_BYTES: u64 = 1024 * 1024 * 1024;

/// The most text that is taken from a child.
const MESSAGE_BYTES: u64 = 16 * 1024;

/// Where modules that do not come with this program are compiled.
#[derive(Clone, Debug)]
pub enum CompileMode {
    /// In this process: for tests and tools that trust their modules.
    InProcess,
    /// In a child process: this program is started with [`COMPILE_WORKER_ARGUMENT`].
    Child(PathBuf),
}

/// Compiles in this process, on a thread that may block.
pub(crate) async fn in_process(
    engine: &wasmtime::Engine,
    wasm: &[u8],
) -> Result<Vec<u8>, ModuleError> {
    let engine = engine.clone();
    let wasm = wasm.to_vec();
    tokio::task::spawn_blocking(move || engine.precompile_component(&wasm))
        .await
        .map_err(|_| ModuleError::Compiler {
            detail: "it panicked".to_owned(),
        })?
        .map_err(invalid)
}

/// Compiles in a child process.
pub(crate) async fn in_child(program: &Path, wasm: &[u8]) -> Result<Vec<u8>, ModuleError> {
    let failed = |detail: String| ModuleError::Compiler { detail };
    let mut child = tokio::process::Command::new(program)
        .arg(COMPILE_WORKER_ARGUMENT)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("cannot start it: {error}")))?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(failed("it has no standard streams".to_owned()));
    };
    let feed = async move {
        // A child that has given up closes its input early; why it did is in its message.
        _ = stdin.write_all(wasm).await;
        _ = stdin.shutdown().await;
    };
    let work = async {
        let ((), code, message) = tokio::join!(
            feed,
            up_to(stdout, CODE_BYTES),
            up_to(stderr, MESSAGE_BYTES)
        );
        io::Result::Ok((code?, message?, child.wait().await?))
    };
    let (code, message, status) = tokio::time::timeout(WORKER_TIME, work)
        .await
        .map_err(|_| failed(format!("it took longer than {} s", WORKER_TIME.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if status.success() {
        return Ok(code);
    }
    let message = String::from_utf8_lossy(&message);
    let message = fetchhost_policy::printable(message.trim());
    if status.code() == Some(INVALID) {
        return Err(ModuleError::Invalid {
            detail: message.into_owned(),
        });
    }
    Err(failed(ending(status, &message)))
}

async fn up_to(stream: impl AsyncRead + Unpin, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(limit + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!(
            "it wrote more than {limit} bytes"
        )));
    }
    Ok(bytes)
}

fn ending(status: ExitStatus, message: &str) -> String {
    if message.is_empty() {
        format!(
            "it ended with {status}; it may use {} MiB of memory and {} s of processor time",
            WORKER_MEMORY_BYTES / (1024 * 1024),
            WORKER_CPU.as_secs()
        )
    } else {
        format!("it ended with {status}: {message}")
    }
}

fn invalid(error: wasmtime::Error) -> ModuleError {
    ModuleError::Invalid {
        detail: fetchhost_policy::printable(&format!("{error:#}")).into_owned(),
    }
}

/// The child's exit code for a module that is no valid component.
const INVALID: i32 = 2;

/// The compile worker: reads a module from standard input and writes its native code to standard
/// output.
///
/// The program calls this, before anything else, when its first argument is
/// [`COMPILE_WORKER_ARGUMENT`]. It lowers its own limits first. Exit codes: 0 done, 1 something is
/// wrong here, 2 the module is invalid; the reason goes to standard error.
#[must_use]
pub fn compile_worker() -> ExitCode {
    let (code, reason) = match work() {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Stop::Invalid(reason)) => (INVALID as u8, reason),
        Err(Stop::Failed(reason)) => (1, reason),
    };
    _ = writeln!(io::stderr(), "{reason}");
    ExitCode::from(code)
}

enum Stop {
    Invalid(String),
    Failed(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

fn work() -> Result<(), Stop> {
    for (resource, limit) in [
        (Resource::As, WORKER_MEMORY_BYTES),
        (Resource::Cpu, WORKER_CPU.as_secs()),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
    ] {
        lower(resource, limit)?;
    }
    let mut wasm = Vec::new();
    io::stdin()
        .lock()
        .take(WORKER_INPUT_BYTES)
        .read_to_end(&mut wasm)?;
    let engine = config::engine().map_err(|error| Stop::Failed(format!("{error:#}")))?;
    let code = engine
        .precompile_component(&wasm)
        .map_err(|error| Stop::Invalid(format!("{error:#}")))?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&code)?;
    stdout.flush()?;
    Ok(())
}

/// Lowers a limit, hard limit included; one that is lower already stays.
fn lower(resource: Resource, limit: u64) -> Result<(), Stop> {
    let maximum = rustix::process::getrlimit(resource).maximum;
    let limit = maximum.map_or(limit, |maximum| maximum.min(limit));
    let limit = Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    setrlimit(resource, limit).map_err(|error| Stop::Failed(error.to_string()))
}
