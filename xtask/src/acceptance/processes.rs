//! Processes and folders of a run: nothing of them outlives it, however it ends.
//!
//! Each process leads a group of its own, so that what it started goes with it. Groups and folders are
//! registered, for the thread that a signal wakes: it ends the groups, removes the folders and exits. The
//! rest is done by dropping, which a panic does too.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// How long one command may take, a large upload included.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often a process is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(5);

static REGISTERED: Mutex<Registered> = Mutex::new(Registered {
    groups: Vec::new(),
    folders: Vec::new(),
});
/// Where the handler of signals writes their number.
static WAKE: AtomicI32 = AtomicI32::new(-1);

struct Registered {
    groups: Vec<libc::pid_t>,
    folders: Vec<PathBuf>,
}

fn registered() -> MutexGuard<'static, Registered> {
    // Two lists are right after a panic, too.
    REGISTERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From here on a signal to end ends everything that was started, with exit code 128+n.
pub(super) fn clean_up_after_signals() -> Result<()> {
    let (mut wakes, wake) = std::io::pipe()?;
    WAKE.store(wake.as_raw_fd(), Ordering::SeqCst);
    // The handler writes to it for as long as the process lives.
    std::mem::forget(wake);
    std::thread::spawn(move || {
        let mut signal = [0];
        if wakes.read_exact(&mut signal).is_ok() {
            end(i32::from(signal[0]));
        }
    });
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let handler = note as extern "C" fn(libc::c_int);
        // SAFETY: the handler does nothing but write to a pipe, which a handler may.
        let before = unsafe { libc::signal(signal, handler as libc::sighandler_t) };
        ensure!(before != libc::SIG_ERR, "cannot wait for signal {signal}");
    }
    Ok(())
}

extern "C" fn note(signal: libc::c_int) {
    // Numbers of signals are small.
    let number = [signal as u8];
    // SAFETY: one byte is read from an array of one, and the pipe is never closed.
    unsafe { libc::write(WAKE.load(Ordering::SeqCst), number.as_ptr().cast(), 1) };
}

#[expect(clippy::exit, reason = "the main thread is in the middle of something")]
fn end(signal: i32) {
    // Held to the end, so that nothing is started any more.
    let registered = registered();
    for group in &registered.groups {
        kill(*group);
    }
    for group in &registered.groups {
        // SAFETY: nothing is written through a null pointer. The main thread may have waited for it.
        unsafe { libc::waitpid(*group, std::ptr::null_mut(), 0) };
    }
    for folder in &registered.folders {
        remove(folder);
    }
    eprintln!("ended by signal {signal}: servers are stopped, folders removed");
    std::process::exit(128 + signal);
}

fn kill(group: libc::pid_t) {
    // SAFETY: a signal to a group whose leader is a child of ours that nobody has waited for.
    unsafe { libc::kill(-group, libc::SIGKILL) };
}

/// Removes a folder, read-only store paths and all. What a process that is just ending writes there yet may
/// be in the way for a moment.
fn remove(folder: &Path) {
    for _ in 0..50 {
        let mut open = Command::new("chmod");
        open.args(["-R", "u+w"]).arg(folder);
        // What cannot be opened or removed is tried again.
        let _ = open.stderr(Stdio::null()).status();
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                std::thread::sleep(Duration::from_millis(20));
            }
            _ => return,
        }
    }
    eprintln!("{} could not be removed", folder.display());
}

/// A temporary folder, removed when it is dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self> {
        // The short name keeps what is below it short enough for sockets.
        let folder = tempfile::Builder::new().prefix("s3-").tempdir()?.keep();
        registered().folders.push(folder.clone());
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// A new folder in it, for its owner alone.
    pub(super) fn with(&self, name: &str) -> Result<PathBuf> {
        use std::os::unix::fs::DirBuilderExt as _;
        let folder = self.0.join(name);
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&folder)?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
        registered().folders.retain(|folder| *folder != self.0);
    }
}

/// A process that runs until it is dropped.
pub(super) struct Process {
    child: Child,
    group: libc::pid_t,
}

impl Process {
    /// Starts a command in a group of its own.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let mut registered = registered();
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        let group = libc::pid_t::try_from(child.id())?;
        registered.groups.push(group);
        Ok(Self { child, group })
    }

    /// Whether it still runs.
    pub(super) fn runs(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// What it ended with; after a time too long for anything that is done here, an error.
    pub(super) fn wait(&mut self) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > PATIENCE {
                bail!("it did not end within {PATIENCE:?}");
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Ends it at once, as a power cut would.
    pub(super) fn kill(mut self) -> Result<()> {
        kill(self.group);
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        kill(self.group);
        // It may have been waited for.
        let _ = self.child.wait();
        registered().groups.retain(|group| *group != self.group);
    }
}

/// A command that has ended, and what it printed.
pub(super) struct Finished {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// A command that runs, and whose output is kept.
pub(super) struct Started {
    process: Process,
    stdout: File,
    stderr: File,
}

impl Started {
    pub(super) fn new(command: &mut Command) -> Result<Self> {
        // Files, which never make a writer wait.
        let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        command.stdout(stdout.try_clone()?);
        command.stderr(stderr.try_clone()?);
        Ok(Self {
            process: Process::start(command)?,
            stdout,
            stderr,
        })
    }

    /// Waits for its end.
    pub(super) fn finish(mut self) -> Result<Finished> {
        let status = self.process.wait()?;
        Ok(Finished {
            status,
            stdout: text(&mut self.stdout)?,
            stderr: text(&mut self.stderr)?,
        })
    }

    /// Whether it still runs.
    pub(super) fn runs(&mut self) -> Result<bool> {
        self.process.runs()
    }

    /// What it has printed so far.
    pub(super) fn printed(&mut self) -> Result<String> {
        text(&mut self.stdout)
    }

    /// Ends it at once, as a power cut would.
    pub(super) fn kill(self) -> Result<()> {
        self.process.kill()
    }

    /// The process alone, once enough of its output was read.
    pub(super) fn into_process(self) -> Process {
        self.process
    }
}

fn text(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Runs a command to its end.
pub(super) fn run(command: &mut Command) -> Result<Finished> {
    let done = Started::new(command)?.finish();
    done.with_context(|| format!("{command:?}"))
}

/// What a command prints; an error with what it says if it fails.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let done = run(command)?;
    ensure!(
        done.status.success(),
        "{command:?} ended with {}: {}",
        done.status,
        done.stderr.trim_end()
    );
    Ok(done.stdout)
}

/// Asks again and again until the answer is yes.
pub(super) fn until(
    what: &str,
    limit: Duration,
    mut yes: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let start = Instant::now();
    while !yes()? {
        ensure!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// A port of 127.0.0.1 that nobody listens on.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// Those of some programs that `PATH` does not have.
pub(super) fn missing<'a>(programs: &[&'a str]) -> Vec<&'a str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has =
        |program: &&&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    programs
        .iter()
        .filter(|program| !has(program))
        .copied()
        .collect()
}
