//! The URL that carries one fetch: `/v1/fetch/start-nix-fetchhost-serve/FETCHER/content?…`.
//!
//! **The threat.** The URL comes from a Nix expression that anybody may have written, through whatever
//! reads and writes URLs on the way. Two spellings of one fetch, or one spelling that two readers take
//! for different fetches, would make what is allowed depend on who reads.
//!
//! **The rule.** There is one order of members and one encoding of each byte; anything else is refused
//! with what is wrong.
//!
//! | member | value |
//! |---|---|
//! | `mode` | `flat` or `nar` |
//! | `name` | the output's name |
//! | `hash` | its declared hash as SRI |
//! | `params` | the fetcher's parameters, a JSON object in which no member stands twice |
//! | `inputs` | the files that the fetcher is given, as [`StoreInputs`] prints them; or left out |
//! | `executable` | `1`, or left out; only with `nar` |
//! | `owner` | the id of the gateway's user, or left out |
//!
//! | spelling of a value | |
//! |---|---|
//! | `A-Z a-z 0-9 - . _ ~` | as they are |
//! | other bytes below 0x80 | `%2F`: with upper-case digits |
//! | bytes from 0x80 on | `%C3%BC`, or as they are: a Nix expression cannot encode them |
//! | `%41`, `%2f`, `+`, `:`, `%`, `%2` | refused |
//! | another order, a member twice, missing or unknown, no value | refused |

mod inputs;
mod members;
mod signature;

use std::fmt;
use std::str::FromStr;

use fetchhost_formats::{FixedOutput, Hash, OutputMode, StoreName};
use serde_json::{Map, Value};

use crate::json::Object;
use members::{Encoded, Members};

pub use inputs::StoreInputs;
pub use signature::SignatureUrl;

/// What precedes the fetcher's name. Nix prints the URL when nobody listens: the word says what to do.
const PREFIX: &str = "/v1/fetch/start-nix-fetchhost-serve/";
/// The last segment. It is fixed because Nix decompresses a tree whose URL ends like an archive.
const SUFFIX: &str = "/content";
/// The members of the query.
const QUERY: &str = "mode=…&name=…&hash=…&params=…[&inputs=…][&executable=1][&owner=…]";
/// What a gateway's address begins with, in expressions: it is on the loopback interface alone.
const LOOPBACK: [&str; 3] = ["http://127.0.0.1", "http://[::1]", "http://localhost"];
/// The longest path and query, in bytes.
pub const MAX_LENGTH: usize = 60_000;
/// The longest name of a fetcher.
const MAX_FETCHER: usize = 64;

/// One fetch, as Nix asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchUrl {
    /// The fetcher's name.
    pub fetcher: String,
    /// Name, mode and hash of the output.
    pub output: FixedOutput,
    /// The fetcher's parameters, not yet checked against its schema.
    pub params: Map<String, Value>,
    /// The files that the fetcher is given.
    pub inputs: StoreInputs,
    /// Whether a single file is to be marked executable.
    pub executable: bool,
    /// Whose gateway is meant, if the expression says so.
    pub owner: Option<OwnerId>,
}

/// A public id of a gateway's user: 16 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerId(String);

impl OwnerId {
    /// The id that `bytes` make.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(format!("{:016x}", u64::from_be_bytes(bytes)))
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OwnerId {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 16 && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(UrlError::Value("owner", "16 lower-case hex digits".into()))
        }
    }
}

