//! What a fetcher says about itself: its credential slots, its inputs and keys, what it needs to reach, what it
//! produces.
//!
//! The host reads a description before it runs anything, keeps it, and shows it to the user as a question.
//! It grants nothing. The parameters are not here: their JSON Schema comes from
//! [`Fetcher::Params`](crate::Fetcher::Params).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::http::Method;

/// The description of one fetcher, built step by step.
///
/// ```
/// use fetchhost_sdk::{FetcherDescription, OutputRule, Scheme, Slot};
///
/// FetcherDescription::new("A file of the Example service")
///     .slot(Slot::new("token", Scheme::Bearer, "an API token of the service").optional())
///     .origin("https://api.example.com")
///     .path("/v1/files/**")
///     .output(OutputRule::flat_named_after("file"));
/// ```
#[derive(Clone, Debug, Serialize)]
#[must_use]
pub struct FetcherDescription {
    summary: String,
    /// Filled in where the module's description is assembled, from `Fetcher::Params`.
    pub(crate) parameters: Value,
    slots: BTreeMap<String, Slot>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    inputs: BTreeMap<String, Input>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    keys: BTreeMap<String, KeySlot>,
    needs: Needs,
    output: Vec<OutputRule>,
}

#[derive(Clone, Debug, Serialize)]
struct Input {
    summary: String,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Needs {
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_parameter: Option<String>,
    origins: Vec<String>,
    methods: Vec<&'static str>,
    paths: Vec<String>,
}

impl FetcherDescription {
    /// A fetcher that needs nothing yet. The summary is one line: what it fetches.
    pub fn new(summary: impl Into<String>) -> Self {
        Self {
            summary: summary.into(),
            parameters: Value::Null,
            slots: BTreeMap::new(),
            inputs: BTreeMap::new(),
            keys: BTreeMap::new(),
            needs: Needs {
                methods: vec![Method::Get.as_str(), Method::Head.as_str()],
                ..Needs::default()
            },
            output: Vec::new(),
        }
    }

    /// Adds a credential slot, which [`Request::authorize`](crate::http::Request::authorize) can name.
    pub fn slot(mut self, slot: Slot) -> Self {
        self.slots.insert(slot.name.clone(), slot);
        self
    }

    /// Adds an input, a file that the user gives and [`inputs::open`](crate::inputs::open) opens by this name. The
    /// summary is one line: which file belongs here.
    pub fn input(mut self, name: impl Into<String>, summary: impl Into<String>) -> Self {
        let summary = summary.into();
        self.inputs.insert(name.into(), Input { summary });
        self
    }

    /// Adds the slot of a signing key, which the functions of [`keys`](crate::keys) can name. With it the fetcher
    /// *signs*: no hash of its result is known beforehand.
    pub fn key(mut self, slot: KeySlot) -> Self {
        self.keys.insert(slot.name.clone(), slot);
        self
    }

    /// Says which parameter names the origin that the fetcher contacts (its value is an origin or a URL).
    /// An origin that a user types there is granted by typing it.
    pub fn origin_parameter(mut self, parameter: impl Into<String>) -> Self {
        self.needs.origin_parameter = Some(parameter.into());
        self
    }

    /// Asks for an origin that is contacted whatever the parameters are: `https://api.example.com`, or
    /// `https://*.example.com`.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.needs.origins.push(origin.into());
        self
    }

    /// Says which methods are needed, instead of GET and HEAD.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.needs.methods = methods.into_iter().map(Method::as_str).collect();
        self
    }

    /// Asks for the paths that match a pattern: `*` is one segment, `**` any number of them. A fetcher
    /// that contacts anything names at least one; every path is `/**`.
    pub fn path(mut self, pattern: impl Into<String>) -> Self {
        self.needs.paths.push(pattern.into());
        self
    }

    /// Adds a rule for mode and name of the result. The first one that applies wins, so the last one has
    /// no condition.
    pub fn output(mut self, rule: OutputRule) -> Self {
        self.output.push(rule);
        self
    }
}

/// A place for a credential, which the user binds.
#[derive(Clone, Debug, Serialize)]
#[must_use]
pub struct Slot {
    #[serde(skip)]
    name: String,
    summary: String,
    scheme: String,
    optional: bool,
}

impl Slot {
    /// A slot that has to be bound. The summary is one line: which credential belongs here.
    pub fn new(name: impl Into<String>, scheme: Scheme<'_>, summary: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            summary: summary.into(),
            scheme: scheme.word(),
            optional: false,
        }
    }

    /// The fetcher also works without.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// A place for a signing key, which the user names in a parameter.
///
/// ```
/// use fetchhost_sdk::{Envelope, FetcherDescription, KeySlot, OutputRule};
///
/// FetcherDescription::new("A signature over a release")
///     .input("content", "the file to be signed")
///     .key(KeySlot::new("key", "key-id", [Envelope::Minisign], "the key of releases"))
///     .output(OutputRule::flat("release.minisig"));
/// ```
#[derive(Clone, Debug, Serialize)]
#[must_use]
pub struct KeySlot {
    #[serde(skip)]
    name: String,
    summary: String,
    parameter: String,
    envelopes: Vec<Envelope>,
}

impl KeySlot {
    /// The slot of the key that the user names in `parameter`, a parameter of type string without a default. The
    /// summary is one line: which key belongs here.
    pub fn new(
        name: impl Into<String>,
        parameter: impl Into<String>,
        envelopes: impl IntoIterator<Item = Envelope>,
        summary: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            summary: summary.into(),
            parameter: parameter.into(),
            envelopes: envelopes.into_iter().collect(),
        }
    }
}

