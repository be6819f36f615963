//! Nix's machine-readable log: one JSON object a line behind `@nix `, as `nix --log-format internal-json`
//! writes it, so that a program that shows Nix's progress can show ours.
//!
//! Format: `src/libutil/logging.cc` of Nix. Levels and types are numbers there and here.

use serde_json::{Value, json};

/// The verbosity at which a message is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Level {
    Error = 0,
    Warning = 1,
    Notice = 2,
    Info = 3,
    Talkative = 4,
}

/// A file transfer, in Nix's list of activities.
const FILE_TRANSFER: u32 = 101;
/// Done, expected, running, failed: in Nix's list of results.
const PROGRESS: u32 = 105;

/// A message.
pub(crate) fn message(level: Level, text: &str) -> String {
    line(&json!({ "action": "msg", "level": level as u32, "msg": text }))
}

/// A transfer begins.
pub(crate) fn start(id: u64, text: &str) -> String {
    line(&json!({
        "action": "start",
        "id": id,
        "level": Level::Info as u32,
        "type": FILE_TRANSFER,
        "text": text,
        "fields": [text],
        "parent": 0,
    }))
}

/// `done` bytes of a transfer have arrived, of `expected`; 0 where that is not known.
pub(crate) fn progress(id: u64, done: u64, expected: u64) -> String {
    line(&json!({
        "action": "result",
        "id": id,
        "type": PROGRESS,
        "fields": [done, expected, 0, 0],
    }))
}

/// A transfer ended, well or not.
pub(crate) fn stop(id: u64) -> String {
    line(&json!({ "action": "stop", "id": id }))
}

fn line(value: &Value) -> String {
    format!("@nix {value}")
}
