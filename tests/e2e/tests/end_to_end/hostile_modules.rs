//! Modules that try to break out, lie, or take too much.
//!
//! `tests/hostile/README.md` is the specification: it lists every deed with the exit code that the
//! host must end with, and these tests run the list. After each deed nothing lies anywhere that did
//! not lie there before, and no server was asked for what was not granted.

use fetchhost_e2e::{CommandLine, Hostile, Sandbox, Secret, TOKEN, TOKEN_VARIABLE, sri};
use fetchhost_standin::{Config, Content, Fault, Side, Standin};

const SPECIFICATION: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../hostile/README.md"));

/// Limits that are reached sooner than the default ones.
const LIMITS: &str = "\
[limits]
fuel = 1_000_000_000
output-bytes = 33_554_432
entries = 20_000
log-bytes = 16_384
read-bytes = 4_194_304
";

/// The first two columns of interest of a section's table: each name with its exit code. `ok` is
/// read as 4, since the deeds are run with a hash that nothing matches.
fn table(section: &str) -> Vec<(&'static str, i32)> {
    let start = SPECIFICATION.find(&format!("## {section}\n")).unwrap();
    let text = &SPECIFICATION[start + 3..];
    let text = &text[..text.find("\n## ").unwrap_or(text.len())];
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&'static str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let code = match cells.last().copied().unwrap() {
            "ok" => 4,
            "as above" => continue,
            code => code.parse().unwrap(),
        };
        rows.extend(
            cells[0]
                .split(", ")
                .map(|name| (name.trim_matches('`'), code)),
        );
    }
    assert!(rows.len() > 5, "{section}: {rows:?}");
    rows
}

/// A server whose `/granted/file` is granted and whose `/secret` is not, and another that nobody
/// grants.
struct Servers {
    granted: Standin,
    other: Standin,
}

impl Servers {
    fn with_file(content: impl Into<Content>) -> Self {
        let config = Config::new("unused")
            .public_file("/granted/file", content)
            .public_file("/secret", "secret\n");
        Self {
            granted: Standin::start(config.clone()).unwrap(),
            other: Standin::start(config).unwrap(),
        }
    }

    /// Makes the granted server do its part of a deed.
    fn misbehave(&self, deed: &str) {
        let fault = match deed {
            "redirect-path-with-token" => Fault::RedirectTo("/secret".to_owned()),
            "read-echo-after-failure" => {
                let (cut, path) = (Fault::RedirectTo("//[".to_owned()), "/granted/");
                self.granted.script(Side::Api, path, cut, 1);
                Fault::RedirectTo(format!("/granted/{TOKEN}"))
            }
            deed if deed.contains("echo") => Fault::EchoHeaders,
            _ => return,
        };
        self.granted
            .script(Side::Api, "/granted/", fault, usize::MAX);
    }

    fn line(&self, hostile: &Hostile, sandbox: &Sandbox, deed: &str) -> CommandLine {
        hostile
            .run(sandbox, deed)
            .with("--url", self.granted.url())
            .with("--other", format!("{}/granted/file", self.other.url()))
            .with(
                "--credential",
                format!("token=env:{TOKEN_VARIABLE},header=X-Token"),
            )
    }

    /// Demands that nobody was asked for anything that was not granted.
    #[track_caller]
    fn were_asked_for_what_was_granted(&self, deed: &str) {
        assert_eq!(self.other.requests(), [], "{deed}");
        for request in self.granted.requests() {
            let what = (
                request.method.as_str(),
                request.path.starts_with("/granted/"),
            );
            assert_eq!(what, ("GET", true), "{deed}: {request:?}");
            assert_eq!(request.header("private-token"), None, "{deed}");
        }
    }
}

