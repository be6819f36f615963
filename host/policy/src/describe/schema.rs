//! What a schema of parameters may hold.

use serde_json::Value;

use super::DescribeError;
use crate::ids::is_plain_name;
use crate::printable;

/// The largest schema, in bytes of compact JSON.
pub const SCHEMA_BYTES: usize = 256 * 1024;

/// The deepest nesting of a schema.
pub const SCHEMA_DEPTH: usize = 32;

/// Flags of the program that no parameter may be called like. (`version` is
/// none of them: after the fetcher it is a parameter.)
pub const RESERVED_FLAGS: [&str; 28] = [
    "algorithm",
    "allow",
    "color",
    "config",
    "credential",
    "dry-run",
    "each",
    "executable",
    "gc-root",
    "hash",
    "hash-algorithm",
    "help",
    "input",
    "json",
    "log-format",
    "mode",
    "name",
    "offline",
    "param",
    "params",
    "progress",
    "provenance",
    "quiet",
    "refetch",
    "timeout",
    "to",
    "verbose",
    "yes",
];

pub(super) fn check(fetcher: &str, schema: &Value) -> Result<(), DescribeError> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err(DescribeError::NotAnObject(fetcher.to_owned()));
    }
    if schema.to_string().len() > SCHEMA_BYTES {
        return Err(DescribeError::SchemaTooLarge(fetcher.to_owned()));
    }
    walk(fetcher, schema, 1)?;
    match schema.get("properties") {
        None => Ok(()),
        Some(Value::Object(properties)) => properties
            .keys()
            .try_for_each(|parameter| check_parameter(fetcher, parameter)),
        Some(_) => Err(DescribeError::NotAnObject(fetcher.to_owned())),
    }
}

/// Bounds the depth, and refuses references that leave the document wherever
/// they stand: a reader need not know which keywords hold schemas.
fn walk(fetcher: &str, value: &Value, depth: usize) -> Result<(), DescribeError> {
    if depth > SCHEMA_DEPTH {
        return Err(DescribeError::SchemaTooDeep(fetcher.to_owned()));
    }
    match value {
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| walk(fetcher, item, depth + 1)),
        // Help shows these texts on a terminal.
        Value::String(text) if text.chars().any(|c| c.is_control() && c != '\n') => {
            Err(DescribeError::ControlCharacter(fetcher.to_owned()))
        }
        Value::Object(entries) => entries.iter().try_for_each(|(key, entry)| {
            // `$id` moves the base that `#…` is read against.
            let moves = key == "$id";
            let refers = matches!(key.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef");
            if let Value::String(target) = entry
                && (moves || refers && !target.starts_with('#'))
            {
                return Err(DescribeError::RemoteReference {
                    fetcher: fetcher.to_owned(),
                    target: printable(target).into_owned(),
                });
            }
            walk(fetcher, entry, depth + 1)
        }),
        _ => Ok(()),
    }
}

fn check_parameter(fetcher: &str, parameter: &str) -> Result<(), DescribeError> {
    let reason = if !is_plain_name(parameter) {
        "it is not made of `a`–`z`, `0`–`9` and inner `-`"
    } else if RESERVED_FLAGS.contains(&parameter) {
        "it is a flag of the program"
    } else if parameter.starts_with("no-") {
        "`--no-…` turns a parameter off"
    } else {
        return Ok(());
    };
    Err(DescribeError::Parameter {
        fetcher: fetcher.to_owned(),
        parameter: printable(parameter).into_owned(),
        reason,
    })
}

/// Whether a parameter's schema lets it be a string.
pub(super) fn allows_text(property: &Value) -> bool {
    match property.get("type") {
        Some(Value::String(kind)) => kind == "string",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "string"),
        _ => false,
    }
}
