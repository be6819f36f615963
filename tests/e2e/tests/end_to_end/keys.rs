//! `key`, judged by real Nix.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fetchhost_e2e::{CommandLine, Finished, Nix, Sandbox, private_project};

const NAME: &str = "cache.example.com-1";

fn key(sandbox: &Sandbox, words: &[&str]) -> Finished {
    let line = CommandLine::new(["key"]);
    sandbox.run(words.iter().fold(line, |line, word| line.flag(word)))
}

#[test]
fn nix_trusts_what_a_generated_key_signed() {
    for nix in Nix::all("nix_trusts_what_a_generated_key_signed") {
        let (standin, sandbox) = (private_project(), Sandbox::new());
        let file = sandbox.path("keys/secret");
        let file = file.to_str().unwrap();
        let public = key(&sandbox, &["generate", NAME, file]).exits(0).stdout;
        let public = public.trim_end();
        assert!(public.starts_with(&format!("{NAME}:")), "{public}");
        assert_eq!(
            fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let secret = fs::read_to_string(file).unwrap();
        assert_eq!(
            key(&sandbox, &["public", file]).exits(0).stdout.trim_end(),
            public
        );

        // Nix reads the secret key as well, and comes to the same public one.
        let converted = nix
            .command("nix")
            .args(["key", "convert-secret-to-public"])
            .stdin(fs::File::open(file).unwrap())
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&converted.stdout).trim_end(),
            public
        );

        let cache = sandbox.cache(&format!("compression=none&secret-key={file}"));
        let line = CommandLine::tree(&standin).with("--to", cache);
        let path = sandbox.run(line).exits(0).stdout;
        // A content-addressed path is trusted without any signature. Without its address, all hangs on it.
        let folder = sandbox.path("cache");
        for entry in fs::read_dir(&folder).unwrap() {
            let record = entry.unwrap().path();
            if record.extension().is_some_and(|end| end == "narinfo") {
                let text = fs::read_to_string(&record).unwrap();
                let lines = text.lines().filter(|line| !line.starts_with("CA: "));
                let lines: Vec<_> = lines.map(|line| format!("{line}\n")).collect();
                fs::write(&record, lines.concat()).unwrap();
            }
        }
        let store = format!("file://{}", folder.display());
        let verify = |trusted: &str| {
            let arguments = [
                "store",
                "verify",
                "--store",
                &store,
                "--trusted-public-keys",
                trusted,
                path.trim_end(),
            ];
            nix.run("nix", arguments)
        };
        verify(public).exits(0);
        let other = sandbox.path("other");
        let other = key(&sandbox, &["generate", NAME, other.to_str().unwrap()])
            .exits(0)
            .stdout;
        assert_ne!(
            verify(other.trim_end()).code,
            0,
            "another key of the same name"
        );
        assert!(!public.contains(&secret[NAME.len() + 1..NAME.len() + 30]));
    }
}

#[test]
fn a_key_is_never_overwritten_and_what_is_none_is_refused() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("secret");
    let file = file.to_str().unwrap();
    key(&sandbox, &["generate", NAME, file]).exits(0);
    let secret = fs::read(file).unwrap();
    key(&sandbox, &["generate", NAME, file])
        .exits(2)
        .says(["is there already", "name another file"]);
    assert_eq!(fs::read(file).unwrap(), secret);
    let new = sandbox.path("new");
    let new = new.to_str().unwrap();
    for name in ["", "a:b", "a b", "ä"] {
        key(&sandbox, &["generate", name, new])
            .exits(2)
            .says(["name of a key"]);
    }
    fs::write(new, "canary:AAAA").unwrap();
    let refused = key(&sandbox, &["public", new])
        .exits(2)
        .says(["no secret key"]);
    assert!(!refused.stderr.contains("AAAA"));
    key(&sandbox, &["public", "/dev/zero"])
        .exits(2)
        .says(["cannot be read"]);
}
