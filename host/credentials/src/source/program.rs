//! Programs of the user's that print a secret.
//!
//! **The threat.** A program that hangs holds up the run; one that writes without end fills memory;
//! what it says on stderr, or the command line that it was given, carries the secret into our log.
//!
//! **The rule.** It has its time and 64 KiB, then it is killed, with what it started, as it is when
//! the run is given up. To that end it has a process group of its own, which is not the terminal's.
//! Its stderr goes nowhere, and errors show its name alone. It runs as the user would start it, with the user's own environment, to
//! which nothing is added; no shell reads its arguments.

use std::{
    io::{self, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use fetchhost_policy::{CredentialSpec, Program, printable};
use rustix::{
    event::Timespec,
    process::{Pid, Signal, kill_process_group},
};
use zeroize::Zeroizing;

use super::MAX_BYTES;
use crate::{Cancel, CredentialError, ProgramProblem, cancel::Woken};

/// How often a program that has closed its output is asked whether it has ended.
const END_POLL: Duration = Duration::from_millis(5);

/// What `program`, with `more` arguments and `input` on its stdin, prints before it ends with
/// success. At most [`MAX_BYTES`].
pub(super) fn run(
    program: &Program,
    more: &[&str],
    input: Option<&[u8]>,
    cancel: &Cancel,
) -> Result<Zeroizing<Vec<u8>>, ProgramProblem> {
    if cancel.is_fired() {
        return Err(ProgramProblem::Cancelled);
    }
    let deadline = Deadline {
        cancel,
        at: Instant::now() + program.timeout,
        after: program.timeout,
    };
    let stdin = match input {
        Some(_) => Stdio::piped(),
        None => Stdio::null(),
    };
    let mut running = Command::new(program.name())
        .args(program.argv.iter().skip(1))
        .args(more)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map(|child| Running {
            child,
            ended: false,
        })
        .map_err(ProgramProblem::Start)?;
    if let (Some(mut stdin), Some(input)) = (running.child.stdin.take(), input) {
        // Smaller than a pipe's buffer, so that this never waits. Whoever does not want it may not.
        match stdin.write_all(input) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(ProgramProblem::Pipe(error));
            }
            _ => {}
        }
    }
    let output = running.output(&deadline)?;
    let status = running.end(&deadline)?;
    if !status.success() {
        return Err(ProgramProblem::Failed(status));
    }
    Ok(output)
}

/// The error for a program of `spec`.
pub(super) fn refuse(
    spec: &CredentialSpec,
    program: &Program,
    problem: ProgramProblem,
) -> CredentialError {
    CredentialError::Program {
        credential: spec.name.clone(),
        program: printable(program.name()).into_owned(),
        problem,
    }
}

/// When a program must have ended.
struct Deadline<'a> {
    cancel: &'a Cancel,
    at: Instant,
    after: Duration,
}

impl Deadline<'_> {
    /// The time that is left, or the error that there is none.
    fn left(&self) -> Result<Duration, ProgramProblem> {
        if self.cancel.is_fired() {
            return Err(ProgramProblem::Cancelled);
        }
        let left = self.at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ProgramProblem::Timeout(self.after));
        }
        Ok(left)
    }
}

/// A program that is killed when it is no longer wanted.
struct Running {
    child: Child,
    /// Its number may be somebody else's by now.
    ended: bool,
}

impl Running {
    fn output(&mut self, deadline: &Deadline<'_>) -> Result<Zeroizing<Vec<u8>>, ProgramProblem> {
        let pipe = |error: rustix::io::Errno| ProgramProblem::Pipe(error.into());
        // Whole from the start: a vector that grows leaves unwiped copies behind.
        let mut output = Zeroizing::new(vec![0; MAX_BYTES + 1]);
        let mut length = 0;
        if let Some(stdout) = self.child.stdout.take() {
            // Waited for and read by hand: something that the program left behind may keep its
            // output open for ever.
            while length < output.len() {
                let left = Timespec::try_from(deadline.left()?).ok();
                match deadline.cancel.wait(stdout.as_fd(), left.as_ref()) {
                    Ok(Woken::Readable) => {}
                    Ok(Woken::Cancelled | Woken::Neither) => continue,
                    Err(error) => return Err(pipe(error)),
                }
                match rustix::io::read(&stdout, &mut output[length..]) {
                    Ok(0) => break,
                    Ok(read) => length += read,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(pipe(error)),
                }
            }
        }
        if length > MAX_BYTES {
            return Err(ProgramProblem::TooLarge);
        }
        output.truncate(length);
        Ok(output)
    }

    fn end(&mut self, deadline: &Deadline<'_>) -> Result<ExitStatus, ProgramProblem> {
        loop {
            if let Some(status) = self.child.try_wait().map_err(ProgramProblem::Pipe)? {
                self.ended = true;
                return Ok(status);
            }
            thread::sleep(deadline.left()?.min(END_POLL));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // What has ended meanwhile is not there to be killed, which is as good.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
