//! What a project holds beside its jobs: packages, a repository, releases.

use std::collections::BTreeMap;

use crate::Content;

/// What a project holds beside its jobs.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    /// Files of generic packages, the oldest first: of several with one name the newest is served.
    pub packages: Vec<PackageFile>,
    /// The repository.
    pub repository: Repository,
    /// Releases, the newest first.
    pub releases: Vec<Release>,
}

/// One file of a generic package.
#[derive(Debug, Clone)]
pub struct PackageFile {
    /// The package's name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The file's name, behind its folders if there are some.
    pub file: String,
    /// Its content.
    pub content: Content,
}

/// A repository that holds the same files wherever one looks.
#[derive(Debug, Clone, Default)]
pub struct Repository {
    /// Branches and tags, and the commit that each names.
    pub refs: BTreeMap<String, String>,
    /// The files by path.
    pub files: BTreeMap<String, Tracked>,
}

/// Something in a repository.
#[derive(Debug, Clone)]
pub enum Tracked {
    /// A regular file.
    File {
        /// Its content.
        content: Vec<u8>,
        /// Whether it is executable.
        executable: bool,
    },
    /// A symbolic link to the given target.
    Symlink(String),
    /// A file whose content git LFS keeps.
    Lfs(Vec<u8>),
}

impl Repository {
    /// The commit that a branch, a tag or a commit names.
    #[must_use]
    pub fn commit(&self, reference: &str) -> Option<&str> {
        let named = self.refs.get(reference).map(String::as_str);
        named.or_else(|| {
            let mut commits = self.refs.values().map(String::as_str);
            commits.find(|commit| *commit == reference)
        })
    }
}

/// A release.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its tag.
    pub tag: String,
    /// The assets that it links to.
    pub links: Vec<ReleaseLink>,
}

/// An asset of a release.
#[derive(Debug, Clone)]
pub struct ReleaseLink {
    /// Its name, unique in the release.
    pub name: String,
    /// Where the maintainer says that it is.
    pub target: Target,
    /// The path, starting with `/`, under which GitLab's permalink to it ends, if it has one.
    pub direct_asset_path: Option<String>,
}

/// Where an asset lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// At a path of the instance, starting with `/`.
    Instance(String),
    /// At this URL, wherever that is.
    Url(String),
}
