//! The one type that holds a secret.

use std::{
    fmt,
    io::{self, Read},
    sync::Once,
};

use fetchhost_policy::Scheme;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zeroize::Zeroizing;

use crate::{Problem, content};

/// No token is larger; a file that is was named by mistake.
pub(crate) const MAX_BYTES: usize = 64 * 1024;

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

    /// The secret that `input` holds: all of it, without the line ends at its end.
    ///
    /// # Errors
    /// When `input` cannot be read; the inner error when it holds no secret.
    pub fn read(input: impl Read) -> io::Result<Result<Self, Problem>> {
        leave_no_core_file();
        // Room for all of it at once: a vector that grows leaves unwiped copies behind.
        let mut content = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
        input.take(MAX_BYTES as u64 + 1).read_to_end(&mut content)?;
        Ok(Self::from_content(&content))
    }

    /// The secret in the content of a source, of which line ends at the end are no part.
    pub(crate) fn from_content(content: &[u8]) -> Result<Self, Problem> {
        if content.len() > MAX_BYTES {
            return Err(Problem::TooLarge);
        }
        let text = str::from_utf8(content).map_err(|_| Problem::NotText)?;
        let text = text.trim_end_matches(['\n', '\r']);
        Ok(Self::from(Zeroizing::new(text.to_owned())))
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
/// would hold the secret, and no other process of the user's reads this one's memory. Called before
/// the first secret, or private key, is read; more calls change nothing.
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
        // A core pattern that is a pipe is not bound by the limit.
        #[cfg(target_os = "linux")]
        let _ =
            rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
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
        #[cfg(target_os = "linux")]
        assert_eq!(
            rustix::process::dumpable_behavior(),
            Ok(rustix::process::DumpableBehavior::NotDumpable)
        );
    }
}
