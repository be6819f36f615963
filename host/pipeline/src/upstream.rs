//! Judging what a server answered, when the host itself asked for the content.
//!
//! A module plans "the answer to this request"; whether that answer is the content is decided here, in
//! one place for every fetcher, because only the host knows which credential was used and may name it.

use fetchhost_policy::{Broker, CredentialName, DisplayUrl, SlotName, printable};
use fetchhost_transport::Response;
use url::Url;

/// An answer that is not the content that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.describe())]
pub struct Upstream {
    /// What is wrong with it.
    pub problem: UpstreamProblem,
    /// The URL as it was asked for, without its query.
    pub url: String,
    /// The credential that was sent with the request, if any.
    pub credential: Option<CredentialName>,
    /// How long the server asks to wait, in words, if it did.
    pub retry_after: Option<String>,
    /// A credential slot of the fetcher, to name in hints.
    pub slot: Option<Slot>,
}

/// A credential slot as the fetcher describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: SlotName,
    /// What it takes, in the module's words.
    pub summary: String,
    /// What to write into the configuration so that it is filled, where nobody can type a credential.
    pub lines: Option<String>,
}

impl Slot {
    /// This slot as it is for what `response` answers.
    pub(crate) fn at(&self, broker: &Broker, response: &Response) -> Self {
        Self {
            lines: broker.lines_to_fill(&self.name, response.first_origin()),
            ..self.clone()
        }
    }
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProblem {
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404 or 410.
    NotFound,
    /// 429, after waiting as long as we are ready to.
    RateLimited,
    /// 5xx, after the retries.
    ServerError(u16),
    /// A refusal by the origin that a redirect led to, where no credential is sent.
    AfterRedirect(u16),
    /// A web page where an archive was planned.
    HtmlInsteadOfArchive,
    /// A web page with another hash than the declared one.
    HtmlInsteadOfContent,
    /// Any other status that is not success.
    Status(u16),
}

impl UpstreamProblem {
    /// A word for programs, stable across versions.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Unauthorized | Self::HtmlInsteadOfArchive | Self::HtmlInsteadOfContent => {
                "unauthorized"
            }
            Self::Forbidden => "denied-upstream",
            Self::NotFound => "not-found",
            Self::RateLimited => "rate-limited",
            Self::ServerError(_) | Self::AfterRedirect(_) | Self::Status(_) => "upstream",
        }
    }
}

impl Upstream {
    /// Accepts a response as content, or says why it is none.
    pub(crate) fn judge(
        response: &Response,
        broker: &Broker,
        slot: Option<&Slot>,
    ) -> Result<(), Box<Self>> {
        let problem = match response.status() {
            200 => return Ok(()),
            status @ 400..=499 if response.came_from_elsewhere() => {
                UpstreamProblem::AfterRedirect(status)
            }
            401 => UpstreamProblem::Unauthorized,
            403 => UpstreamProblem::Forbidden,
            404 | 410 => UpstreamProblem::NotFound,
            429 => UpstreamProblem::RateLimited,
            status @ 500..=599 => UpstreamProblem::ServerError(status),
            status => UpstreamProblem::Status(status),
        };
        Err(Box::new(Self {
            problem,
            url: DisplayUrl(response.url()).to_string(),
            credential: response.credential().cloned(),
            retry_after: response
                .retry_after()
                .map(|pause| format!("{} s", pause.as_secs())),
            slot: slot.map(|slot| slot.at(broker, response)),
        }))
    }

    /// The answer was a web page where something else was expected.
    pub(crate) fn html(
        problem: UpstreamProblem,
        url: &Url,
        credential: Option<CredentialName>,
        slot: Option<&Slot>,
    ) -> Self {
        Self {
            problem,
            url: DisplayUrl(url).to_string(),
            credential,
            retry_after: None,
            slot: slot.cloned(),
        }
    }

