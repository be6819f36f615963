//! The record of a path in another cache.
//!
//! It is passed on line by line, for its signature is over what it says, with another URL. What Nix would
//! stop at is not passed on: to Nix a broken record is an error, and a missing one a reason to go on.
//!
//! | record | |
//! |---|---|
//! | of another path than was asked for | not passed on |
//! | that [`NarInfo`] does not read | not passed on |
//! | the same, but for a `CA` that is no fixed output | passed on; is not content-addressed |
//! | whose `CA` does not make its path, or with references | the same |

use fetchhost_formats::{Compression, ContentAddressError, FixedOutput, NarInfo, NarInfoError};

/// A record that may be passed on.
pub(crate) struct Foreign {
    lines: Vec<String>,
    /// Where the NAR is, in the words of the cache.
    pub(crate) url: String,
    pub(crate) compression: Compression,
    /// What the path is made of, when that is a content address which makes it.
    pub(crate) output: Option<FixedOutput>,
}

impl Foreign {
    /// Reads the record of the path with this hash; else says why it is none.
    pub(crate) fn parse(text: &str, hash: &str) -> Result<Self, String> {
        let record = match NarInfo::parse(text) {
            Err(NarInfoError::ContentAddress(ContentAddressError::NotFixed { .. })) => {
                NarInfo::parse(&without_address(text))
            }
            parsed => parsed,
        };
        let record = record.map_err(|error| error.to_string())?;
        if record.store_path.hash_part() != hash {
            return Err(format!("it is about `{}`", record.store_path));
        }
        Ok(Self {
            lines: text.lines().map(str::to_owned).collect(),
            output: output(&record),
            url: record.url.as_str().to_owned(),
            compression: record.compression,
        })
    }

    /// The record with another URL.
    pub(crate) fn with_url(&self, url: &str) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let is_url = line.starts_with("URL: ");
            text.push_str(if is_url { "URL: " } else { line });
            text.push_str(if is_url { url } else { "" });
            text.push('\n');
        }
        text
    }

    /// What the file of the NAR is called, by how it is compressed.
    pub(crate) fn extension(&self) -> String {
        format!(".nar{}", self.compression.extension())
    }
}

fn without_address(text: &str) -> String {
    let kept = text.lines().filter(|line| !line.starts_with("CA: "));
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// The fixed output that a record is about.
fn output(record: &NarInfo) -> Option<FixedOutput> {
    let address = record.ca.clone()?;
    let output = FixedOutput {
        name: record.store_path.name().parse().ok()?,
        mode: address.mode,
        hash: address.hash,
    };
    let makes_it = output.store_path() == record.store_path && record.references.is_empty();
    makes_it.then_some(output)
}
