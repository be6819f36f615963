//! Parameters that become parts of URLs.
//!
//! **The threat.** Parameters may come from anybody's Nix expression. Text such as `../../user` would
//! make a server, or a proxy before it, answer for another resource than the one that was named.
//!
//! **The rule.** Whatever is refused by GitLab or git as a name is refused here, before anything is
//! sent, with the name of its parameter; the rest is encoded where it goes into a URL.
//!
//! | parameter | accepted | refused |
//! |---|---|---|
//! | any path | `a`, `a/b`, `..a`, `a..b` | ``, `/a`, `a/`, `a//b`, `.`, `a/../b`, `a\b`, control characters |
//! | ref or tag | `main`, `feature/a#b`, `v1.0`, a commit, `HEAD` | the above, `a..b`, `-a`, `a b`, `a~1`, `a^`, `a:b`, `a*`, `a?`, `a[`, `a@{1}` |
//! | package | letters, digits, `.`, `_`, `-`, `+` | anything else, `.`, `..` |
//! | version | the same | the same, and `..` anywhere |
//! | file of a package | a path | a name that starts or ends with `~` or `@` |

use fetchhost_sdk::FetchError;

type Checked<'a> = Result<&'a str, FetchError>;

fn refuse<'a>(name: &str, why: &str) -> Checked<'a> {
    Err(FetchError::bad_params(format!("`{name}` {why}")))
}

/// Checks the parameter called `name` as text with `/` between its parts.
pub(crate) fn path<'a>(name: &str, text: &'a str) -> Checked<'a> {
    let why = if text.is_empty() {
        "is empty"
    } else if text.starts_with('/') || text.ends_with('/') {
        "must not start or end with `/`"
    } else if text
        .split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        "must not hold empty, `.` or `..` segments"
    } else if text.contains('\\') {
        "must not hold `\\`, which some servers read as `/`"
    } else if text.chars().any(char::is_control) {
        "must not hold control characters"
    } else {
        return Ok(text);
    };
    refuse(name, why)
}

/// Checks the parameter called `name` as a branch, tag or commit, by what git allows in the name of one.
pub(crate) fn reference<'a>(name: &str, text: &'a str) -> Checked<'a> {
    let text = path(name, text)?;
    let is_name = !text.starts_with('-')
        && !text.contains("..")
        && !text.contains("@{")
        && !text.contains([' ', '~', '^', ':', '?', '*', '[']);
    if is_name {
        Ok(text)
    } else {
        refuse(
            name,
            "is no name of git's: it must not start with `-`, nor hold a blank, `..`, `@{`, or any of `~^:?*[`",
        )
    }
}

/// Checks the name of a generic package.
pub(crate) fn package(text: &str) -> Checked<'_> {
    word("package", text)
}

/// Checks the version of a generic package.
pub(crate) fn version(text: &str) -> Checked<'_> {
    if text.contains("..") {
        return refuse("version", "must not hold `..`");
    }
    word("version", text)
}

/// Checks the file of a generic package, which may lie below folders.
pub(crate) fn package_file(text: &str) -> Checked<'_> {
    let text = path("file", text)?;
    let name = text.rsplit('/').next().unwrap_or_default();
    if name.starts_with(['~', '@']) || name.ends_with(['~', '@']) {
        return refuse(
            "file",
            "must not have a name that starts or ends with `~` or `@`",
        );
    }
    Ok(text)
}

/// What GitLab allows in the name and in the version of a generic package.
fn word<'a>(name: &str, text: &'a str) -> Checked<'a> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    if text.is_empty() {
        refuse(name, "is empty")
    } else if matches!(text, "." | "..") {
        refuse(name, "must not be `.` or `..`")
    } else if text.chars().all(is_word) {
        Ok(text)
    } else {
        refuse(
            name,
            "may hold letters, digits, `.`, `_`, `-` and `+` only, as GitLab has it",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fetchhost_sdk::ErrorKind;

    fn refused(result: Checked<'_>) -> bool {
        result.is_err_and(|error| error.kind() == ErrorKind::BadParams)
    }

    #[test]
    fn text_that_a_server_would_resolve_is_no_path() {
        for text in [
            "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "./a", "a/./b",
            "a\\..\\b", "a\0", "a\r\nb", "\u{85}",
        ] {
            let error = path("path", text).unwrap_err();
            assert!(error.message().starts_with("`path` "), "{text}: {error}");
        }
        for text in ["a", "a/b", "..a", "a..b/c", "%2e%2e", "a b", "grüße"] {
            assert_eq!(path("path", text).unwrap(), text);
        }
    }

    #[test]
    fn a_reference_is_what_git_could_have_made() {
        for text in [
            "main",
            "HEAD",
            "feature/a#b",
            "v1.0+build",
            "0123456789abcdef0123456789abcdef01234567",
            "grüße",
            "a@b",
        ] {
            assert_eq!(reference("ref", text).unwrap(), text);
        }
        for text in [
            "", "/main", "main/", "a//b", "a/../b", "a..b", "-a", "a b", "a~1", "a^", "a:b", "a*",
            "a?", "a[", "a@{1}", "a\\b", "a\n",
        ] {
            assert!(refused(reference("ref", text)), "{text}");
        }
    }

    #[test]
    fn packages_and_versions_are_words() {
        for text in ["engine", "my_pkg-1.0+x", "a..b", "...", "0"] {
            assert_eq!(package(text).unwrap(), text);
        }
        for text in ["1.0.0", "v1", "1.0.0-rc.1+build_7"] {
            assert_eq!(version(text).unwrap(), text);
        }
        for text in ["", ".", "..", "a/b", "a b", "a%2Fb", "grüße", "a\n", "~a"] {
            assert!(refused(package(text)), "{text}");
            assert!(refused(version(text)), "{text}");
        }
        assert_eq!(
            version("1..2").unwrap_err().message(),
            "`version` must not hold `..`"
        );
    }

    #[test]
    fn a_file_of_a_package_neither_starts_nor_ends_with_a_sign() {
        for text in [
            "a.tar.gz",
            "linux/x86/a.tar.gz",
            "hello_1.2~rc1_amd64.deb",
            "~dir/a",
            "a@1",
        ] {
            assert_eq!(package_file(text).unwrap(), text);
        }
        for text in ["~a", "a~", "@a", "a@", "dir/~a", "dir/a@", "../a", "a/"] {
            assert!(refused(package_file(text)), "{text}");
        }
    }
}
