//! What a module says of itself: its `describe` document.
//!
//! **The threat.** The document is written by whoever wrote the module. It may
//! be huge, point its schema at other servers, take the names of the program's
//! own flags so that a user types one and means the other, or lie.
//!
//! **The rule.** The document is what a module **asks**; it grants nothing. It
//! is bounded in size and depth, has no remote `$ref`, its parameters are
//! plain names that are no flags of ours, and mode and name of the result are
//! known from static rules before the module runs.
//!
//! Keys that this version does not know are passed over, so that a newer
//! module's document can be read; in an output rule they are refused, because
//! a condition that is passed over would change what the rule says.

mod error;
mod output;
mod schema;
mod signing;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use fetchhost_formats::{OutputMode, StoreName};

use crate::certificate::CERTIFICATE_SLOT;
use crate::ids::is_plain_name;
use crate::{InputName, Method, OriginPattern, PathPattern, Scheme, SlotName, printable};

pub use error::{DescribeError, OutputError};
pub use output::OutputRule;
pub use schema::{RESERVED_FLAGS, SCHEMA_BYTES, SCHEMA_DEPTH};
pub use signing::{InputDescription, KeySlotDescription, MAX_INPUTS, MAX_KEYS};

/// The largest document, in bytes.
pub const DOCUMENT_BYTES: usize = 1 << 20;

/// The most fetchers of one module.
const MAX_FETCHERS: usize = 64;

/// The longest version, and the longest summary, in bytes.
const VERSION_BYTES: usize = 64;
const SUMMARY_BYTES: usize = 1024;

/// A module's document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The module's own version.
    pub version: String,
    /// Its fetchers by name.
    pub fetchers: BTreeMap<String, FetcherDescription>,
}

/// One fetcher of a module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FetcherDescription {
    /// One line for people.
    pub summary: String,
    /// A JSON Schema of type `object`.
    pub parameters: Value,
    /// Where the fetcher takes credentials.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slots: BTreeMap<SlotName, SlotDescription>,
    /// The files that it is given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<InputName, InputDescription>,
    /// Where it takes signing keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<SlotName, KeySlotDescription>,
    /// What it asks to reach.
    #[serde(default)]
    pub needs: Needs,
    /// Mode and name of its result; the first rule that matches wins.
    pub output: Vec<OutputRule>,
}

/// A place for a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SlotDescription {
    /// One line for people.
    pub summary: String,
    /// The **suggested** scheme: the default for a built-in module, something
    /// to be written down by the user for any other.
    pub scheme: Scheme,
    /// Whether the fetcher works without.
    #[serde(default)]
    pub optional: bool,
}

/// What a fetcher asks to reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Needs {
    /// The parameter that names an origin or a URL below it. With it the
    /// fetcher asks for whatever origin is granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_parameter: Option<String>,
    /// Origins that it asks for whatever its parameters are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<OriginPattern>,
    /// Methods; reading ones when none are written.
    #[serde(default = "reading")]
    pub methods: Vec<Method>,
    /// Paths relative to the origin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathPattern>,
}

impl Needs {
    /// Whether it asks to reach anything.
    pub(super) fn reaches(&self) -> bool {
        self.origin_parameter.is_some() || !self.origins.is_empty()
    }
}

fn reading() -> Vec<Method> {
    Method::READING.to_vec()
}

impl Default for Needs {
    fn default() -> Self {
        Self {
            origin_parameter: None,
            origins: Vec::new(),
            methods: reading(),
            paths: Vec::new(),
        }
    }
}

impl Description {
    /// Reads and judges a document.
    ///
    /// # Errors
    /// When it is larger than [`DOCUMENT_BYTES`], not the JSON that is expected,
    /// or breaks a rule of this module.
    pub fn parse(json: &[u8]) -> Result<Self, DescribeError> {
        if json.len() > DOCUMENT_BYTES {
            return Err(DescribeError::TooLarge { bytes: json.len() });
        }
        let description: Self = serde_json::from_slice(json)
            .map_err(|error| DescribeError::Json(printable(&error.to_string()).into_owned()))?;
        description.check()?;
        Ok(description)
    }

