//! Who is asking.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Asked, NO_SCOPE, Refusal, UNAUTHORIZED};
use crate::tokens::{Access, TokenKind};

/// Who is asking: somebody with a token that is known, or nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    access: Option<Access>,
    is_job: bool,
}

impl Caller {
    const NOBODY: Self = Self {
        access: None,
        is_job: false,
    };

    /// By an access token, which every endpoint takes.
    pub(super) fn of_token(asked: &Asked<'_>) -> Result<Self, Refusal> {
        Self::of(asked, &[])
    }

    /// By an access token or a job's.
    pub(super) fn of_token_or_job(asked: &Asked<'_>) -> Result<Self, Refusal> {
        Self::of(asked, &[("job-token", TokenKind::Job)])
    }

    /// By any token, also as the password of basic authentication.
    pub(super) fn of_anything(asked: &Asked<'_>) -> Result<Self, Refusal> {
        let caller = Self::of(
            asked,
            &[
                ("job-token", TokenKind::Job),
                ("deploy-token", TokenKind::Deploy),
            ],
        )?;
        if caller == Self::NOBODY
            && let Some((user, password)) = basic(asked)
            && let Some(token) = asked.config.tokens.get(&password)
            && (token.kind == TokenKind::Job) == (user == "gitlab-ci-token")
        {
            return Self::scoped(token.access, token.kind);
        }
        Ok(caller)
    }

    fn of(asked: &Asked<'_>, more: &[(&str, TokenKind)]) -> Result<Self, Refusal> {
        let bearer = header(asked, "authorization").and_then(|value| value.strip_prefix("Bearer "));
        let access = header(asked, "private-token")
            .or(bearer)
            .map(|token| (token, TokenKind::Access));
        let given = access.or_else(|| {
            more.iter()
                .find_map(|(name, kind)| Some((header(asked, name)?, *kind)))
        });
        let Some((token, kind)) = given else {
            return Ok(Self::NOBODY);
        };
        match asked.config.tokens.get(token) {
            Some(known) if known.kind == kind => Self::scoped(known.access, kind),
            _ => Err(UNAUTHORIZED),
        }
    }

    fn scoped(access: Access, kind: TokenKind) -> Result<Self, Refusal> {
        match access {
            Access::WithoutScope => Err(NO_SCOPE),
            access => Ok(Self {
                access: Some(access),
                is_job: kind == TokenKind::Job,
            }),
        }
    }

    pub(super) fn is_nobody(self) -> bool {
        self == Self::NOBODY
    }

    pub(super) fn is_member(self) -> bool {
        matches!(self.access, Some(Access::Developer | Access::Guest))
    }

    /// A member whose role does not let him have artifacts and code of a private project.
    pub(super) fn is_guest(self) -> bool {
        self.access == Some(Access::Guest)
    }

    pub(super) fn is_developer(self) -> bool {
        self.access == Some(Access::Developer)
    }

    /// A job of a project that is not in the allowlist.
    pub(super) fn is_foreign_job(self) -> bool {
        self.is_job && !self.is_member()
    }
}

fn header<'a>(asked: &Asked<'a>, name: &str) -> Option<&'a str> {
    asked.headers.get(name)?.to_str().ok()
}

fn basic(asked: &Asked<'_>) -> Option<(String, String)> {
    let encoded = header(asked, "authorization")?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
