//! The record of a path in another cache.
//!
//! It is passed on line by line, for its signature is over what it says, with another URL. What Nix would
//! stop at is not passed on: to Nix a broken record is an error, and a missing one a reason to go on.
//!
//! | record | |
//! |---|---|
//! | of another path than was asked for | not passed on |
//! | that [`NarInfo`] does not read | not passed on |
//! | whose `CA` is no fixed output, or does not make its path; with references | passed on; is not content-addressed |

use fetchhost_formats::{Compression, FixedOutput, NarInfo};

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
        let record = NarInfo::parse(text).map_err(|error| error.to_string())?;
        if record.store_path.hash_part() != hash {
            return Err(format!("it is about `{}`", record.store_path));
        }
        Ok(Self {
            lines: text.lines().map(str::to_owned).collect(),
            output: record.fixed_output(),
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