/// Why a URL carries no fetch. It repeats nothing of the URL but the names of members.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The path is another one.
    #[error("the path is not `{0}FETCHER{SUFFIX}`")]
    Path(&'static str),
    /// Longer than [`MAX_LENGTH`].
    #[error("the URL is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// Not the name of a fetcher.
    #[error("FETCHER in the path is not made of `a` to `z`, `0` to `9` and `-`")]
    Fetcher,
    /// A member that is unknown, out of order, given twice, or not `NAME=VALUE`.
    #[error("the query is not `{query}`, each once and in this order: `{missing}` is not there")]
    Members {
        /// What the query is.
        query: &'static str,
        /// The member that is not there.
        missing: &'static str,
    },
    /// Something after the last member.
    #[error("the query has something unknown, given twice or out of order after `{0}`")]
    Surplus(&'static str),
    /// A byte that is written in another way.
    #[error(
        "the value of `{0}` is not percent-encoded as it must be: `A-Z a-z 0-9 - . _ ~` as they are, all else as `%` and two upper-case hex digits"
    )]
    Encoding(&'static str),
    /// A value that the member cannot have.
    #[error("`{0}` is not {1}")]
    Value(&'static str, String),
}

impl FetchUrl {
    /// Reads a whole URL; `None` when it is not one of a gateway's at all, by address and path.
    ///
    /// # Errors
    ///
    /// As [`FetchUrl::parse`].
    #[must_use]
    pub fn of_gateway(url: &str) -> Option<Result<Self, UrlError>> {
        let after_host = LOOPBACK.iter().find_map(|host| url.strip_prefix(host))?;
        let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let path = after_host.find('/').map(|slash| after_host.split_at(slash));
        let (_, path) = path.filter(|(before, _)| {
            before.is_empty() || before.strip_prefix(':').is_some_and(port)
        })?;
        path.starts_with(PREFIX).then(|| Self::parse(path))
    }

    /// Reads the path and query of a URL.
    ///
    /// # Errors
    ///
    /// With what is wrong, when the URL is spelt in any other way than the documented one.
    pub fn parse(path_and_query: &str) -> Result<Self, UrlError> {
        let (fetcher, mut members) = split(path_and_query, PREFIX, QUERY)?;
        let mode: OutputMode = members
            .needed("mode")?
            .parse()
            .map_err(|_| UrlError::Value("mode", "`flat` or `nar`".to_owned()))?;
        let name = name(&members.needed("name")?)?;
        let text = members.needed("hash")?;
        let hash = text
            .parse()
            .ok()
            // Every hash has several spellings, of which SRI is the one for URLs.
            .filter(|hash: &Hash| hash.sri() == text)
            .ok_or_else(|| UrlError::Value("hash", "a hash in SRI form, `sha256-…=`".into()))?;
        let params = params(&members.needed("params")?)?;
        let inputs = match members.optional("inputs")? {
            None => StoreInputs::default(),
            Some(text) => StoreInputs::parse(&text)?,
        };
        let executable = match members.optional("executable")?.as_deref() {
            None => false,
            Some("1") if mode == OutputMode::Nar => true,
            Some("1") => {
                let only = "possible with `mode=flat`; Nix takes no executable flat output";
                return Err(UrlError::Value("executable", only.to_owned()));
            }
            Some(_) => return Err(UrlError::Value("executable", "`1`".to_owned())),
        };
        let owner = owner(&mut members)?;
        members.end()?;
        Ok(Self {
            fetcher,
            output: FixedOutput { name, mode, hash },
            params,
            inputs,
            executable,
            owner,
        })
    }

    /// Path and query without the gateway that is meant: the same for the same fetch.
    pub(crate) fn for_any_owner(&self) -> String {
        Self {
            owner: None,
            ..self.clone()
        }
        .to_string()
    }
}

/// Path and query in the one spelling that is ours.
impl fmt::Display for FetchUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FixedOutput { name, mode, hash } = &self.output;
        let params = Value::Object(self.params.clone()).to_string();
        write!(f, "{PREFIX}{}{SUFFIX}?mode={mode}", self.fetcher)?;
        write!(f, "&name={}", Encoded(name.as_str()))?;
        write!(f, "&hash={}", Encoded(&hash.sri()))?;
        write!(f, "&params={}", Encoded(&params))?;
        if !self.inputs.is_empty() {
            write!(f, "&inputs={}", Encoded(&self.inputs.to_string()))?;
        }
        if self.executable {
            f.write_str("&executable=1")?;
        }
        match &self.owner {
            Some(owner) => write!(f, "&owner={owner}"),
            None => Ok(()),
        }
    }
}

pub(crate) fn is_fetcher(text: &str) -> bool {
    (1..=MAX_FETCHER).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The fetcher that a path names, and the members of the query behind it.
fn split<'a>(
    path_and_query: &'a str,
    prefix: &'static str,
    form: &'static str,
) -> Result<(String, Members<'a>), UrlError> {
    if path_and_query.len() > MAX_LENGTH {
        return Err(UrlError::TooLong);
    }
    let (path, query) = path_and_query
        .split_once('?')
        .unwrap_or((path_and_query, ""));
    let fetcher = path
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_suffix(SUFFIX))
        .ok_or(UrlError::Path(prefix))?;
    if !is_fetcher(fetcher) {
        return Err(UrlError::Fetcher);
    }
    Ok((fetcher.to_owned(), Members::new(query, form)))
}

fn name(text: &str) -> Result<StoreName, UrlError> {
    text.parse()
        .map_err(|error: fetchhost_formats::StoreNameError| {
            UrlError::Value("name", format!("a name that Nix accepts: {error}"))
        })
}

fn params(text: &str) -> Result<Map<String, Value>, UrlError> {
    let Object(params) = serde_json::from_str(text).map_err(|_| {
        let expected = "a JSON object in which no member stands twice";
        UrlError::Value("params", expected.to_owned())
    })?;
    Ok(params)
}

fn owner(members: &mut Members<'_>) -> Result<Option<OwnerId>, UrlError> {
    let text = members.optional("owner")?;
    text.map(|text| text.parse()).transpose()
}
