//! The URL of a signature whose hash nobody knows:
//! `/v1/signature/start-nix-fetchhost-serve/FETCHER/content?name=…&params=…&inputs=…[&owner=…]`.
//!
//! Members and their spelling are those of a [fetch](super::FetchUrl).

use std::fmt;

use fetchhost_formats::StoreName;
use serde_json::{Map, Value};

use super::members::Encoded;
use super::{OwnerId, SUFFIX, StoreInputs, UrlError, name, owner, params, split};

/// What precedes the fetcher's name.
const PREFIX: &str = "/v1/signature/start-nix-fetchhost-serve/";
/// The members of the query.
const QUERY: &str = "name=…&params=…&inputs=…[&owner=…]";

/// A signature that was made before, as an expression asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct SignatureUrl {
    /// The fetcher's name.
    pub fetcher: String,
    /// What the signature is called.
    pub name: StoreName,
    /// The fetcher's parameters, not yet checked against its schema.
    pub params: Map<String, Value>,
    /// The files that were signed.
    pub inputs: StoreInputs,
    /// Whose gateway is meant, if the expression says so.
    pub owner: Option<OwnerId>,
}

impl SignatureUrl {
    /// Reads the path and query of a URL.
    ///
    /// # Errors
    ///
    /// With what is wrong, when the URL is spelt in any other way than the documented one.
    pub fn parse(path_and_query: &str) -> Result<Self, UrlError> {
        let (fetcher, mut members) = split(path_and_query, PREFIX, QUERY)?;
        let name = name(&members.needed("name")?)?;
        let params = params(&members.needed("params")?)?;
        let inputs = StoreInputs::parse(&members.needed("inputs")?)?;
        let owner = owner(&mut members)?;
        members.end()?;
        Ok(Self {
            fetcher,
            name,
            params,
            inputs,
            owner,
        })
    }
}

/// Path and query in the one spelling that is ours.
impl fmt::Display for SignatureUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params = Value::Object(self.params.clone()).to_string();
        write!(f, "{PREFIX}{}{SUFFIX}", self.fetcher)?;
        write!(f, "?name={}", Encoded(self.name.as_str()))?;
        write!(f, "&params={}", Encoded(&params))?;
        write!(f, "&inputs={}", Encoded(&self.inputs.to_string()))?;
        match &self.owner {
            Some(owner) => write!(f, "&owner={owner}"),
            None => Ok(()),
        }
    }
}
