//! The trait that a fetcher implements, and how the exports of a module call it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{FetchError, FetcherDescription, Plan, schema};

/// One fetcher. [`export!`](crate::export) makes a module of one or more of them.
pub trait Fetcher {
    /// The name that users type: lower-case words joined by hyphens, `gitlab-artifact`.
    const NAME: &'static str;

    /// The parameters: a struct whose fields become flags and whose doc comments become their help.
    ///
    /// `#[serde(rename_all = "kebab-case", deny_unknown_fields)]` belongs on it. A field that is an
    /// `Option`, or has `#[serde(default = "…")]`, may be left out.
    type Params: DeserializeOwned + JsonSchema;

    /// Describes the fetcher. Runs without any capability: nothing of [`http`](crate::http),
    /// [`inputs`](crate::inputs), [`keys`](crate::keys) and the plan may be called here.
    fn describe() -> FetcherDescription;

    /// Plans one fetch.
    ///
    /// May run more than once for one result, each time in a fresh instance, and the same parameters then
    /// have to give a plan of the same shape.
    ///
    /// # Errors
    ///
    /// Whatever kept it from making the plan; the user reads its message.
    fn fetch(params: Self::Params) -> Result<Plan, FetchError>;
}

/// Returns the description of one fetcher as the host will read it; for the tests of its author.
#[must_use]
pub fn description<F: Fetcher>() -> Value {
    let json = to_json(&assemble::<F>());
    serde_json::from_str(&json).unwrap_or_default()
}

/// Decodes parameters as the host hands them over, a JSON object; for the tests of a fetcher's author.
///
/// # Errors
///
/// `BadParams`, naming the parameter that is missing, unknown or of another type.
pub fn parameters<F: Fetcher>(json: &str) -> Result<F::Params, FetchError> {
    let mut decoder = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut decoder).map_err(|error| {
        let parameter = error.path().to_string();
        let reason = error.into_inner().to_string();
        // The position is one in JSON that the user has not written.
        let reason = reason.split(" at line ").next().unwrap_or_default();
        FetchError::bad_params(match parameter.as_str() {
            // The object itself: serde names the parameter in its message.
            "." => reason.to_owned(),
            parameter => format!("`{parameter}`: {reason}"),
        })
    })
}

fn assemble<F: Fetcher>() -> FetcherDescription {
    let mut description = F::describe();
    description.parameters = schema::of::<F::Params>();
    description
}

fn to_json(description: &impl Serialize) -> String {
    #[expect(
        clippy::expect_used,
        reason = "only maps whose keys are no strings fail here, and there are none"
    )]
    serde_json::to_string(description).expect("a description is plain data")
}

/// The description of a whole module, put together by [`export!`](crate::export).
#[derive(Serialize)]
pub struct ModuleDescription {
    version: &'static str,
    fetchers: BTreeMap<&'static str, FetcherDescription>,
}

impl ModuleDescription {
    /// A module of this version without fetchers.
    #[must_use]
    pub fn new(version: &'static str) -> Self {
        Self {
            version,
            fetchers: BTreeMap::new(),
        }
    }

    /// Adds a fetcher.
    ///
    /// # Panics
    ///
    /// When there is one of that name already: calls are dispatched by name.
    #[must_use]
    pub fn with<F: Fetcher>(mut self) -> Self {
        let earlier = self.fetchers.insert(F::NAME, assemble::<F>());
        assert!(earlier.is_none(), "two fetchers are called `{}`", F::NAME);
        self
    }

    /// The JSON that the export `describe` returns.
    #[must_use]
    pub fn to_json(&self) -> String {
        to_json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fetcher, ModuleDescription, description, parameters};
    use crate::{ErrorKind, FetchError, FetcherDescription, OutputRule, Plan};
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::Value;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Params {
        project: String,
        job_id: Option<u64>,
        mirror: Option<Vec<String>>,
    }

    struct Sample;

    impl Fetcher for Sample {
        const NAME: &'static str = "sample";
        type Params = Params;

        fn describe() -> FetcherDescription {
            FetcherDescription::new("a sample").output(OutputRule::flat_named_after("project"))
        }

        fn fetch(params: Params) -> Result<Plan, FetchError> {
            Err(FetchError::other(params.project))
        }
    }

    #[test]
    fn a_parameter_that_cannot_be_decoded_is_named() {
        for (json, message) in [
            (r"{}", "missing field `project`"),
            (
                r#"{"project": 42}"#,
                "`project`: invalid type: integer `42`, expected a string",
            ),
            (
                r#"{"project": "a", "job-id": -1}"#,
                "`job-id`: invalid value: integer `-1`, expected u64",
            ),
            (
                r#"{"project": "a", "mirror": ["b", 1]}"#,
                "`mirror[1]`: invalid type: integer `1`, expected a string",
            ),
            (
                r#"{"project": "a", "job": 1}"#,
                "unknown field `job`, expected one of `project`, `job-id`, `mirror`",
            ),
        ] {
            let error = parameters::<Sample>(json).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadParams);
            assert!(error.message().contains(message), "{error}");
        }
    }

    #[test]
    fn a_parameter_left_out_is_none() {
        let params = parameters::<Sample>(r#"{"project": "a"}"#).unwrap();
        assert_eq!(params.project, "a");
        assert_eq!(params.job_id, None);
        assert_eq!(params.mirror, None);
    }

    #[test]
    fn a_module_says_its_version_and_each_fetcher_by_name() {
        let json = ModuleDescription::new("1.2.3").with::<Sample>().to_json();
        let module: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(module["version"], "1.2.3");
        assert_eq!(module["fetchers"]["sample"], description::<Sample>());
        assert_eq!(
            module["fetchers"]["sample"]["parameters"]["properties"]["job-id"]["type"],
            "integer"
        );
    }

    #[test]
    #[should_panic(expected = "two fetchers are called `sample`")]
    fn two_fetchers_of_one_name_are_refused() {
        let _ = ModuleDescription::new("1.2.3")
            .with::<Sample>()
            .with::<Sample>();
    }
}
