//! What `--provenance` writes: an in-toto statement with SLSA provenance, about one verified output.
//!
//! Format: <https://in-toto.io/Statement/v1> and <https://slsa.dev/provenance/v1>.

use fetchhost_formats::FixedOutput;
use serde_json::{Map, Value, json};

use crate::journal;
use crate::report::{ResultReport, hex};

/// What kind of work was done: the meaning of the parameters below.
const BUILD_TYPE: &str = "urn:nix-fetchhost:fetch:v1";

/// The statement for an output.
///
/// The subject's digest is the output's declared hash; resolved dependencies are the module, by its
/// digest, and what was contacted.
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
