//! Putting URLs together from parameters.
//!
//! A parameter is foreign text. Encode it where it goes into a URL, once, and it stays what it was meant
//! to be: one segment, or one value of a query.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::FetchError;

/// Everything but RFC 3986's unreserved characters. `/` is encoded too.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes text as one segment of a path: `group/project` becomes `group%2Fproject`.
///
/// `.` and `..` come out as they are, since no encoding keeps a server from reading them as steps: the
/// host refuses them in a request.
///
/// ```
/// assert_eq!(fetchhost_sdk::url::segment("group/project"), "group%2Fproject");
/// ```
#[must_use]
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Encodes text as a path: each segment by itself, the `/` between them kept.
///
/// ```
/// assert_eq!(fetchhost_sdk::url::path("dist/a b.zip"), "dist/a%20b.zip");
/// ```
#[must_use]
pub fn path(text: &str) -> String {
    text.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Encodes text as one name or value of a query.
///
/// ```
/// assert_eq!(fetchhost_sdk::url::query("build & test"), "build%20%26%20test");
/// ```
#[must_use]
pub fn query(text: &str) -> String {
    segment(text)
}

/// Checks the parameter called `name` as a URL to which a path will be appended (an origin with an
/// optional path), and returns it without slashes at its end.
///
/// ```
/// assert_eq!(fetchhost_sdk::url::base("url", "https://git.example/lab/").unwrap(), "https://git.example/lab");
/// ```
///
/// # Errors
///
/// `BadParams` for another scheme than `https` and `http`, for no host, and for userinfo, a query or a
/// fragment. Whether the rest is a URL is for the host to say.
pub fn base<'a>(name: &str, url: &'a str) -> Result<&'a str, FetchError> {
    let url = checked(name, url)?;
    if url.contains(['?', '#']) {
        return Err(refused(
            name,
            "is a base for other URLs: leave out the query and the fragment",
        ));
    }
    Ok(url.trim_end_matches('/'))
}

/// Checks the parameter called `name` as a URL that is asked for as it is, and returns it.
///
/// ```
/// assert!(fetchhost_sdk::url::absolute("mirror", "https://mirror.example/a.zip?raw=1").is_ok());
/// ```
///
/// # Errors
///
/// `BadParams` for another scheme than `https` and `http`, for no host, and for userinfo or a fragment.
/// Whether the rest is a URL is for the host to say.
pub fn absolute<'a>(name: &str, url: &'a str) -> Result<&'a str, FetchError> {
    let url = checked(name, url)?;
    if url.contains('#') {
        return Err(refused(
            name,
            "has a fragment, which servers never see: leave out what follows `#`",
        ));
    }
    Ok(url)
}

/// What every URL of a parameter must be. The refusals do not repeat it: it may hold a password.
fn checked<'a>(name: &str, url: &'a str) -> Result<&'a str, FetchError> {
    let Some(rest) = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
    else {
        return Err(refused(name, "has to start with `https://` or `http://`"));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(refused(name, "names no host"));
    }
    if authority.contains('@') {
        return Err(refused(
            name,
            "must not hold a user or a password: bind a credential instead",
        ));
    }
    Ok(url)
}

fn refused(name: &str, why: &str) -> FetchError {
    FetchError::bad_params(format!("`{name}` {why}"))
}

#[cfg(test)]
mod tests {
    use super::{absolute, base, path, query, segment};

    #[test]
    fn a_segment_keeps_unreserved_characters_and_encodes_all_others() {
        assert_eq!(segment("aZ09-._~"), "aZ09-._~");
        assert_eq!(segment("a/b?c#d%e f"), "a%2Fb%3Fc%23d%25e%20f");
        assert_eq!(segment("grüße"), "gr%C3%BC%C3%9Fe");
        assert_eq!(segment("a\r\nb\0"), "a%0D%0Ab%00");
    }

    #[test]
    fn a_path_keeps_its_slashes_only() {
        assert_eq!(path("a b/c?d/e%2Ff"), "a%20b/c%3Fd/e%252Ff");
    }

    #[test]
    fn a_query_value_cannot_add_another_pair() {
        assert_eq!(query("a&b=c+d"), "a%26b%3Dc%2Bd");
    }

    #[test]
    fn a_base_loses_its_last_slashes() {
        for (given, kept) in [
            ("https://git.example", "https://git.example"),
            ("https://git.example/", "https://git.example"),
            ("http://127.0.0.1:8080//", "http://127.0.0.1:8080"),
            ("https://git.example/lab/", "https://git.example/lab"),
        ] {
            assert_eq!(base("url", given).unwrap(), kept);
        }
    }

    #[test]
    fn what_is_no_base_is_refused_by_the_name_of_its_parameter() {
        for given in [
            "git.example",
            "ftp://git.example",
            "file:///etc/passwd",
            "https://",
            "https:///api",
            "https://git.example?private_token=x",
            "https://git.example/#x",
            "https://me:secret@git.example",
        ] {
            let error = base("url", given).unwrap_err();
            assert!(error.message().starts_with("`url` "), "{error}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_whole_url_keeps_its_query_and_its_last_slash() {
        for url in [
            "https://files.example/a/?version=1&x=@",
            "http://127.0.0.1:8080",
        ] {
            assert_eq!(absolute("url", url).unwrap(), url);
        }
        for given in [
            "files.example/a",
            "FTP://files.example/a",
            "https://",
            "https://?a",
            "https://me:secret@files.example/a",
            "https://files.example/a#secret",
        ] {
            let error = absolute("mirror[1]", given).unwrap_err();
            assert!(error.message().starts_with("`mirror[1]` "), "{error}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }
}