    fn check(&self) -> Result<(), DescribeError> {
        let is_version = !self.version.is_empty()
            && self.version.len() <= VERSION_BYTES
            && self.version.bytes().all(|b| b.is_ascii_graphic());
        if !is_version {
            return Err(DescribeError::Version);
        }
        if self.fetchers.is_empty() || self.fetchers.len() > MAX_FETCHERS {
            return Err(DescribeError::FetcherCount(self.fetchers.len()));
        }
        for (name, fetcher) in &self.fetchers {
            if !is_plain_name(name) {
                return Err(DescribeError::FetcherName(printable(name).into_owned()));
            }
            fetcher.check(name)?;
        }
        Ok(())
    }
}

impl FetcherDescription {
    fn check(&self, fetcher: &str) -> Result<(), DescribeError> {
        let summaries = std::iter::once(&self.summary)
            .chain(self.slots.values().map(|slot| &slot.summary))
            .chain(self.inputs.values().map(|input| &input.summary))
            .chain(self.keys.values().map(|key| &key.summary));
        for summary in summaries {
            if summary.len() > SUMMARY_BYTES || summary.chars().any(char::is_control) {
                return Err(DescribeError::Summary(fetcher.to_owned()));
            }
        }
        if self
            .slots
            .keys()
            .any(|slot| slot.as_str() == CERTIFICATE_SLOT)
        {
            return Err(DescribeError::ReservedSlot(fetcher.to_owned()));
        }
        schema::check(fetcher, &self.parameters)?;
        self.check_needs(fetcher)?;
        self.check_signing(fetcher)?;
        if self.output.is_empty() {
            return Err(DescribeError::NoOutput(fetcher.to_owned()));
        }
        for rule in &self.output {
            rule.check(fetcher, self)?;
        }
        Ok(())
    }

    fn check_needs(&self, fetcher: &str) -> Result<(), DescribeError> {
        let needs = &self.needs;
        if let Some(parameter) = &needs.origin_parameter {
            let is_text = self.property(parameter).is_some_and(schema::allows_text);
            if !is_text {
                return Err(DescribeError::OriginParameter {
                    fetcher: fetcher.to_owned(),
                    parameter: printable(parameter).into_owned(),
                });
            }
        }
        if needs.reaches() && (needs.paths.is_empty() || needs.methods.is_empty()) {
            return Err(DescribeError::NeedsNothing(fetcher.to_owned()));
        }
        Ok(())
    }

    /// The schema of the parameter called `name`.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.properties()?.get(name)
    }

    /// The schemas of all parameters by name.
    #[must_use]
    pub fn properties(&self) -> Option<&Map<String, Value>> {
        self.parameters.get("properties")?.as_object()
    }

    /// What `params` say of the parameter `name`, or its default of the schema.
    pub(crate) fn value<'a>(
        &'a self,
        params: &'a Map<String, Value>,
        name: &str,
    ) -> Option<&'a Value> {
        params
            .get(name)
            .filter(|value| !value.is_null())
            .or_else(|| self.property(name)?.get("default"))
            .filter(|value| !value.is_null())
    }

    /// Mode of the result for `params`, and its name unless `name` is given, by the first rule that
    /// matches.
    ///
    /// # Errors
    /// When no rule matches, or a name is wanted and the parameter that it comes from has none.
    pub fn output_for(
        &self,
        params: &Map<String, Value>,
        name: Option<StoreName>,
    ) -> Result<(OutputMode, StoreName), OutputError> {
        let rule = self
            .output
            .iter()
            .find(|rule| rule.matches(self, params))
            .ok_or(OutputError::NoRule)?;
        let name = match name {
            Some(name) => name,
            None => rule.store_name(self, params)?,
        };
        Ok((rule.mode, name))
    }
}
