//! Certificate authorities and proxies.

use fetchhost_policy::{EnvironmentProxyError, Proxies, ProxySource};
use fetchhost_transport::AuthorityFile;

use super::Finding;

pub(super) fn authorities(files: &[AuthorityFile]) -> Finding {
    let mut trusted = "the platform's".to_owned();
    for AuthorityFile { path, named_by } in files {
        let wrong = match std::fs::read(path) {
            Ok(text) if holds_certificate(&text) => {
                trusted.push_str(&format!(", and those of {} ({named_by})", path.display()));
                continue;
            }
            Ok(_) => format!("`{}` holds no PEM certificate", path.display()),
            Err(error) => format!("`{}`: {error}", path.display()),
        };
        return Finding::Bad(wrong, format!("correct or unset {named_by}"));
    }
    Finding::Good(trusted)
}

fn holds_certificate(text: &[u8]) -> bool {
    let begin = b"-----BEGIN CERTIFICATE-----";
    text.windows(begin.len()).any(|window| window == begin)
}

pub(super) fn proxies(proxies: &Proxies) -> Finding {
    let named_by = match &proxies.named_by {
        ProxySource::Environment => "the environment".to_owned(),
        ProxySource::Configuration(place) => format!("`[proxy]` at {place}"),
    };
    let mut ways = Vec::new();
    for (scheme, proxy) in [("https", &proxies.https), ("http", &proxies.http)] {
        match proxy {
            Ok(Some(proxy)) => ways.push(format!("{scheme} through {proxy}")),
            Ok(None) => {}
            Err(error) => return unusable(error),
        }
    }
    if ways.is_empty() {
        return Finding::Good(format!("none, says {named_by}"));
    }
    match &proxies.except {
        Err(error) => unusable(error),
        Ok(except) => {
            if !except.is_empty() {
                let except: Vec<String> = except.iter().map(ToString::to_string).collect();
                ways.push(format!("directly to {}", except.join(" and ")));
            }
            Finding::Good(format!("{}, says {named_by}", ways.join(", ")))
        }
    }
}

fn unusable(error: &EnvironmentProxyError) -> Finding {
    Finding::Bad(
        error.to_string(),
        format!("correct or unset {}", error.variable),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn told(finding: Finding) -> (bool, String) {
        match finding {
            Finding::Good(text) | Finding::Note(text) => (true, text),
            Finding::Bad(text, remedy) => (false, format!("{text} | {remedy}")),
        }
    }

    fn environment(variables: &[(&str, &str)]) -> Proxies {
        Proxies::from_environment(|name| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(found.1.into())
        })
    }

    #[test]
    fn proxies_are_told_with_who_names_them_and_without_their_login() {
        let (good, text) = told(proxies(&environment(&[
            ("https_proxy", "http://me:canary@proxy.example.com:3128"),
            ("no_proxy", "lan,10.0.0.0/8"),
        ])));
        assert!(good);
        assert_eq!(
            text,
            "https through http://proxy.example.com:3128, directly to lan and 10.0.0.0/8, says the environment"
        );
        let (good, text) = told(proxies(&environment(&[(
            "all_proxy",
            "socks5://me:canary@proxy.example.com",
        )])));
        assert!(
            !good && text.ends_with("correct or unset all_proxy"),
            "{text}"
        );
        assert!(!text.contains("canary"), "{text}");
        let file = Path::new("/etc/nix-fetchhost/config.toml");
        let config = fetchhost_policy::Config::parse("[proxy]", file).unwrap();
        let (good, text) = told(proxies(config.proxies().unwrap()));
        assert!(
            good && text.contains("/etc/nix-fetchhost/config.toml:1:1"),
            "{text}"
        );
    }

    #[test]
    fn files_of_authorities_are_told_with_the_variable_that_names_them() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let named = |named_by| AuthorityFile {
            path: file.path().to_owned(),
            named_by,
        };
        let (good, text) = told(authorities(&[named("SSL_CERT_FILE")]));
        assert!(
            !good && text.ends_with("correct or unset SSL_CERT_FILE"),
            "{text}"
        );
        std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----\n").unwrap();
        let both = [named("NIX_SSL_CERT_FILE"), named("SSL_CERT_FILE")];
        let (good, text) = told(authorities(&both));
        assert!(good, "{text}");
        for name in ["the platform's", "(NIX_SSL_CERT_FILE)", "(SSL_CERT_FILE)"] {
            assert!(text.contains(name), "{text}");
        }
        assert_eq!(told(authorities(&[])), (true, "the platform's".to_owned()));
    }
}
