//! Derivations: what Nix writes into a `.drv` file before it builds anything.
//!
//! **The threat.** The file comes from an expression that anybody may have written, or from somebody who
//! can write to the store: it may be huge, nested, cut off, or say one thing in two ways.
//!
//! **The rule.** Only what is needed to know what a fetch is for is read of it: its inputs, the one fixed
//! output, the builder, and attributes by name. Everything else that Nix would refuse is refused, and a
//! fixed output is named by name, mode and hash alone: the path that the file claims is not believed.

use std::borrow::Cow;

use nix_derivation::Derivation as NixDerivation;
use serde_json::Value;
use thiserror::Error;

use crate::content_address::{ContentAddress, FixedOutput};
use crate::quote::cut;
use crate::store_path::StorePath;

/// What the name of each derivation ends in.
const SUFFIX: &str = ".drv";
/// The output of a derivation that has one.
const OUT: &str = "out";

/// The largest file that is read as a derivation, in bytes. Real ones have some kilobytes, and some
/// megabytes where a text was put into an attribute.
pub const MAX_DERIVATION_BYTES: usize = 64 << 20;

/// A derivation.
#[derive(Clone, Debug)]
pub struct Derivation(NixDerivation);

/// Why a file is no derivation.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DerivationError {
    /// Its path does not end in `.drv`.
    #[error("its name does not end in `{SUFFIX}`")]
    Name,
    /// More than [`MAX_DERIVATION_BYTES`].
    #[error("it is larger than {} MiB", MAX_DERIVATION_BYTES >> 20)]
    TooLarge,
    /// Not what Nix writes.
    #[error("it is not what Nix writes into a derivation: {0}")]
    Malformed(String),
}

impl Derivation {
    /// Reads the content of the file `path`, which gives the derivation its name.
    ///
    /// # Errors
    ///
    /// When `path` is no derivation's, or `content` is not what Nix writes there.
    pub fn parse(path: &StorePath, content: &[u8]) -> Result<Self, DerivationError> {
        let name = path.name().strip_suffix(SUFFIX);
        let name = name.ok_or(DerivationError::Name)?;
        if content.len() > MAX_DERIVATION_BYTES {
            return Err(DerivationError::TooLarge);
        }
        NixDerivation::from_aterm_bytes(content, name)
            .map(Self)
            .map_err(|error| DerivationError::Malformed(cut(&error.to_string())))
    }

    /// The derivations whose outputs it needs, sorted. Those that other builds are yet to make are not among
    /// them.
    pub fn inputs(&self) -> impl Iterator<Item = StorePath> {
        self.0.input_derivations().keys().map(StorePath::from_nix)
    }

    /// The paths of its outputs, as far as they are known before it is built.
    pub fn outputs(&self) -> impl Iterator<Item = StorePath> {
        let outputs = self.0.outputs().iter();
        outputs.filter_map(|(name, output)| {
            let path = output.path(self.0.name(), name).ok()??;
            Some(StorePath::from_nix(&path))
        })
    }

    /// Its output, when it has a single one of a known hash.
    #[must_use]
    pub fn fixed_output(&self) -> Option<FixedOutput> {
        let outputs = self.0.outputs();
        let (OUT, output) = outputs
            .iter()
            .next()
            .map(|(name, it)| (name.as_str(), it))?
        else {
            return None;
        };
        if outputs.len() > 1 {
            return None;
        }
        let address = ContentAddress::from_nix(output.fixed_content_address()?).ok()?;
        Some(FixedOutput {
            name: self.0.name().parse().ok()?,
            mode: address.mode,
            hash: address.hash,
        })
    }

    /// The program that builds it, or one of Nix's own such as `builtin:fetchurl`.
    #[must_use]
    pub fn builder(&self) -> &str {
        self.0.builder()
    }

    /// The value of an attribute as the builder's environment has it; empty when there is none. A list is its
    /// elements with blanks between them. Among structured attributes, `env` holds what nixpkgs exports.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Cow<'_, str> {
        if let Some(all) = self.0.structured_attrs()
            && let Some(value) = all
                .get(name)
                .or_else(|| all.get("env").and_then(|env| env.get(name)))
        {
            return text(value);
        }
        match self.0.environment().get(name) {
            Some(value) => String::from_utf8_lossy(value),
            None => Cow::Borrowed(""),
        }
    }

    /// Whether an attribute has a value other than false, null, nothing and an empty list.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        !self.attribute(name).trim().is_empty()
    }
}

/// A value as Nix would coerce it to a string.
fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null | Value::Bool(false) => Cow::Borrowed(""),
        Value::Bool(true) => Cow::Borrowed("1"),
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(text).collect();
            Cow::Owned(items.join(" "))
        }
        Value::Number(_) | Value::Object(_) => Cow::Owned(value.to_string()),
    }
}
