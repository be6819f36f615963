//! The one type that holds a secret.

use std::{fmt, sync::Once};

use fetchhost_policy::Scheme;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zeroize::Zeroizing;

use crate::{Problem, content};

/// A secret value: a token or a password.
///
/// It has no `Display`, no `Clone` and no serialisation, its `Debug` shows nothing of it (not even
/// its length), and its memory is wiped on drop. Share it as `Arc<Secret>`.
pub struct Secret {
    value: Zeroizing<String>,
    login: Option<String>,
}

impl Secret {
    /// The secret itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// The user name that its source gave along with it.
    #[must_use]
    pub fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }

    /// Whether the secret can be sent the way `scheme` says.
    ///
    /// # Errors
    /// With what is wrong, and nothing of the secret.
    pub fn check(&self, scheme: &Scheme) -> Result<(), Problem> {
        content::check(&self.value, scheme)
    }

    pub(crate) fn with_login(mut self, login: Option<String>) -> Self {
        self.login = login;
        self
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::from(Zeroizing::new(value))
    }
}

impl From<Zeroizing<String>> for Secret {
    fn from(value: Zeroizing<String>) -> Self {
        Self { value, login: None }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// From here on, a crash of this process or of a program that it starts leaves no core file, which
/// would hold the secret. Called before the first one is read.
pub fn leave_no_core_file() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let maximum = getrlimit(Resource::Core).maximum;
        let none = Rlimit {
            current: Some(0),
            maximum,
        };
        // Where the platform does not let us say so, nothing else is lost.
        let _ = setrlimit(Resource::Core, none);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_the_secret_nor_its_length() {
        let short = format!("{:?}", Secret::from(String::from("a")));
        let long = Secret::from("canary".repeat(100)).with_login(Some(String::from("canary")));
        let long = format!("{long:#?}");
        assert_eq!(short, long);
        assert!(!long.contains("canary"));
    }

    #[test]
    fn a_process_with_secrets_leaves_no_core_file() {
        leave_no_core_file();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
    }
}
