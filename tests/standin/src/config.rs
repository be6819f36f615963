//! What the stand-in serves, and to whom.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Access, Content, Holdings, Release, Token, TokenKind, sample};

/// How GitLab hands out what it keeps in object storage: artifacts, packages, and what git LFS keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// 302 to a presigned URL on the storage origin (object storage without `proxy_download`).
    Redirect,
    /// 200 with the bytes (local storage, or `proxy_download`).
    Direct,
}

/// One job of a project, always successful.
#[derive(Debug, Clone)]
pub struct Job {
    /// The number in `/jobs/ID/artifacts`.
    pub id: u64,
    /// What `?job=` names.
    pub name: String,
    /// The branch or tag that it ran on; may contain slashes.
    pub git_ref: String,
    /// The artifact archive (a zip); `None` when it has expired.
    pub archive: Option<Content>,
}

/// A project with its jobs.
#[derive(Debug, Clone)]
pub struct Project {
    /// The numeric id.
    pub id: u64,
    /// The full path, such as `group/subgroup/project`.
    pub path: String,
    /// Whether everybody can see it.
    pub public: bool,
    /// Whether its artifacts are as visible as the project; otherwise developers alone may have them.
    pub public_builds: bool,
    /// Its jobs, the newest first.
    pub jobs: Vec<Job>,
}

/// What a [`Standin`](crate::Standin) serves.
#[derive(Clone)]
pub struct Config {
    /// The tokens that exist. Any other is invalid (401).
    pub tokens: BTreeMap<String, Token>,
    /// The projects that exist.
    pub projects: Vec<Project>,
    /// What projects hold beside their jobs, by the project's id.
    pub holdings: BTreeMap<u64, Holdings>,
    /// How artifacts, packages and what git LFS keeps are delivered.
    pub delivery: Delivery,
    /// How long a presigned URL is good for, in whole seconds.
    pub presigned_for: Duration,
    /// A path prefix under which GitLab is mounted, such as `/gitlab`; empty for none.
    pub relative_root: String,
    /// Files served to everybody on the API origin, by path, such as `/public/file`.
    pub public_files: BTreeMap<String, Content>,
    /// How long each answer is held back, as if the server were far away.
    pub latency: Duration,
}

impl Config {
    /// The private [sample] project behind `token`, delivered by redirect.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self {
            tokens: BTreeMap::new(),
            projects: vec![sample::project()],
            holdings: BTreeMap::from([(sample::PROJECT_ID, sample::holdings())]),
            delivery: Delivery::Redirect,
            presigned_for: Duration::from_secs(300),
            relative_root: String::new(),
            public_files: BTreeMap::new(),
            latency: Duration::ZERO,
        }
        .token(token, Access::Developer)
    }

    /// Adds an access token.
    #[must_use]
    pub fn token(self, token: impl Into<String>, access: Access) -> Self {
        self.token_of_kind(token, TokenKind::Access, access)
    }

    /// Adds a token of any kind.
    #[must_use]
    pub fn token_of_kind(
        mut self,
        token: impl Into<String>,
        kind: TokenKind,
        access: Access,
    ) -> Self {
        self.tokens.insert(token.into(), Token { kind, access });
        self
    }

    /// Makes the sample project public.
    #[must_use]
    pub fn public(mut self) -> Self {
        for project in &mut self.projects {
            project.public |= project.id == sample::PROJECT_ID;
        }
        self
    }

    /// Leaves the artifacts of the sample project to its developers.
    #[must_use]
    pub fn without_public_builds(mut self) -> Self {
        for project in &mut self.projects {
            project.public_builds &= project.id != sample::PROJECT_ID;
        }
        self
    }

    /// Adds a release to the sample project.
    #[must_use]
    pub fn release(mut self, release: Release) -> Self {
        let holdings = self.holdings.entry(sample::PROJECT_ID).or_default();
        holdings.releases.insert(0, release);
        self
    }

    /// Adds a file that everybody may fetch at `path`, such as `/public/file`.
    #[must_use]
    pub fn public_file(mut self, path: impl Into<String>, content: impl Into<Content>) -> Self {
        self.public_files.insert(path.into(), content.into());
        self
    }

    /// Holds each answer back, as if the server were far away.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Sets how artifacts, packages and what git LFS keeps are delivered.
    #[must_use]
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }
}
