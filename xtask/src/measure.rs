//! What one process cost: wall clock, processor time and peak memory.

use std::io::{BufRead as _, BufReader};
use std::mem::MaybeUninit;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// The cost of one process and of the children that it waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// User and system time.
    pub(crate) processor: Duration,
    /// Largest resident set in bytes.
    pub(crate) peak_bytes: u64,
}

/// Runs a command to its end; its output is dropped unless it fails.
pub(crate) fn run(command: &mut Command) -> Result<Cost> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    let child = command
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let pid = libc::pid_t::try_from(child.id())?;
    let (status, usage) = wait(pid)?;
    let cost = cost(start, &usage)?;
    if status != 0 {
        bail!("{command:?} failed with wait status {status:#x}");
    }
    Ok(cost)
}

/// A process that runs until it is told to end.
pub(crate) struct Running {
    child: Child,
    start: Instant,
    is_over: bool,
}

impl Running {
    /// Starts a command, and returns the first line that it prints.
    pub(crate) fn start(command: &mut Command) -> Result<(Self, String)> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let start = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        let output = child.stdout.take().context("it has no output")?;
        let running = Self {
            child,
            start,
            is_over: false,
        };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok((running, line))
    }

    /// Tells it to end, and returns what it cost.
    pub(crate) fn stop(mut self) -> Result<Cost> {
        let pid = libc::pid_t::try_from(self.child.id())?;
        // SAFETY: a signal to a child of ours that nobody has waited for.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let (_, usage) = wait(pid)?;
        self.is_over = true;
        cost(self.start, &usage)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            // It may have ended by itself.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn cost(start: Instant, usage: &libc::rusage) -> Result<Cost> {
    Ok(Cost {
        wall: start.elapsed(),
        processor: duration(usage.ru_utime) + duration(usage.ru_stime),
        // Linux counts in KiB.
        peak_bytes: u64::try_from(usage.ru_maxrss)? * 1024,
    })
}

/// Waits for one child and takes its own usage, which the standard library does not report.
fn wait(pid: libc::pid_t) -> Result<(libc::c_int, libc::rusage)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are valid for writes during the call, and `pid` is a child of ours
        // that nobody else waits for.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
        if waited == pid {
            // SAFETY: all bit patterns are valid for these integers, and wait4 has filled them in.
            return Ok((status, unsafe { usage.assume_init() }));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error).context("cannot wait for the measured process");
        }
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.unsigned_abs())
        + Duration::from_micros(time.tv_usec.unsigned_abs())
}

/// The medians of several runs, each quantity on its own.
pub(crate) fn median(costs: &[Cost]) -> Cost {
    fn middle<T: Ord + Copy>(costs: &[Cost], of: impl Fn(&Cost) -> T) -> T {
        let mut values: Vec<T> = costs.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    }
    Cost {
        wall: middle(costs, |cost| cost.wall),
        processor: middle(costs, |cost| cost.processor),
        peak_bytes: middle(costs, |cost| cost.peak_bytes),
    }
}
