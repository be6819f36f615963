//! What a secret may consist of: the second table at the top of this crate.

use fetchhost_policy::Scheme;

use crate::{Problem, aws::AccessKeys};

/// Whether `secret` can be sent the way `scheme` says.
pub(crate) fn check(secret: &str, scheme: &Scheme) -> Result<(), Problem> {
    if secret.is_empty() {
        return Err(Problem::Empty);
    }
    // Not sent, so that it may have the lines that JSON is printed in.
    if matches!(scheme, Scheme::AwsSigV4(_)) {
        return AccessKeys::read(secret).map(drop);
    }
    if secret.contains(['\n', '\r']) {
        return Err(Problem::SeveralLines);
    }
    if secret.chars().any(char::is_control) {
        return Err(Problem::ControlCharacter);
    }
    // A password travels as base64 and may hold any text.
    if matches!(scheme, Scheme::Basic { .. } | Scheme::BasicLogin) {
        return Ok(());
    }
    if !secret.is_ascii() {
        return Err(Problem::NotAscii);
    }
    if secret.starts_with(' ') || secret.ends_with(' ') {
        return Err(Problem::OuterSpace);
    }
    Ok(())
}
