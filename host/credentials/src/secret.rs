//! The one type that holds a secret.

use std::fmt;

use zeroize::Zeroizing;

/// A secret value: a token or a password.
///
/// It has no `Display`, no `Clone` and no serialisation, its `Debug` shows nothing of it (not even
/// its length), and its memory is wiped on drop. Share it as `Arc<Secret>`.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(Zeroizing::new(value))
    }
}

impl From<Zeroizing<String>> for Secret {
    fn from(value: Zeroizing<String>) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_the_secret_nor_its_length() {
        let short = format!("{:?}", Secret::from(String::from("a")));
        let long = format!("{:#?}", Secret::from("canary".repeat(100)));
        assert_eq!(short, long);
        assert!(!long.contains("canary"));
    }
}
