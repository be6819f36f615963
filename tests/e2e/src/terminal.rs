//! The program on a terminal of its own, with somebody who types.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::{CommandLine, Sandbox};

/// Longer than any question takes to come, and any run to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// A run on a terminal, which `script` makes.
pub struct Terminal {
    script: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    /// Reads what is shown, until there is no more.
    reader: Option<JoinHandle<()>>,
    /// Where the exit code and the id of the process are left.
    code: PathBuf,
    pid: PathBuf,
}

impl Terminal {
    /// Starts the program in the environment of a sandbox. Its stdin and stderr are the terminal, its stdout is the
    /// file `stdout` in the sandbox.
    ///
    /// # Panics
    /// When `script` cannot be started.
    #[must_use]
    pub fn start(sandbox: &Sandbox, line: CommandLine) -> Self {
        let program = sandbox.command();
        let quote = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap());
        let words: Vec<_> = line.into_words().iter().map(|word| quote(word)).collect();
        let (code, pid) = (sandbox.path("exit-code"), sandbox.path("pid"));
        let typed = format!(
            "sh -c 'echo $$ > {pid}; exec \"$@\"' sh {program} {words} > {stdout}; echo $? > {code}",
            pid = pid.display(),
            program = quote(program.get_program()),
            words = words.join(" "),
            stdout = sandbox.path("stdout").display(),
            code = code.display(),
        );
        let mut command = Command::new("script");
        command.env_clear().envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        let mut script = command
            .args(["-q", "-c", &typed, "/dev/null"])
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .current_dir(sandbox.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("script runs");
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let (mut stdout, all) = (script.stdout.take().unwrap(), Arc::clone(&shown));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut bytes) {
                all.lock().unwrap().extend(&bytes[..length]);
            }
        });
        Self {
            script,
            shown,
            reader: Some(reader),
            code,
            pid,
        }
    }

    /// All that the terminal has shown so far.
    ///
    /// # Panics
    /// When the reader did.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Waits for a question and answers it.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn answer(&mut self, question: &str, line: &str) {
        self.wait_until(question, |terminal| terminal.shown().contains(question));
        let stdin = self.script.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Waits for a question, and says whose it is: the id of the program's process.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn asks(&mut self, question: &str) -> u32 {
        self.wait_until(question, |terminal| terminal.shown().contains(question));
        let pid = fs::read_to_string(&self.pid).unwrap();
        pid.trim().parse().unwrap()
    }

    /// Sends the program a signal, such as `INT`.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, process: u32, name: &str) {
        let arguments = ["-s", name, &process.to_string()];
        let status = Command::new("kill").args(arguments).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end, and returns the exit code and all that was shown.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn end(mut self) -> (i32, String) {
        self.wait_until("the end", |terminal| {
            fs::read_to_string(&terminal.code).is_ok_and(|text| text.ends_with('\n'))
        });
        // It ends with what ran in it; until then something may still be on its way here.
        drop(self.script.stdin.take());
        self.script.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let code = fs::read_to_string(&self.code).unwrap();
        for file in [&self.code, &self.pid] {
            fs::remove_file(file).unwrap();
        }
        (code.trim().parse().unwrap(), self.shown())
    }

    #[track_caller]
    fn wait_until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let begin = Instant::now();
        while !is_so(self) {
            assert!(
                begin.elapsed() < PATIENCE,
                "{what} does not come; there is:\n{}",
                self.shown()
            );
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}
