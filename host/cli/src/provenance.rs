//! What `--provenance` writes: an in-toto statement with SLSA provenance, about one verified output.
//!
//! Format: <https://in-toto.io/Statement/v1> and <https://slsa.dev/provenance/v1>.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fetchhost_formats::{FixedOutput, hex};
use serde_json::{Map, Value, json};

use crate::exit::ExitStatus;
use crate::failure::{Failure, Partial};
use crate::journal;
use crate::report::ResultReport;

/// What kind of work was done: the meaning of the parameters below.
const BUILD_TYPE: &str = "urn:nix-fetchhost:fetch:v1";

/// The statement for an output.
///
/// The subject's digest is the output's declared hash; resolved dependencies are the module, by its
/// digest, the contents that were signed, and what was contacted.
pub(crate) fn statement(
    output: &FixedOutput,
    report: &ResultReport,
    parameters: &Map<String, Value>,
    ticket: &str,
    started: &str,
) -> Value {
    let algorithm = output.hash.algorithm().to_string();
    let mut dependencies = vec![json!({
        "name": report.module(),
        "digest": { "sha256": report.module_digest() },
    })];
    dependencies.extend(report.signatures().iter().map(|signed| {
        json!({
            "name": "signed content",
            "digest": { "sha256": signed.content },
            "annotations": {
                "key": signed.key,
                "fingerprint": signed.fingerprint,
                "format": signed.format,
                "parameters": signed.parameters,
                "remembered": signed.remembered,
            },
        })
    }));
    dependencies.extend(report.contacted().map(|url| json!({ "uri": url })));
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{
            "name": output.store_path().to_string(),
            "digest": { algorithm: hex(output.hash.as_bytes()) },
            "annotations": { "mode": output.mode.to_string(), "narHash": report.nar_hash() },
        }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "fetcher": report.fetcher(),
                    "parameters": journal::shown(parameters),
                },
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {
                    "id": concat!("nix-fetchhost/", env!("CARGO_PKG_VERSION")),
                },
                "metadata": {
                    "invocationId": ticket,
                    "startedOn": started,
                    "finishedOn": journal::now(),
                },
            },
        },
    })
}

/// Whether a statement can be written to `path`, as far as that is known before the fetch.
pub(crate) fn check_place(path: &Path) -> Result<(), Failure> {
    let (target, folder) = place(path);
    let problem = match fs::metadata(&folder) {
        Err(error) => error.to_string(),
        Ok(found) if !found.is_dir() => "it is not in a folder".to_owned(),
        Ok(_) if target.is_dir() => "it is a folder".to_owned(),
        Ok(_) => return Ok(()),
    };
    Err(
        Failure::usage(format!("`--provenance {}`: {problem}", path.display()))
            .with_hint("name a file in a folder that is there"),
    )
}

/// What is said when nothing was fetched: nothing is attested that this run did not see.
pub(crate) fn nothing_fetched(path: &Path) -> String {
    format!(
        "no new statement was written to `{}`: nothing was fetched, because the output was there already (`--refetch` fetches it again)",
        path.display()
    )
}

/// Writes the statement whole or not at all; into what is no file, such as a pipe, as it is.
pub(crate) fn write(path: &Path, statement: &Value, report: &ResultReport) -> Result<(), Failure> {
    let text = format!("{statement:#}\n");
    let (target, folder) = place(path);
    let write = || -> io::Result<()> {
        if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
            return fs::write(&target, &text);
        }
        // As any other file is made: who may read it is the user's umask to say.
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(&folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&target).map_err(|error| error.error)?;
        File::open(&folder)?.sync_all()
    };
    write().map_err(|error| {
        Failure {
            status: ExitStatus::Sink,
            kind: "sink",
            done: Some(Box::new(Partial::Result(report.clone()))),
            ..Failure::usage(format!(
                "the statement `{}` cannot be written: {error}",
                path.display()
            ))
        }
        .with_hint("the output itself is there; name another file and add `--refetch`")
    })
}

/// The file, behind links, and its folder.
fn place(path: &Path) -> (PathBuf, PathBuf) {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
        .to_owned();
    (target, folder)
}
