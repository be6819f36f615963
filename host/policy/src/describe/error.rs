//! What can be wrong with a `describe` document.

use super::{DOCUMENT_BYTES, SCHEMA_BYTES, SCHEMA_DEPTH};
use crate::SlotName;
use crate::certificate::CERTIFICATE_SLOT;

/// A document that is refused. The module is invalid: nothing of it runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescribeError {
    /// More bytes than a document may have.
    #[error("the module's description has {bytes} bytes; at most {DOCUMENT_BYTES} are read")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// Not JSON, or not of the published shape.
    #[error("the module's description cannot be read: {0}")]
    Json(String),
    /// No version, or a strange one.
    #[error("the module's version is not 1 to 64 printable characters without blanks")]
    Version,
    /// None, or too many.
    #[error("the module describes {0} fetchers; 1 to 64 are allowed")]
    FetcherCount(usize),
    /// A name that cannot be typed plainly.
    #[error("fetcher name `{0}` is not made of `a`–`z`, `0`–`9` and inner `-`")]
    FetcherName(String),
    /// A summary of several lines, or too long.
    #[error(
        "fetcher `{0}`: a summary is one line of at most 1024 bytes without control characters"
    )]
    Summary(String),
    /// A slot that is the host's.
    #[error(
        "fetcher `{0}`: the slot `{CERTIFICATE_SLOT}` is the host's and no module describes it"
    )]
    ReservedSlot(String),
    /// The schema does not describe an object.
    #[error("fetcher `{0}`: the schema of its parameters is not of `\"type\": \"object\"`")]
    NotAnObject(String),
    /// A text of the schema could steer a terminal.
    #[error("fetcher `{0}`: a text in the schema of its parameters holds a control character")]
    ControlCharacter(String),
    /// The schema is too large.
    #[error("fetcher `{0}`: the schema of its parameters is larger than {SCHEMA_BYTES} bytes")]
    SchemaTooLarge(String),
    /// The schema is too deep.
    #[error("fetcher `{0}`: the schema of its parameters is nested deeper than {SCHEMA_DEPTH}")]
    SchemaTooDeep(String),
    /// A reference that leaves the document.
    #[error(
        "fetcher `{fetcher}`: the schema refers to `{target}`; only references within it, `#…`, are read"
    )]
    RemoteReference {
        /// The fetcher.
        fetcher: String,
        /// What it refers to.
        target: String,
    },
    /// A parameter that cannot be a flag.
    #[error("fetcher `{fetcher}`: parameter `{parameter}` is refused: {reason}")]
    Parameter {
        /// The fetcher.
        fetcher: String,
        /// The parameter.
        parameter: String,
        /// What is wrong with its name.
        reason: &'static str,
    },
    /// `origin-parameter` names no parameter of type string.
    #[error(
        "fetcher `{fetcher}`: `origin-parameter` names `{parameter}`, which is no parameter of type string"
    )]
    OriginParameter {
        /// The fetcher.
        fetcher: String,
        /// What it names.
        parameter: String,
    },
    /// Origins without paths or methods.
    #[error(
        "fetcher `{0}` asks for origins, but for no paths or no methods; a fetcher that needs every path says `/**`"
    )]
    NeedsNothing(String),
    /// More of something than a fetcher may describe.
    #[error("fetcher `{fetcher}` describes more than {most} {what}")]
    TooMany {
        /// The fetcher.
        fetcher: String,
        /// How many there may be.
        most: usize,
        /// Of what.
        what: &'static str,
    },
    /// A place for a key that cannot be one.
    #[error("fetcher `{fetcher}`: the key `{slot}` is refused: {reason}")]
    Key {
        /// The fetcher.
        fetcher: String,
        /// The key's slot.
        slot: SlotName,
        /// What is wrong.
        reason: String,
    },
    /// No output rule.
    #[error("fetcher `{0}` has no `output` rules")]
    NoOutput(String),
    /// A rule that cannot be followed.
    #[error("fetcher `{fetcher}`: an `output` rule is refused: {reason}")]
    OutputRule {
        /// The fetcher.
        fetcher: String,
        /// What is wrong.
        reason: String,
    },
}

/// Mode or name of a result that parameters do not decide.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// No rule matches.
    #[error("the module does not say what it makes of these parameters")]
    NoRule,
    /// The parameter's value has no last path segment that could be a name.
    #[error("parameter `{parameter}` gives the result no name: {reason}")]
    Name {
        /// The parameter.
        parameter: String,
        /// Why not.
        reason: String,
    },
}

impl OutputError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoRule => "give both `--mode` and `--name`".to_owned(),
            Self::Name { .. } => "give a name with `--name`".to_owned(),
        })
    }
}
