//! Tokens: which there are, and what their bearers may do.

/// What a token lets its bearer do with private projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A member who may download everything.
    Developer,
    /// A member whose role is too small for artifacts and code (403), though not for packages and releases.
    Guest,
    /// Somebody who is no member, or a job whose project is not in the allowlist: 404, as if nothing
    /// were there.
    Outsider,
    /// A member whose token lacks the scope `read_api`: 403 everywhere.
    WithoutScope,
}

/// Of which kind a token is, and with it in which header and where it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Personal, project and group access tokens: `PRIVATE-TOKEN`, `Authorization: Bearer`.
    Access,
    /// The token of a running job: `JOB-TOKEN`; not for repository archives and permalinks.
    Job,
    /// A deploy token with `read_package_registry`: `DEPLOY-TOKEN`, for packages only.
    Deploy,
}

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Its kind.
    pub kind: TokenKind,
    /// What it lets its bearer do.
    pub access: Access,
}
