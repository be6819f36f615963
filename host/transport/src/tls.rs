//! What goes wrong in TLS, and what the user can do about it.
//!
//! The texts of the TLS code are for those who write programs: names of variants, most of them.

use std::fmt;

use fetchhost_policy::{
    CERTIFICATE_SCHEME, CERTIFICATE_SLOT, ClientCertificate, Origin, printable,
};
use rustls::{
    AlertDescription as Alert, CertificateError as Wrong, Error, InvalidMessage, OtherError,
};

use crate::{TlsProblem, failure::Circumstances};

/// What the TLS code says of a server that shows an authority's certificate as its own. The type of
/// that is private to it; the tests of this crate notice when the text changes.
const SHOWN_AUTHORITY: &str = "CaUsedAsEndEntity";

/// The variable that names authorities for every program.
const ADDS: &str = "SSL_CERT_FILE";

/// How an authority is added.
pub(crate) const HOW_TO_ADD: &str =
    "set `SSL_CERT_FILE=FILE` (the platform's authorities stay trusted)";

/// Which of the problems that the user can do something about it is.
pub(crate) fn problem(error: &Error) -> TlsProblem {
    match error {
        Error::InvalidCertificate(wrong) => match wrong {
            // A bad signature: an authority of the same name as a trusted one, with another key.
            Wrong::UnknownIssuer | Wrong::BadSignature => TlsProblem::UnknownAuthority,
            Wrong::Expired
            | Wrong::ExpiredContext { .. }
            | Wrong::NotValidYet
            | Wrong::NotValidYetContext { .. } => TlsProblem::OutOfDate,
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => TlsProblem::OtherHost,
            Wrong::Other(OtherError(other)) if other.to_string() == SHOWN_AUTHORITY => {
                TlsProblem::AuthorityShown
            }
            _ => TlsProblem::Other,
        },
        // What a server says of our certificate, or of there being none.
        Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::HandshakeFailure,
        ) => TlsProblem::ClientCertificate,
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => TlsProblem::NotTls,
        _ => TlsProblem::Other,
    }
}

/// What happened, in words.
pub(crate) fn describe(error: &Error) -> String {
    let known = match problem(error) {
        TlsProblem::UnknownAuthority => "nobody who is trusted has signed its certificate",
        TlsProblem::OutOfDate => "its certificate is not valid now",
        TlsProblem::OtherHost => "its certificate is for another host",
        TlsProblem::AuthorityShown => "it shows the certificate of an authority as its own",
        TlsProblem::NotTls => "what it answers is no TLS",
        TlsProblem::ClientCertificate | TlsProblem::Other => {
            return match error {
                Error::AlertReceived(alert) => format!("it refuses: {}", words(alert)),
                Error::InvalidCertificate(wrong) => {
                    format!("its certificate cannot be used: {}", of_certificate(wrong))
                }
                Error::InvalidMessage(why) => format!("its TLS is broken: {}", words(why)),
                Error::PeerIncompatible(why) => format!("its TLS is another one: {}", words(why)),
                Error::PeerMisbehaved(why) => format!("its TLS is wrong: {}", words(why)),
                other => printable(&other.to_string()).into_owned(),
            };
        }
    };
    known.to_owned()
}

fn of_certificate(wrong: &Wrong) -> String {
    match wrong {
        Wrong::Other(OtherError(other)) => words(other),
        wrong => words(wrong),
    }
}

/// The name of a variant as words: the TLS code has no others for it.
fn words(name: impl fmt::Debug) -> String {
    let name = format!("{name:?}");
    let mut words = String::with_capacity(name.len() + 8);
    let mut after_small = false;
    for letter in name.chars() {
        if after_small && letter.is_ascii_uppercase() {
            words.push(' ');
        }
        after_small = letter.is_ascii_lowercase();
        words.push(letter.to_ascii_lowercase());
    }
    printable(&words).into_owned()
}

/// What the user can do about `problem`.
pub(crate) fn hint(problem: TlsProblem, about: &Circumstances<'_>) -> String {
    let origin = about.origin;
    match problem {
        TlsProblem::UnknownAuthority => {
            // A file that another variable names is most often the platform's, and nobody's to edit.
            let file = about.authorities.iter().find(|file| file.named_by == ADDS);
            let how = match file {
                Some(file) => format!(
                    "add its certificate to `{}`, which `{ADDS}` names",
                    file.path.display()
                ),
                None => format!("name its certificate: {HOW_TO_ADD}"),
            };
            format!("if the server uses a private certificate authority, {how}")
        }
        TlsProblem::AuthorityShown => format!(
            "issue a certificate to the server that is no authority's (`CA:FALSE`), signed by the authority, and name the authority's: {HOW_TO_ADD}"
        ),
        TlsProblem::NotTls => format!(
            "check the port in the URL: plain http is served there, it seems (`{}`)",
            origin.to_string().replacen("https:", "http:", 1)
        ),
        TlsProblem::OutOfDate => String::from(
            "the server's certificate is out of date, or the clock of this machine is wrong",
        ),
        TlsProblem::OtherHost => format!(
            "the certificate belongs to another host than `{}`",
            origin.host()
        ),
        TlsProblem::ClientCertificate => client_certificate_hint(origin, about.certificate),
        TlsProblem::Other => format!("check that `{origin}` serves https on this port"),
    }
}

fn client_certificate_hint(origin: &Origin, shown: Option<&ClientCertificate>) -> String {
    match shown {
        Some(spec) => format!(
            "the server does not accept client certificate `{}`, `{}`: check that it is not out of date and that the server knows its authority",
            spec.name,
            spec.certificate.display()
        ),
        None => format!(
            "the server wants a client certificate, most likely: add this to `config.toml`\n\n  [credential.NAME]\n  source = {{ client-certificate = {{ certificate = \"PATH\", key = \"PATH\" }} }}\n  scheme = \"{CERTIFICATE_SCHEME}\"\n  origins = [\"{origin}\"]\n\nand this to the grant for `{origin}`\n\n  credentials = {{ {CERTIFICATE_SLOT} = \"NAME\" }}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use rustls::{PeerIncompatible, PeerMisbehaved};

    use super::*;

    #[test]
    fn what_the_tls_code_has_only_names_for_is_told_in_words() {
        for (error, told) in [
            (
                Error::AlertReceived(Alert::HandshakeFailure),
                "it refuses: handshake failure",
            ),
            (
                Error::AlertReceived(Alert::UnknownCA),
                "it refuses: unknown ca",
            ),
            (
                Wrong::InvalidPurpose.into(),
                "its certificate cannot be used: invalid purpose",
            ),
            (
                PeerIncompatible::NoCipherSuitesInCommon.into(),
                "its TLS is another one: no cipher suites in common",
            ),
            (
                PeerMisbehaved::InvalidCertCompression.into(),
                "its TLS is wrong: invalid cert compression",
            ),
            (
                InvalidMessage::MessageTooLarge.into(),
                "its TLS is broken: message too large",
            ),
        ] {
            assert_eq!(describe(&error), told);
        }
    }
}
