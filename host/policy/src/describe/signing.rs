//! What a fetcher says of the files that it is given and of the keys that it signs with.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DescribeError, FetcherDescription, schema};
use crate::certificate::CERTIFICATE_SLOT;
use crate::{SlotName, Use, printable};

/// The most inputs of one fetcher.
pub const MAX_INPUTS: usize = 16;
/// The most keys of one fetcher.
pub const MAX_KEYS: usize = 16;

/// A file that the user gives the fetcher with `--input NAME=PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InputDescription {
    /// One line for people.
    pub summary: String,
}

/// A place for a signing key. A fetcher that has one *signs*: its result has no hash that is known beforehand, and
/// needs none where the fetcher asks to reach nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KeySlotDescription {
    /// One line for people.
    pub summary: String,
    /// The parameter whose value is the name of the key.
    pub parameter: String,
    /// What the fetcher asks the key to sign, never [`Use::Narinfo`].
    pub envelopes: Vec<Use>,
}

impl FetcherDescription {
    /// Whether the fetcher asks for signatures.
    #[must_use]
    pub fn signs(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether its result needs no hash that is known beforehand: it signs, and asks to reach nothing. What else came
    /// from elsewhere would be nobody's word, and to declare a key would be the way around every hash.
    #[must_use]
    pub fn needs_no_hash(&self) -> bool {
        self.signs() && !self.needs.reaches()
    }

    pub(super) fn check_signing(&self, fetcher: &str) -> Result<(), DescribeError> {
        let counts = [
            (self.inputs.len(), MAX_INPUTS, "inputs"),
            (self.keys.len(), MAX_KEYS, "keys"),
        ];
        for (count, most, what) in counts {
            if count > most {
                return Err(DescribeError::TooMany {
                    fetcher: fetcher.to_owned(),
                    most,
                    what,
                });
            }
        }
        for (slot, key) in &self.keys {
            self.check_key(slot, key)
                .map_err(|reason| DescribeError::Key {
                    fetcher: fetcher.to_owned(),
                    slot: slot.clone(),
                    reason,
                })?;
        }
        Ok(())
    }

    fn check_key(&self, slot: &SlotName, key: &KeySlotDescription) -> Result<(), String> {
        if slot.as_str() == CERTIFICATE_SLOT {
            return Err("the slot is the host's".to_owned());
        }
        if self.slots.contains_key(slot) {
            return Err("a credential's slot has the same name".to_owned());
        }
        let parameter = printable(&key.parameter);
        let schema = self.property(&key.parameter);
        if !schema.is_some_and(schema::allows_text) {
            return Err(format!("`{parameter}` is no parameter of type string"));
        }
        // Which key signs is said by whoever runs it.
        if schema
            .and_then(|schema| schema.get("default"))
            .is_some_and(|value| *value != Value::Null)
        {
            return Err(format!("`{parameter}` has a default"));
        }
        if key.envelopes.is_empty() {
            return Err("it names no envelope".to_owned());
        }
        for (index, envelope) in key.envelopes.iter().enumerate() {
            if *envelope == Use::Narinfo {
                return Err("no module signs `narinfo`".to_owned());
            }
            if key.envelopes[..index].contains(envelope) {
                return Err(format!("it names `{envelope}` twice"));
            }
        }
        Ok(())
    }
}
