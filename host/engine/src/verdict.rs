//! Who gets the last word about a fetch that failed.
//!
//! Threat: a module hides that the user's grants stopped it, or claims that they did. Rule: the
//! host remembers its own refusals (of requests, signatures and inputs), and they win over whatever
//! the module reports afterwards. A refusal that the module could do without (another mirror, a
//! request that was a nicety) is forgotten when the fetch succeeds. A header that only the host sets
//! is a milder case: it was not sent, so it matters only to a module that gives up because of it.

use fetchhost_policy::Denial;
use fetchhost_transport::{Category, TransportError};

use crate::failure::{ErrorKind, FetchFailure, Misbehaved, Misbehaviour, Reported};
use crate::signing::{InputError, SigningError};

/// What the host refused or failed to do during a fetch.
#[derive(Default)]
pub(crate) struct Verdict {
    /// The first refusal.
    refused: Option<Refusal>,
    /// The first header that was refused.
    header: Option<String>,
    /// The last failed request, with what the guest was told.
    failed: Option<(ErrorKind, TransportError)>,
}

enum Refusal {
    Denied(Denial),
    Transport(TransportError),
    Signing(SigningError),
    Input(InputError),
}

impl Verdict {
    pub(crate) fn denied(&mut self, denial: Denial) {
        self.refused.get_or_insert(Refusal::Denied(denial));
    }

    pub(crate) fn unsigned(&mut self, error: SigningError) {
        self.refused.get_or_insert(Refusal::Signing(error));
    }

    pub(crate) fn input(&mut self, error: InputError) {
        self.refused.get_or_insert(Refusal::Input(error));
    }

    pub(crate) fn header(&mut self, name: String) {
        self.header.get_or_insert(name);
    }

    /// Remembers a failed request; `told` is the kind that the guest was told.
    pub(crate) fn failed(&mut self, error: TransportError, told: ErrorKind) {
        match error {
            TransportError::Denied(denial) => self.denied(denial),
            TransportError::Header { name } => self.header(name),
            error if matches!(error.category(), Category::Denied | Category::Credential) => {
                self.refused.get_or_insert(Refusal::Transport(error));
            }
            error => self.failed = Some((told, error)),
        }
    }

    /// The failure to show for a guest that trapped.
    pub(crate) fn of_trap(self, misbehaved: Misbehaved) -> FetchFailure {
        // Many a guest panics when it is refused something; why it was refused is the better story.
        // Passing a limit is not a way to react to a refusal.
        let reaction = matches!(
            misbehaved.what,
            Misbehaviour::Trap { .. } | Misbehaviour::Exit { .. }
        );
        match (self.refused, self.header) {
            (Some(refusal), _) if reaction => refusal.into(),
            (None, Some(name)) if reaction => FetchFailure::Misbehaved(Misbehaved {
                what: Misbehaviour::Header { name },
                ..misbehaved
            }),
            _ => FetchFailure::Misbehaved(misbehaved),
        }
    }

    /// The failure to show for a guest that reported one; `word` is the kind as the guest wrote it.
    pub(crate) fn of_report(self, word: &str, reported: Reported) -> FetchFailure {
        if let Some(refusal) = self.refused {
            return refusal.into();
        }
        if let (Some(name), "denied") = (self.header, word) {
            let what = Misbehaviour::Header { name };
            return FetchFailure::Misbehaved(Misbehaved {
                what,
                printed: Vec::new(),
            });
        }
        match self.failed {
            Some((told, error)) if told == reported.kind => FetchFailure::Transport(error),
            _ => FetchFailure::Reported(reported),
        }
    }
}

