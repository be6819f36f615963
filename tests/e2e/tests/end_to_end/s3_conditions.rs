//! Publishing to servers that do not know conditions of writing.

use fetchhost_e2e::{ACCESS_KEY_ID, CommandLine, Quirk, S3Server, SECRET_ACCESS_KEY, Sandbox, sri};

const CONTENT: &[u8] = b"published without a condition\n";

#[test]
fn a_server_that_refuses_conditions_is_published_to_nevertheless() {
    let server = S3Server::with(Quirk::RefusesConditions);
    server.put("source", "file", CONTENT);
    server.put("team", "README", b"makes the bucket\n");
    let sandbox = Sandbox::new()
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    let cache = format!("s3://team?endpoint={}&region=us-east-1", server.url());
    let publish = || {
        let line = CommandLine::new(["run", "s3-object", "--bucket", "source", "--key", "file"])
            .with("--endpoint", server.url())
            .with("--credential", "aws=aws")
            .with("--hash", sri(CONTENT))
            .with("--to", &cache);
        sandbox.run(line).exits(0)
    };
    let asked = |key: &str, method: &str| {
        let requests = server.requests();
        let found = |head: &&String| head.starts_with(&format!("{method} /{key}"));
        requests.iter().filter(found).count()
    };
    publish();
    let records = |head: &&String| {
        head.starts_with("PUT /team/") && head.lines().next().unwrap().ends_with(".narinfo")
    };
    let requests = server.requests();
    let written: Vec<_> = requests.iter().filter(records).collect();
    // The condition was tried with what the cache says about itself.
    assert_eq!(written.len(), 1, "{written:?}");
    assert!(!written[0].contains("if-none-match"), "{}", written[0]);

    // What is there stays, and the source is not asked again.
    publish();
    assert_eq!(asked("source/file", "GET"), 1);
    let line = CommandLine::new(["cache", "info"]).flag(&cache);
    let said = sandbox.run(line).exits(0).stdout;
    assert!(said.contains("paths: 1, NARs: 1"), "{said}");
    assert!(said.contains("--single-writer"), "{said}");
}

#[test]
fn a_server_that_compares_states_without_their_quotes_is_signed_on() {
    let server = S3Server::with(Quirk::BareStates);
    server.put("source", "file", CONTENT);
    server.make_bucket("team");
    let sandbox = Sandbox::new()
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    let cache = format!("s3://team?endpoint={}&region=us-east-1", server.url());
    let line = CommandLine::new(["run", "s3-object", "--bucket", "source", "--key", "file"])
        .with("--endpoint", server.url())
        .with("--credential", "aws=aws")
        .with("--hash", sri(CONTENT))
        .with("--to", &cache);
    sandbox.run(line).exits(0);
    for name in ["one-1", "two-1"] {
        let key = sandbox.path(name).display().to_string();
        let line = CommandLine::new(["key", "generate", name]).flag(&key);
        sandbox.run(line).exits(0);
        let line = CommandLine::new(["cache", "sign"])
            .flag(&cache)
            .flag("--no-store")
            .with("--key", &key);
        sandbox.run(line).exits(0);
    }
    let folder = fetchhost_e2e::files_below(&server.bucket("team"));
    let record = folder
        .iter()
        .find(|(path, _)| path.extension().is_some_and(|end| end == "narinfo"))
        .map(|(_, text)| String::from_utf8_lossy(text).into_owned())
        .unwrap();
    assert!(
        record.contains("Sig: one-1:") && record.contains("Sig: two-1:"),
        "{record}"
    );
}