    fn describe(&self) -> String {
        let url = &self.url;
        match (self.problem, &self.credential) {
            (UpstreamProblem::Unauthorized, Some(credential)) => format!(
                "`{url}` does not accept the credential `{credential}` (401): it is wrong, expired or revoked"
            ),
            (UpstreamProblem::Unauthorized, None) => {
                format!("`{url}` wants a credential (401), and none was sent")
            }
            (UpstreamProblem::Forbidden, Some(credential)) => {
                format!("the credential `{credential}` may not read `{url}` (403)")
            }
            (UpstreamProblem::Forbidden, None) => {
                format!("`{url}` may not be read without a credential (403)")
            }
            (UpstreamProblem::NotFound, Some(credential)) => format!(
                "`{url}` is missing, expired, or not visible to the credential `{credential}` (404)"
            ),
            (UpstreamProblem::NotFound, None) => {
                format!("`{url}` is missing, expired, or not visible without a credential (404)")
            }
            (UpstreamProblem::RateLimited, _) => match &self.retry_after {
                Some(wait) => {
                    format!("`{url}` is rate limited (429) and asks to come back after `{wait}`")
                }
                None => format!("`{url}` is rate limited (429)"),
            },
            (UpstreamProblem::ServerError(status), _) => {
                format!("`{url}` failed on its own side ({status}), also when asked again")
            }
            (UpstreamProblem::AfterRedirect(status), _) => {
                format!("`{url}`, where a redirect led, answered with status {status}")
            }
            (UpstreamProblem::HtmlInsteadOfArchive, Some(credential)) => format!(
                "`{url}` answered with a web page instead of an archive, as a login page would: \
                 the credential `{credential}` was probably not accepted"
            ),
            (UpstreamProblem::HtmlInsteadOfArchive, None) => format!(
                "`{url}` answered with a web page instead of an archive, as a login page would, \
                 and no credential was sent"
            ),
            (UpstreamProblem::HtmlInsteadOfContent, Some(credential)) => format!(
                "`{url}` answered with a web page, as a login page would: \
                 the credential `{credential}` was probably not accepted"
            ),
            (UpstreamProblem::HtmlInsteadOfContent, None) => format!(
                "`{url}` answered with a web page, as a login page would, and no credential was sent"
            ),
            (UpstreamProblem::Status(status), _) => {
                format!("`{url}` answered with status {status}, which is no content")
            }
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        let credential = match &self.credential {
            Some(name) => {
                format!("check where the credential `{name}` comes from, and what it may do")
            }
            None => match &self.slot {
                Some(Slot {
                    name,
                    lines: Some(lines),
                    ..
                }) => format!("fill slot `{name}`; {lines}"),
                Some(Slot { name, .. }) => {
                    format!("give a credential with `--credential {name}=env:NAME`")
                }
                None => "this fetcher takes no credential".to_owned(),
            },
        };
        match self.problem {
            UpstreamProblem::Unauthorized => match (&self.credential, &self.slot) {
                // A good token in a header that is not for its kind is refused as a wrong one is.
                (Some(_), Some(Slot { name, summary, .. })) => Some(format!(
                    "{credential}; slot `{name}` takes {}: another header than the usual one is chosen with `,header=NAME` behind the source",
                    printable(summary)
                )),
                _ => Some(credential),
            },
            UpstreamProblem::Forbidden
            | UpstreamProblem::HtmlInsteadOfArchive
            | UpstreamProblem::HtmlInsteadOfContent => Some(credential),
            UpstreamProblem::NotFound => Some(format!("check the parameters; then {credential}")),
            UpstreamProblem::RateLimited | UpstreamProblem::ServerError(_) => {
                Some("try again later".to_owned())
            }
            UpstreamProblem::AfterRedirect(_) => Some(
                "run it again: a signed redirect lives for minutes; if it stays, the storage is at fault"
                    .to_owned(),
            ),
            UpstreamProblem::Status(_) => None,
        }
    }
}
