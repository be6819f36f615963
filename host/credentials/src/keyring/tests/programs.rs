//! `command`.

use std::time::Instant;

use fetchhost_policy::Program;

use super::*;
use crate::{Problem, ProgramProblem};

pub(super) fn shell(script: &str, timeout: Duration) -> Program {
    Program {
        argv: ["/bin/sh", "-c", script, "sh"].map(str::to_owned).to_vec(),
        timeout,
    }
}

fn command(script: &str) -> CredentialSpec {
    let source = SourceSpec::Command {
        program: shell(script, Duration::from_secs(20)),
        refresh: None,
    };
    spec(source, Scheme::Bearer)
}

fn within(script: &str, timeout: Duration) -> CredentialSpec {
    let source = SourceSpec::Command {
        program: shell(script, timeout),
        refresh: None,
    };
    spec(source, Scheme::Bearer)
}

pub(super) fn problem(error: CredentialError) -> ProgramProblem {
    match error {
        CredentialError::Program { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[test]
fn what_a_command_prints_is_the_secret() {
    let stage = stage(&[], None);
    assert_eq!(stage.get(&command("echo canary-5ecret")).unwrap(), CANARY);
    assert_eq!(
        stage.get(&command("printf 'can'; printf 'ary'")).unwrap(),
        "canary"
    );
}

#[test]
fn no_shell_reads_the_arguments() {
    let source = SourceSpec::Command {
        program: Program {
            argv: vec!["echo".to_owned(), "$(exit)&;".to_owned()],
            timeout: Program::DEFAULT_TIMEOUT,
        },
        refresh: None,
    };
    let spec = spec(source, Scheme::Bearer);
    assert_eq!(stage(&[], None).get(&spec).unwrap(), "$(exit)&;");
}

#[test]
fn a_command_that_fails_gives_nothing_and_its_words_are_not_shown() {
    let stage = stage(&[], None);
    for script in [
        "echo canary; echo canary >&2; exit 3",
        "echo canary; kill -9 $$",
    ] {
        let error = stage.refusal(&command(script));
        assert!(error.to_string().contains("`/bin/sh` failed: "), "{error}");
        assert!(error.hint().unwrap().contains("run it yourself"));
        assert!(matches!(problem(error), ProgramProblem::Failed(_)));
    }
    let missing = spec(
        SourceSpec::Command {
            program: Program {
                argv: vec!["/nowhere/canary".to_owned(), "canary".to_owned()],
                timeout: Program::DEFAULT_TIMEOUT,
            },
            refresh: None,
        },
        Scheme::Bearer,
    );
    let error = stage.get(&missing).unwrap_err();
    assert!(matches!(problem(error), ProgramProblem::Start(_)));
}

#[test]
fn a_command_that_hangs_is_killed_when_its_time_is_up() {
    let stage = stage(&[], None);
    let begin = Instant::now();
    for script in [
        "sleep 60",
        "echo canary; sleep 60",
        // It ends, but what it left behind keeps its output open.
        "echo canary; sleep 60 & exit 0",
        // It closes its output and stays.
        "exec >&-; sleep 60",
    ] {
        let error = stage.refusal(&within(script, Duration::from_millis(300)));
        assert!(
            matches!(problem(error), ProgramProblem::Timeout(_)),
            "{script}"
        );
    }
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_is_given_up_is_killed_with_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = format!(
        "sleep 61 & echo $! > {0}; echo $$ >> {0}; echo done >> {0}; wait",
        pids.display()
    );
    let stage = stage(&[], None);
    let cancel = stage.keyring.cancel();
    let begin = Instant::now();
    let spec = command(&script);
    let started = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| stage.refusal(&spec));
        let started = loop {
            let text = std::fs::read_to_string(&pids).unwrap_or_default();
            if text.contains("done") {
                break text;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        cancel.fire();
        let error = waiting.join().unwrap();
        assert!(matches!(problem(error), ProgramProblem::Cancelled));
        started
    });
    assert!(begin.elapsed() < Duration::from_secs(20));
    // Nothing is started any more, and nothing goes on.
    let error = stage.refusal(&command("echo canary"));
    assert!(matches!(problem(error), ProgramProblem::Cancelled));
    for pid in started.lines().take(2) {
        let is_running = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        while is_running() {
            assert!(begin.elapsed() < Duration::from_secs(20), "{pid} goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_command_that_writes_without_end_is_killed() {
    let stage = stage(&[], None);
    let error = stage.refusal(&command("while :; do echo canary-canary-canary; done"));
    assert!(matches!(problem(error), ProgramProblem::TooLarge));
    let spec = command("head -c 65536 /dev/zero | tr '\\0' a");
    assert_eq!(stage.get(&spec).unwrap().len(), 65_536);
}

#[test]
fn what_a_command_writes_to_stderr_neither_blocks_it_nor_counts() {
    let script = "i=0; while [ $i -lt 3000 ]; do echo a-long-line-of-canaries >&2; i=$((i+1)); done; echo token";
    assert_eq!(stage(&[], None).get(&command(script)).unwrap(), "token");
}

#[test]
fn several_lines_and_nothing_are_refused() {
    let stage = stage(&[], None);
    for (script, expected) in [
        ("printf 'canary\\r\\nX-Evil: 1\\n'", Problem::SeveralLines),
        ("true", Problem::Empty),
        ("printf '\\377canary'", Problem::NotText),
    ] {
        match stage.refusal(&command(script)) {
            CredentialError::Unusable { problem, .. } => assert_eq!(problem, expected),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_command_is_run_again_when_its_refresh_time_has_passed() {
    let folder = tempfile::tempdir().unwrap();
    let counter = folder.path().join("runs");
    let script = format!("echo x >> {0}; wc -l < {0}", counter.display());
    let source = |refresh| SourceSpec::Command {
        program: shell(&script, Duration::from_secs(20)),
        refresh,
    };
    let stage = stage(&[], None);
    let spec_of = |refresh| spec(source(refresh), Scheme::Bearer);
    let hourly = spec_of(Some(Duration::from_secs(3600)));
    let get = |spec: &CredentialSpec| stage.get(spec).map(|text| text.trim().to_owned());
    assert_eq!(get(&hourly).unwrap(), "1");
    stage.pass(Duration::from_secs(3599));
    assert_eq!(get(&hourly).unwrap(), "1");
    stage.pass(Duration::from_secs(1));
    assert_eq!(get(&hourly).unwrap(), "2");
    let for_ever = spec_of(None);
    assert_eq!(get(&for_ever).unwrap(), "3");
    stage.pass(Duration::from_secs(1_000_000));
    assert_eq!(get(&for_ever).unwrap(), "3");
}

#[test]
fn requests_at_the_same_time_share_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let counter = folder.path().join("runs");
    let script = format!("echo x >> {0}; sleep 0.2; echo token", counter.display());
    let stage = stage(&[], None);
    let spec = command(&script);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(stage.get(&spec).unwrap(), "token"));
        }
    });
    assert_eq!(std::fs::read_to_string(counter).unwrap(), "x\n");
}
