//! The program's own trace, for `-vv`.

use std::ffi::OsString;
use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{Global, LogFormat};

/// The crates whose events are shown. Never those of HTTP libraries: what they say of headers is not ours
/// to vouch for.
const OURS: [&str; 6] = [
    "fetchhost_transport",
    "fetchhost_credentials",
    "fetchhost_artifact",
    "fetchhost_engine",
    "fetchhost_sinks",
    "fetchhost_pipeline",
];

/// Starts the trace: warnings, or with `-vv` debug events, with `-vvv` all; with `--quiet` nothing.
///
/// It reads the command line by itself, because loading a module, which is worth tracing, comes before
/// the whole line can be understood.
pub(crate) fn start(argv: &[OsString]) {
    let global = global(argv);
    let level = match (global.quiet, global.verbose) {
        (true, _) => return,
        (false, 0 | 1) => LevelFilter::WARN,
        (false, 2) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let targets = Targets::new().with_targets(OURS.map(|target| (target, level)));
    let colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(targets);
    match global.log_format {
        LogFormat::Text => registry.with(layer.compact().without_time()).init(),
        LogFormat::Json => registry.with(layer.json()).init(),
        // Its readers expect nothing but its own lines.
        LogFormat::InternalJson => {}
    }
}

/// The global flags, wherever they stand. A value that looks like one of them is taken for one: all that
/// costs is a line more or less on stderr.
pub(crate) fn global(argv: &[OsString]) -> Global {
    let mut global = Global::default();
    let mut words = argv.iter().skip(1).filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        match word {
            "--" => break,
            "--quiet" => global.quiet = true,
            "--verbose" => global.verbose = global.verbose.saturating_add(1),
            "--log-format" => global.log_format = format(words.next()),
            _ if word.starts_with("--log-format=") => {
                global.log_format = format(word.strip_prefix("--log-format="));
            }
            _ => match word.strip_prefix('-') {
                Some(letters)
                    if !letters.is_empty() && letters.bytes().all(|b| matches!(b, b'v' | b'q')) =>
                {
                    for letter in letters.bytes() {
                        match letter {
                            b'v' => global.verbose = global.verbose.saturating_add(1),
                            _ => global.quiet = true,
                        }
                    }
                }
                _ => {}
            },
        }
    }
    global
}

/// What clap will refuse later is text until then.
fn format(word: Option<&str>) -> LogFormat {
    word.and_then(|word| LogFormat::from_str(word, false).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbose(line: &str) -> u8 {
        let argv: Vec<OsString> = line.split(' ').map(Into::into).collect();
        global(&argv).verbose
    }

    #[test]
    fn the_flags_are_found_before_and_behind_what_is_not_known_yet() {
        assert_eq!(verbose("x -vv run gitlab-artifact"), 2);
        assert_eq!(
            verbose("x run gitlab-artifact --project a/b --hash h -vvv"),
            3
        );
        assert_eq!(verbose("x run gitlab-artifact --project a/b"), 0);
        assert_eq!(verbose("x"), 0);
        assert_eq!(verbose("x run http-file -- -v"), 0);
    }

    #[test]
    fn the_format_is_found_in_both_spellings() {
        for line in ["x run f --log-format json -v", "x --log-format=json run f"] {
            let argv: Vec<OsString> = line.split(' ').map(Into::into).collect();
            assert_eq!(global(&argv).log_format, LogFormat::Json, "{line}");
        }
    }
}