/// What a key is asked to sign: one of the functions of [`keys`](crate::keys).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Envelope {
    /// [`keys::minisign`](crate::keys::minisign).
    Minisign,
    /// [`keys::sshsig`](crate::keys::sshsig).
    Sshsig,
    /// [`keys::raw`](crate::keys::raw).
    Raw,
}

/// How a credential is usually sent. A suggestion: what counts is what the user's configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme<'a> {
    /// `Authorization: Bearer …`
    Bearer,
    /// `Authorization: Basic …` with this user name.
    Basic(&'a str),
    /// A header of this name with the credential as its value.
    Header(&'a str),
    /// A signature over the request by AWS Signature Version 4, for the region and the service that the
    /// user's credential says (by default S3).
    AwsSigV4,
}

impl Scheme<'_> {
    fn word(self) -> String {
        match self {
            Self::Bearer => "bearer".to_owned(),
            Self::Basic(username) => format!("basic:{username}"),
            Self::Header(name) => format!("header:{name}"),
            Self::AwsSigV4 => "aws-sigv4".to_owned(),
        }
    }
}

/// How mode and name of the result follow from the parameters, known before the fetcher runs.
///
/// The mode is Nix's: `flat` is one file, hashed as it is; `nar` is a tree, hashed as an archive.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[must_use]
pub struct OutputRule {
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    equals: BTreeMap<String, Value>,
    mode: &'static str,
    #[serde(flatten)]
    name: Name,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    Name(String),
    NameFrom(String),
}

impl OutputRule {
    /// The result is one file with this store name.
    pub fn flat(name: impl Into<String>) -> Self {
        Self::new("flat", Name::Name(name.into()))
    }

    /// The result is one file, named after the last path segment of this parameter's value.
    pub fn flat_named_after(parameter: impl Into<String>) -> Self {
        Self::new("flat", Name::NameFrom(parameter.into()))
    }

    /// The result is a tree with this store name; by Nix's habit `source` for unpacked archives.
    pub fn nar(name: impl Into<String>) -> Self {
        Self::new("nar", Name::Name(name.into()))
    }

    /// The result is a tree, named after the last path segment of this parameter's value.
    pub fn nar_named_after(parameter: impl Into<String>) -> Self {
        Self::new("nar", Name::NameFrom(parameter.into()))
    }

    /// The rule applies only where this parameter was given.
    pub fn when_set(mut self, parameter: impl Into<String>) -> Self {
        self.set = Some(parameter.into());
        self
    }

    /// The rule applies only where this parameter has this value.
    pub fn when(mut self, parameter: impl Into<String>, value: impl Into<Value>) -> Self {
        self.equals.insert(parameter.into(), value.into());
        self
    }

    fn new(mode: &'static str, name: Name) -> Self {
        Self {
            set: None,
            equals: BTreeMap::new(),
            mode,
            name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Envelope, FetcherDescription, KeySlot, OutputRule, Scheme, Slot};
    use crate::http::Method;
    use serde_json::{json, to_value};

    #[test]
    fn a_description_is_the_json_of_the_published_schema() {
        let description = FetcherDescription::new("a thing")
            .slot(Slot::new("token", Scheme::Header("X-Token"), "a token").optional())
            .origin_parameter("url")
            .origin("https://*.example.com")
            .methods([Method::Get, Method::Post])
            .path("/api/**")
            .output(OutputRule::flat_named_after("path").when_set("path"))
            .output(OutputRule::flat("thing.zip").when("unpack", false))
            .output(OutputRule::nar("source"));
        assert_eq!(
            to_value(description).unwrap(),
            json!({
                "summary": "a thing",
                "parameters": null,
                "slots": { "token": { "summary": "a token", "scheme": "header:X-Token", "optional": true } },
                "needs": {
                    "origin-parameter": "url",
                    "origins": ["https://*.example.com"],
                    "methods": ["GET", "POST"],
                    "paths": ["/api/**"],
                },
                "output": [
                    { "set": "path", "mode": "flat", "name-from": "path" },
                    { "equals": { "unpack": false }, "mode": "flat", "name": "thing.zip" },
                    { "mode": "nar", "name": "source" },
                ],
            })
        );
    }

    #[test]
    fn get_and_head_are_asked_for_by_default_and_every_origin_is_left_out() {
        let description = to_value(FetcherDescription::new("a thing")).unwrap();
        assert_eq!(
            description["needs"],
            json!({ "origins": [], "methods": ["GET", "HEAD"], "paths": [] })
        );
    }

    #[test]
    fn inputs_and_keys_are_there_where_a_fetcher_has_some() {
        let envelopes = [Envelope::Minisign, Envelope::Sshsig, Envelope::Raw];
        let description = FetcherDescription::new("a signature")
            .input("content", "the file")
            .key(KeySlot::new("key", "key-id", envelopes, "the key"));
        let description = to_value(description).unwrap();
        assert_eq!(
            description["inputs"],
            json!({ "content": { "summary": "the file" } })
        );
        assert_eq!(
            description["keys"],
            json!({ "key": {
                "summary": "the key",
                "parameter": "key-id",
                "envelopes": ["minisign", "sshsig", "raw"],
            } })
        );
        let without = to_value(FetcherDescription::new("a thing")).unwrap();
        assert_eq!((without.get("inputs"), without.get("keys")), (None, None));
    }

    #[test]
    fn a_scheme_is_one_word_of_the_contract() {
        for (scheme, word) in [
            (Scheme::Bearer, "bearer"),
            (Scheme::Basic("oauth2"), "basic:oauth2"),
            (Scheme::Header("PRIVATE-TOKEN"), "header:PRIVATE-TOKEN"),
            (Scheme::AwsSigV4, "aws-sigv4"),
        ] {
            assert_eq!(scheme.word(), word);
        }
    }
}
