//! The files that an expression gives to a fetcher.
//!
//! **The threat.** An expression names a file that is none of the store's, or one file in two ways.
//!
//! **The rule.** A JSON object of names and paths in its one spelling: members in their order, no blanks, no escape
//! that is not needed. Whether a path is valid, and where its links lead, is for whoever opens it.
//!
//! | a path | |
//! |---|---|
//! | `/nix/store/HASH-NAME`, `/nix/store/HASH-NAME/a/b` | read |
//! | elsewhere; `.`, `..` or nothing between two `/`; `/` at its end; control characters | refused |
//! | no input at all (`{}`) | refused: `inputs` is left out then |

use std::collections::BTreeMap;
use std::fmt;

use fetchhost_formats::{STORE_DIR, StorePath};
use fetchhost_policy::InputName;
use serde_json::{Map, Value};

use super::UrlError;
use crate::json;

/// The paths of the store that a fetcher's inputs are, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreInputs(BTreeMap<InputName, String>);

impl StoreInputs {
    /// These inputs.
    ///
    /// # Errors
    ///
    /// When one is no plainly spelt path below the store.
    pub fn new(paths: BTreeMap<InputName, String>) -> Result<Self, UrlError> {
        if paths.values().all(|path| is_plain(path)) {
            Ok(Self(paths))
        } else {
            Err(refused(
                "an object of paths below /nix/store, spelt plainly",
            ))
        }
    }

    /// Reads what [`StoreInputs`] prints, of one input or more.
    ///
    /// # Errors
    ///
    /// When it is spelt in any other way.
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let paths: BTreeMap<String, String> = json::members(&mut reader)
            .and_then(|paths| reader.end().map(|()| paths))
            .map_err(|_| {
                refused("a JSON object of names and paths in which no member stands twice")
            })?;
        let paths: BTreeMap<InputName, String> = paths
            .into_iter()
            .map(|(name, path)| Ok((name.parse()?, path)))
            .collect::<Result<_, fetchhost_policy::IdError>>()
            .map_err(|_| refused("an object whose members are names of inputs"))?;
        let inputs = Self::new(paths)?;
        if inputs.is_empty() {
            return Err(refused("to be given where there are no inputs"));
        }
        if inputs.to_string() != text {
            return Err(refused(
                "spelt as `builtins.toJSON` prints it, in the order of the names",
            ));
        }
        Ok(inputs)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each name with its path.
    pub fn iter(&self) -> impl Iterator<Item = (&InputName, &str)> {
        self.0.iter().map(|(name, path)| (name, path.as_str()))
    }
}

/// As JSON.
impl fmt::Display for StoreInputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object: Map<String, Value> = self
            .iter()
            .map(|(name, path)| (name.to_string(), path.into()))
            .collect();
        f.write_str(&Value::Object(object).to_string())
    }
}

fn refused(expected: &str) -> UrlError {
    UrlError::Value("inputs", expected.to_owned())
}

fn is_plain(path: &str) -> bool {
    let below_store = path
        .strip_prefix(STORE_DIR)
        .and_then(|rest| rest.strip_prefix('/'));
    let mut segments = below_store.unwrap_or_default().split('/');
    let name = segments.next().unwrap_or_default();
    StorePath::from_base_name(name).is_ok()
        && segments.all(|segment| !matches!(segment, "" | "." | ".."))
        && !path.contains(char::is_control)
}
