//! `cargo xtask acceptance s3`: the program as a user runs it, against servers that others use in earnest.
//!
//! It installs nothing. What it starts lies in temporary folders, listens on free ports of 127.0.0.1, and is
//! ended and removed at the end, after a signal and after a panic too.

mod ceph;
mod client;
mod garage;
mod nix;
mod policies;
mod processes;
mod program;
mod server;
mod suite;
mod web;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use nix::Nix;
use program::Program;
use server::{Server, User};
use suite::{Outcome, STEPS, Scene};

/// The servers in their order.
const SERVERS: [&str; 2] = ["ceph", "garage"];
/// What the suite itself runs.
const TOOLS: [&str; 4] = ["chmod", "curl", "date", "openssl"];
/// The exit code for a command line or a machine that is not as it must be.
const UNUSABLE: u8 = 2;

/// Runs the suite against the named servers, or all. Exit code 1 when a step failed, 2 when what it needs is not
/// here.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let names = match arguments.split_first() {
        Some((kind, names)) if kind == "s3" => names,
        _ => &["".to_owned()],
    };
    if names.iter().any(|name| !SERVERS.contains(&name.as_str())) {
        eprintln!("usage: cargo xtask acceptance s3 [{}]", SERVERS.join("] ["));
        return Ok(ExitCode::from(UNUSABLE));
    }
    let is_asked = |server: &str| names.is_empty() || names.iter().any(|name| name == server);
    let tools = processes::missing(&TOOLS);
    if !tools.is_empty() {
        eprintln!("not here: {}", tools.join(", "));
        return Ok(ExitCode::from(UNUSABLE));
    }
    if let Some(what) = ceph::what_is_missing().filter(|_| is_asked("ceph")) {
        eprintln!("{what}");
        return Ok(ExitCode::from(UNUSABLE));
    }
    let has_garage = garage::is_here();
    if !has_garage && names.iter().any(|name| name == "garage") {
        eprintln!("`garage` is not in PATH; this installs it:\n  cargo install --locked garage");
        return Ok(ExitCode::from(UNUSABLE));
    }
    let program = Program::build()?;
    processes::clean_up_after_signals()?;
    let nix = Nix::all()?;
    for nix in &nix {
        println!("judge: Nix {}, which {}", nix.version, nix.s3.told());
    }
    let mut count = Count::default();
    for name in SERVERS.into_iter().filter(|name| is_asked(name)) {
        if name == "garage" && !has_garage {
            count.tell(
                name,
                "skipped",
                "the whole suite",
                "`garage` is not in PATH",
            );
            continue;
        }
        let start = Instant::now();
        let server: Box<dyn Server> = match name {
            "ceph" => Box::new(ceph::Ceph::start()?),
            _ => Box::new(garage::Garage::start()?),
        };
        println!(
            "{name} {} answers after {:.1?}",
            server.version(),
            start.elapsed()
        );
        let secrets = User::ALL.map(|user| server.keys(user).secret);
        let program = Program::new(program.clone(), secrets.into())?;
        let scene = Scene {
            server: server.as_ref(),
            program: &program,
            nix: &nix,
        };
        for (what, step) in STEPS {
            count.step(&scene, what, *step);
        }
    }
    println!(
        "{} passed, {} failed, {} skipped",
        count.passed, count.failed, count.skipped
    );
    Ok(if count.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How many steps ended how.
#[derive(Default)]
struct Count {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Count {
    /// Runs a step and tells of it.
    fn step(&mut self, scene: &Scene<'_>, what: &str, step: suite::Step) {
        let start = Instant::now();
        let name = scene.server.name();
        match step(scene) {
            Ok(Outcome::Passed) => {
                let time = format!("{:.1?}", start.elapsed());
                self.tell(name, "pass", what, &time);
            }
            Ok(Outcome::Skipped(why)) => self.tell(name, "skipped", what, &why),
            Err(error) => self.tell(name, "FAIL", what, &format!("{error:#}")),
        }
    }

    fn tell(&mut self, server: &str, verdict: &str, what: &str, more: &str) {
        let count = match verdict {
            "pass" => &mut self.passed,
            "skipped" => &mut self.skipped,
            _ => &mut self.failed,
        };
        *count += 1;
        println!("{server:<7} {verdict:<8} {what}: {more}");
    }
}
