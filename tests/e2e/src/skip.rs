//! Tests that need what not every machine has.

use std::io::Write as _;

/// Says which test is skipped and why; in CI, where everything must be there, that is a failure.
///
/// # Panics
/// When `CI` is `true`.
pub fn skip(test: &str, why: &str) {
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!in_ci, "{test}: {why}, and in CI it must not be skipped");
    say(&format!("SKIPPED: {test}: {why}"));
}

/// Says something at once: the test harness shows what `eprintln` prints only when a test fails.
#[expect(clippy::explicit_write, reason = "see above")]
pub fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").unwrap();
}

/// Whether the test runs as root, after saying that it is skipped if not: also in CI, whose user need
/// not be root.
#[must_use]
pub fn is_root(test: &str) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !root {
        say(&format!("SKIPPED: {test}: only root can run it"));
    }
    root
}
