//! `nix-fetchhost doctor`

use std::path::Path;
use std::process::{Command, Stdio};

use fetchhost_policy::{EnvironmentProxyError, Proxies, ProxySource};
use fetchhost_transport::AuthorityFile;

use crate::catalog;
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::Failure;

/// Where a daemon listens unless `NIX_DAEMON_SOCKET_PATH` says otherwise.
const DAEMON_SOCKET: &str = "/nix/var/nix/daemon-socket/socket";

/// What one check found.
enum Finding {
    /// All is well.
    Good(String),
    /// Something is missing that not everybody needs.
    Note(String),
    /// Something is wrong: what, and what to do.
    Bad(String, String),
}

/// Looks at what fetching depends on, and says what is wrong and what to do.
pub(crate) async fn doctor(context: &Context) -> Result<(), Failure> {
    let checks = [
        ("configuration", configuration(context)),
        ("modules", modules(context).await),
        ("compiled modules", compiled(context)),
        ("temporary files", temporary(&context.environment.tmp)),
        ("authorities", authorities(&context.environment.authorities)),
        ("proxies", proxies(context.proxies())),
        ("nix", nix()),
        ("nix daemon", daemon()),
    ];
    let mut bad = 0;
    for (subject, finding) in checks {
        let line = match finding {
            Finding::Good(text) => format!("good  {subject}: {text}"),
            Finding::Note(text) => format!("note  {subject}: {text}"),
            Finding::Bad(text, remedy) => {
                bad += 1;
                format!("BAD   {subject}: {text}\n      {remedy}")
            }
        };
        context.printer.result(&line)?;
    }
    if bad == 0 {
        return Ok(());
    }
    Err(Failure {
        status: ExitStatus::FetchFailed,
        ..Failure::usage(format!("{bad} of the checks found something wrong"))
    })
}

fn configuration(context: &Context) -> Finding {
    // A mistake in it ended the program before.
    let read: Vec<String> = context
        .settings
        .files
        .iter()
        .filter(|(_, present)| *present)
        .map(|(path, _)| path.display().to_string())
        .collect();
    if read.is_empty() {
        Finding::Note("no file; what is typed is what is granted".to_owned())
    } else {
        Finding::Good(read.join(", "))
    }
}

async fn modules(context: &Context) -> Finding {
    let loaded = match context.engine() {
        Ok(engine) => catalog::builtins(&engine).await,
        Err(failure) => Err(failure),
    };
    match loaded {
        Ok(modules) => {
            let fetchers: usize = modules
                .iter()
                .map(|one| one.module.description().fetchers.len())
                .sum();
            Finding::Good(format!(
                "{} built in, with {fetchers} fetchers",
                modules.len()
            ))
        }
        Err(failure) => Finding::Bad(
            failure.message,
            "this is a defect of the build; please report it".to_owned(),
        ),
    }
}

fn compiled(context: &Context) -> Finding {
    match context.compiled_modules() {
        None => Finding::Note("not kept, because there is no home folder; set HOME or XDG_CACHE_HOME".to_owned()),
        Some(folder) => match std::fs::read_dir(&folder) {
            Ok(entries) => Finding::Good(format!("{} files in {}", entries.count(), folder.display())),
            Err(error) => Finding::Bad(
                format!("`{}`: {error}", folder.display()),
                "modules are compiled again at each start until this folder is yours alone (mode 0700)".to_owned(),
            ),
        },
    }
}

fn temporary(folder: &Path) -> Finding {
    match tempfile::tempfile_in(folder) {
        Ok(_) => Finding::Good(folder.display().to_string()),
        Err(error) => Finding::Bad(
            format!("`{}` cannot be written: {error}", folder.display()),
            "name another folder in TMPDIR".to_owned(),
        ),
    }
}

fn authorities(files: &[AuthorityFile]) -> Finding {
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

fn proxies(proxies: &Proxies) -> Finding {
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

fn nix() -> Finding {
    let output = Command::new("nix")
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            Finding::Good(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        _ => Finding::Note(
            "not on PATH; binary caches and plain files are written without it".to_owned(),
        ),
    }
}

fn daemon() -> Finding {
    let socket = std::env::var_os("NIX_DAEMON_SOCKET_PATH").unwrap_or_else(|| DAEMON_SOCKET.into());
    let socket = Path::new(&socket);
    match std::os::unix::net::UnixStream::connect(socket) {
        Ok(_) => Finding::Good(format!("answers on {}", socket.display())),
        Err(_) => Finding::Note(format!("none on {}", socket.display())),
    }
}

#[cfg(test)]
mod tests {
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
