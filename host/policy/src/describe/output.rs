//! Static rules for mode and name of a result.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use fetchhost_formats::{OutputMode, StoreName};

use super::{DescribeError, FetcherDescription, OutputError};
use crate::printable;

/// One rule: when its conditions hold, the result has this mode and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OutputRule {
    /// Condition: this parameter was given. A default does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Condition: each of these parameters, or its default, has this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<BTreeMap<String, Value>>,
    /// The mode of the result.
    pub mode: OutputMode,
    /// The name of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The parameter whose last path segment names the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_from: Option<String>,
}

impl OutputRule {
    pub(super) fn check(
        &self,
        fetcher: &str,
        description: &FetcherDescription,
    ) -> Result<(), DescribeError> {
        let refuse = |reason: String| DescribeError::OutputRule {
            fetcher: fetcher.to_owned(),
            reason,
        };
        match (&self.name, &self.name_from) {
            (Some(name), None) => {
                name.parse::<StoreName>()
                    .map_err(|error| refuse(printable(&error.to_string()).into_owned()))?;
            }
            (None, Some(_)) => {}
            _ => return Err(refuse("it needs one of `name` and `name-from`".to_owned())),
        }
        let named = self
            .set
            .iter()
            .chain(&self.name_from)
            .chain(self.equals.iter().flat_map(BTreeMap::keys));
        for parameter in named {
            if description.property(parameter).is_none() {
                return Err(refuse(format!(
                    "`{}` is no parameter",
                    printable(parameter)
                )));
            }
        }
        Ok(())
    }

    /// Whether the rule's conditions hold for `params`. One without conditions
    /// always matches.
    #[must_use]
    pub fn matches(&self, description: &FetcherDescription, params: &Map<String, Value>) -> bool {
        let is_set = self
            .set
            .as_ref()
            .is_none_or(|name| params.get(name).is_some_and(|value| !value.is_null()));
        is_set
            && self.equals.iter().flatten().all(|(name, expected)| {
                description.value(params, name).unwrap_or(&Value::Null) == expected
            })
    }

    /// The name that the rule gives the result.
    ///
    /// # Errors
    /// When it comes from a parameter that is missing or has no usable last
    /// path segment.
    pub(super) fn store_name(
        &self,
        description: &FetcherDescription,
        params: &Map<String, Value>,
    ) -> Result<StoreName, OutputError> {
        let subject = self.name_from.as_deref().unwrap_or("name");
        let refuse = |reason: String| OutputError::Name {
            parameter: subject.to_owned(),
            reason,
        };
        if let Some(name) = &self.name {
            return name
                .parse()
                .map_err(|error: <StoreName as std::str::FromStr>::Err| {
                    refuse(printable(&error.to_string()).into_owned())
                });
        }
        let value = description
            .value(params, subject)
            .and_then(Value::as_str)
            .ok_or_else(|| refuse("it is not given".to_owned()))?;
        let segment =
            last_segment(value).ok_or_else(|| refuse("it has no last path segment".to_owned()))?;
        StoreName::sanitise(segment)
            .map_err(|error| refuse(printable(&error.to_string()).into_owned()))
    }
}

/// The last path segment of a path or URL. Of a URL, query and fragment are no
/// part; nothing is decoded, so that a Nix expression can do the same.
fn last_segment(value: &str) -> Option<&str> {
    let path = match value.split_once("://") {
        None => value,
        Some((_, rest)) => {
            let rest = rest.split(['?', '#']).next().unwrap_or_default();
            rest.split_once('/').map_or("", |(_, path)| path)
        }
    };
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .filter(|segment| !segment.is_empty())
}
