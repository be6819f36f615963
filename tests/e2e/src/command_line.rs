//! Command lines that are right, for tests to change in one place.

use std::ffi::OsString;

use fetchhost_standin::{Standin, sample};

use crate::{TOKEN_VARIABLE, TREE_HASH, archive_hash, member_content, sri};

/// The words after `nix-fetchhost`.
#[derive(Debug, Clone)]
pub struct CommandLine(Vec<String>);

impl CommandLine {
    /// These words.
    #[must_use]
    pub fn new<const N: usize>(words: [&str; N]) -> Self {
        Self(words.map(str::to_owned).to_vec())
    }

    /// `run gitlab-artifact` for the whole sample archive, unpacked, right in every respect but for
    /// the destination.
    #[must_use]
    pub fn tree(standin: &Standin) -> Self {
        Self::new(["run", "gitlab-artifact"])
            .with("--url", standin.url())
            .with("--project", sample::PROJECT)
            .with("--job-id", sample::JOB_ID)
            .with("--credential", format!("token=env:{TOKEN_VARIABLE}"))
            .with("--allow", standin.storage_origin())
            .with("--hash", TREE_HASH)
    }

    /// The same for the zip as it is.
    #[must_use]
    pub fn zip(standin: &Standin) -> Self {
        Self::tree(standin)
            .flag("--no-unpack")
            .set("--hash", archive_hash())
    }

    /// The same for one file of it.
    #[must_use]
    pub fn member(standin: &Standin) -> Self {
        Self::tree(standin)
            .with("--path", sample::MEMBER)
            .set("--hash", sri(member_content().as_bytes()))
    }

    /// `run http-file` for a URL.
    #[must_use]
    pub fn http_file(url: &str, hash: &str) -> Self {
        Self::new(["run", "http-file"])
            .with("--url", url)
            .with("--hash", hash)
    }

    /// With a flag and its value added.
    #[must_use]
    pub fn with(mut self, flag: &str, value: impl ToString) -> Self {
        self.0.extend([flag.to_owned(), value.to_string()]);
        self
    }

    /// With a flag added that has no value.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.0.push(flag.to_owned());
        self
    }

    /// With the value of a flag that is there replaced by another.
    #[must_use]
    pub fn set(mut self, flag: &str, value: impl ToString) -> Self {
        let at = self.position(flag);
        self.0[at + 1] = value.to_string();
        self
    }

    /// Without a flag that is there, and its value.
    #[must_use]
    pub fn without(mut self, flag: &str) -> Self {
        let at = self.position(flag);
        self.0.drain(at..at + 2);
        self
    }

    /// With another subcommand in the place of `run`.
    #[must_use]
    pub fn subcommand(mut self, name: &str) -> Self {
        name.clone_into(&mut self.0[0]);
        self
    }

    fn position(&self, flag: &str) -> usize {
        let at = self.0.iter().position(|word| word == flag);
        at.unwrap_or_else(|| panic!("no `{flag}` in {:?}", self.0))
    }

    /// The arguments, to run it otherwise than to its end.
    #[must_use]
    pub fn into_words(self) -> Vec<OsString> {
        self.0.into_iter().map(Into::into).collect()
    }
}
