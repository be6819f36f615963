//! `nix-fetchhost doctor`

use std::path::Path;
use std::process::{Command, Stdio};

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
        (
            "certificates",
            certificates(context.environment.ca_bundle.as_deref()),
        ),
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

fn certificates(bundle: Option<&Path>) -> Finding {
    match bundle {
        None => Finding::Good("the platform's, and SSL_CERT_FILE if it is set".to_owned()),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => {
                Finding::Good(format!("NIX_SSL_CERT_FILE, {}", path.display()))
            }
            Ok(_) => Finding::Bad(
                format!("`{}` holds no PEM certificate", path.display()),
                "correct or unset NIX_SSL_CERT_FILE".to_owned(),
            ),
            Err(error) => Finding::Bad(
                format!("`{}`: {error}", path.display()),
                "correct or unset NIX_SSL_CERT_FILE".to_owned(),
            ),
        },
    }
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