impl From<Refusal> for FetchFailure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denial) => Self::Denied(denial),
            Refusal::Transport(error) => Self::Transport(error),
            Refusal::Signing(error) => Self::Signing(error),
            Refusal::Input(error) => Self::Input(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use fetchhost_transport::Stage;

    fn reported(kind: ErrorKind) -> Reported {
        Reported {
            kind,
            message: String::new(),
            retry_after: None,
            details: None,
        }
    }

    fn unreachable_server() -> TransportError {
        TransportError::Timeout {
            origin: "https://example.com".parse().unwrap(),
            stage: Stage::Connecting,
            after: Duration::from_secs(1),
        }
    }

    fn refused() -> TransportError {
        TransportError::Address {
            host: "10.0.0.1".to_owned(),
            denied: fetchhost_policy::AddressRule::default()
                .check("10.0.0.1".parse().unwrap())
                .unwrap_err(),
        }
    }

    fn misbehaved(what: Misbehaviour) -> Misbehaved {
        Misbehaved {
            what,
            printed: Vec::new(),
        }
    }

    #[test]
    fn a_refusal_wins_over_any_report() {
        for word in ["not-found", "denied", "network", "new-word"] {
            let mut verdict = Verdict::default();
            verdict.failed(refused(), ErrorKind::Other);
            verdict.failed(unreachable_server(), ErrorKind::Network);
            let failure = verdict.of_report(word, reported(ErrorKind::of(word)));
            let FetchFailure::Transport(error) = failure else {
                panic!("{failure}")
            };
            assert_eq!(error.category(), Category::Denied);
        }
    }

    #[test]
    fn a_refusal_explains_a_panic_but_not_a_limit() {
        let panic = || misbehaved(Misbehaviour::Exit { code: 1 });
        let mut verdict = Verdict::default();
        verdict.failed(refused(), ErrorKind::Other);
        assert!(matches!(
            verdict.of_trap(panic()),
            FetchFailure::Transport(_)
        ));
        assert!(matches!(
            Verdict::default().of_trap(panic()),
            FetchFailure::Misbehaved(_)
        ));

        let limits = fetchhost_policy::Limits::default();
        let limit = Misbehaviour::Limit(limits.overrun(fetchhost_policy::Limit::Fuel));
        let mut verdict = Verdict::default();
        verdict.failed(refused(), ErrorKind::Other);
        assert!(matches!(
            verdict.of_trap(misbehaved(limit)),
            FetchFailure::Misbehaved(_)
        ));
    }

    #[test]
    fn a_module_cannot_claim_to_have_been_denied() {
        let failure = Verdict::default().of_report("denied", reported(ErrorKind::of("denied")));
        let FetchFailure::Reported(reported) = failure else {
            panic!("{failure}")
        };
        assert_eq!(reported.kind, ErrorKind::Other);
    }

    #[test]
    fn a_planted_header_matters_to_a_module_that_gives_up_because_of_it() {
        let planted = || {
            let mut verdict = Verdict::default();
            verdict.header("cookie".to_owned());
            verdict
        };
        let header = misbehaved(Misbehaviour::Header {
            name: "cookie".to_owned(),
        });
        let failure = planted().of_report("denied", reported(ErrorKind::Other));
        let FetchFailure::Misbehaved(shown) = failure else {
            panic!("{failure}")
        };
        assert_eq!(shown, header);
        let failure = planted().of_report("not-found", reported(ErrorKind::NotFound));
        assert!(matches!(failure, FetchFailure::Reported(_)), "{failure}");
    }

    #[test]
    fn a_report_that_hands_on_a_failed_request_is_told_in_the_transports_words() {
        let mut verdict = Verdict::default();
        verdict.failed(unreachable_server(), ErrorKind::Network);
        let failure = verdict.of_report("network", reported(ErrorKind::Network));
        assert!(matches!(failure, FetchFailure::Transport(_)), "{failure}");
    }

    #[test]
    fn a_report_of_another_kind_stands() {
        let mut verdict = Verdict::default();
        verdict.failed(unreachable_server(), ErrorKind::Network);
        let failure = verdict.of_report("not-found", reported(ErrorKind::NotFound));
        assert!(matches!(failure, FetchFailure::Reported(_)), "{failure}");
    }
}