/// Runs every deed of a section and collects what did not end as specified, to show all at once.
fn run_section(section: &str) {
    let mut failures = Vec::new();
    for (deed, code) in table(section) {
        let headers: &[&str] = match deed {
            "plant-header" => FORBIDDEN_HEADERS,
            _ => &["unused"],
        };
        for header in headers {
            let servers = match deed {
                "read-too-much" => Servers::with_file(Content::Big(65 * 1024 * 1024)),
                _ => Servers::with_file("granted\n"),
            };
            servers.misbehave(deed);
            let sandbox = Sandbox::new().configured(LIMITS);
            let hostile = Hostile::honest(&sandbox);
            let before = sandbox.files();
            let line = servers
                .line(&hostile, &sandbox, deed)
                .with("--header", header);
            let finished = sandbox.run(line);
            if finished.code != code {
                let said: String = finished.stderr.chars().take(2_000).collect();
                failures.push(format!(
                    "{deed} ({header}): {} for {code}:\n{said}",
                    finished.code
                ));
            }
            let word = match deed {
                "read-headers-too-often" => "`read-bytes`",
                deed if deed.contains("echo") => "sent credential `token` back",
                _ => "",
            };
            if !finished.stderr.contains(word) {
                failures.push(format!("{deed} does not say {word}:\n{}", finished.stderr));
            }
            servers.were_asked_for_what_was_granted(deed);
            assert_eq!(sandbox.files(), before, "{deed}");
            Secret::new("token", TOKEN).is_not_in(deed, finished.stderr.as_bytes());
            let control = finished
                .stderr
                .chars()
                .find(|c| c.is_control() && *c != '\n');
            assert_eq!(control, None, "{deed}: {}", finished.stderr);
            assert!(
                finished.stderr.len() < 64 * 1024,
                "{deed} says {}",
                finished.stderr.len()
            );
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// What no module may set, in spellings of its own.
const FORBIDDEN_HEADERS: &[&str] = &[
    "Private-Token",
    "JOB-TOKEN",
    "authorization",
    "Proxy-Authorization",
    "COOKIE",
    "Host",
    "Range",
    "If-Range",
    "Content-Length",
    "Connection",
    "Transfer-Encoding",
    "Upgrade",
    "X-Forwarded-Host",
    "x-amz-security-token",
];

#[test]
fn a_module_that_takes_too_much_ends_at_a_limit() {
    run_section("Taking more than a fetch may");
}

#[test]
fn a_module_reaches_nothing_that_was_not_granted() {
    run_section("Reaching for what is not granted");
}

#[test]
fn a_module_plants_nothing() {
    run_section("Planting");
}

#[test]
fn a_module_does_not_speak_for_the_host() {
    run_section("Lying");
}

#[test]
fn a_module_that_lies_in_its_description_does_not_run() {
    let mut failures = Vec::new();
    for (lie, code) in table("Lying in `describe`") {
        let servers = Servers::with_file("granted\n");
        let sandbox = Sandbox::new().configured(LIMITS);
        let hostile = Hostile::lying(&sandbox, lie);
        let before = sandbox.files();
        let finished = sandbox.run(servers.line(&hostile, &sandbox, "loop"));
        if finished.code != code {
            failures.push(format!(
                "{lie}: {} for {code}:\n{}",
                finished.code, finished.stderr
            ));
        }
        assert_eq!(servers.granted.requests(), [], "{lie}");
        assert_eq!(servers.other.requests(), [], "{lie}");
        assert_eq!(sandbox.files(), before, "{lie}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn a_module_is_granted_nothing_of_what_it_only_asks_for() {
    let servers = Servers::with_file("granted\n");
    let sandbox = Sandbox::new().configured(LIMITS);
    let hostile = Hostile::lying(&sandbox, "greedy");
    for deed in ["other-origin", "metadata", "post", "delete"] {
        let line = servers.line(&hostile, &sandbox, deed);
        let finished = sandbox.run(line).exits(3);
        assert!(
            finished.stderr.contains("hint: "),
            "{deed}: {}",
            finished.stderr
        );
        assert_eq!(servers.other.requests(), [], "{deed}");
        assert_eq!(servers.granted.requests(), [], "{deed}");
    }
}

#[test]
fn how_a_credential_is_sent_is_for_the_user_to_say_not_for_the_module() {
    let servers = Servers::with_file("granted\n");
    let sandbox = Sandbox::new();
    let line = servers
        .line(&Hostile::honest(&sandbox), &sandbox, "token-to-granted")
        .set("--credential", format!("token=env:{TOKEN_VARIABLE}"));
    sandbox.run(line).exits(2).says(["token", "header=X-Token"]);
    assert_eq!(servers.granted.requests(), []);
}

#[test]
fn a_file_other_than_the_one_that_was_named_is_not_run() {
    let servers = Servers::with_file("granted\n");
    let sandbox = Sandbox::new();
    let line = servers.line(&Hostile::honest(&sandbox), &sandbox, "loop");
    // Now another file lies there, under the digest of the first.
    drop(Hostile::lying(&sandbox, "greedy"));
    sandbox
        .run(line)
        .exits(2)
        .says(["SHA-256", "not the module"]);
    assert_eq!(servers.granted.requests(), []);
}

#[test]
fn the_credential_is_sent_where_it_belongs_and_never_along_a_redirect() {
    let servers = Servers::with_file("granted\n");
    let sandbox = Sandbox::new();
    let there = format!("{}/granted/file", servers.other.url());
    servers
        .granted
        .script(Side::Api, "/granted/", Fault::RedirectTo(there), 1);
    let line = servers
        .line(&Hostile::honest(&sandbox), &sandbox, "token-to-granted")
        .with("--allow", servers.other.api_origin());
    sandbox.run(line).exits(4);
    assert_eq!(servers.granted.requests()[0].header("x-token"), Some(TOKEN));
    assert_eq!(servers.other.requests()[0].credentials(), [""; 0]);
}

#[test]
fn a_harmless_deed_of_a_hostile_module_is_emitted_as_any_other() {
    let servers = Servers::with_file("granted\n");
    let sandbox = Sandbox::new();
    let line = servers
        .line(&Hostile::honest(&sandbox), &sandbox, "file-for-tree")
        .set("--hash", sri(&nar_of_file(b"a file\n")));
    sandbox.run(line).exits(0);
}

/// The archive of one plain file, by the format's definition.
fn nar_of_file(content: &[u8]) -> Vec<u8> {
    let mut nar = Vec::new();
    let words: [&[u8]; 7] = [
        b"nix-archive-1",
        b"(",
        b"type",
        b"regular",
        b"contents",
        content,
        b")",
    ];
    for word in words {
        nar.extend((word.len() as u64).to_le_bytes());
        nar.extend(word);
        nar.resize(nar.len().next_multiple_of(8), 0);
    }
    nar
}
