//! Modules of others' that sign: by a grant alone, and with a memory of their own unless a grant says whose.

use std::fs;

use fetchhost_e2e::{CommandLine, Hostile, signer_component, sri};

use super::user::{CONTENT, OPENSSL_P256, User, grant, have, known, sha256};

/// The component of the built-in signer, as somebody else might build it, with this in a section that nothing reads.
struct Module {
    fetcher: String,
    id: String,
}

impl Module {
    fn new(user: &User, version: &str) -> Self {
        let mut wasm = fs::read(signer_component()).unwrap();
        // https://webassembly.github.io/spec/core/binary/modules.html#custom-section, which components have too.
        let name = b"version";
        let section = [&[name.len() as u8], &name[..], version.as_bytes()].concat();
        wasm.extend([0, section.len() as u8]);
        wasm.extend(section);
        let file = user.write(&format!("signer-{version}.wasm"), &wasm);
        let digest = sha256(&wasm);
        Self {
            fetcher: format!("{}#sha256={digest}", file.display()),
            id: format!("sha256:{digest}"),
        }
    }

    fn line(&self, format: &str) -> CommandLine {
        CommandLine::new(["run", &self.fetcher])
            .with("--key-id", "release")
            .with("--format", format)
            .with("--input", "content=content")
    }
}

#[test]
fn a_module_of_others_signs_by_a_grant_alone() {
    let user = User::with_pkcs8();
    let config = user.config();
    let module = Module::new(&user, "1");
    let lines = |envelope: &str| {
        let named = format!("module = \"{}\"", module.id);
        let keys = format!("keys = {{ release = [\"{envelope}\"] }}");
        ["[[grant]]".to_owned(), named, keys]
    };
    // The whole module is refused, by the first envelope that it declares and the key has.
    let refused = user.refuse(module.line("sshsig"), 3, []);
    let told = lines("sshsig");
    assert!(
        told.iter().all(|line| refused.stderr.contains(line)),
        "{}",
        refused.stderr
    );

    // The lines do what they say, for this envelope and this module.
    user.configure(&format!("{config}\n{}\n", told.join("\n")));
    let signature = user.sign(module.line("sshsig"));
    assert!(signature.starts_with(b"-----BEGIN SSH SIGNATURE-----"));
    user.refuse(module.line("raw"), 3, ["`raw`", "to `keys` of the grant"]);
    let other = Module::new(&user, "2");
    user.refuse(other.line("sshsig"), 3, ["[[grant]]", &other.id]);
    user.configure(&config);
    user.refuse(module.line("sshsig"), 3, ["[[grant]]", &module.id]);
}

#[test]
fn a_module_of_others_signs_approved_contents_where_no_name_is_typed() {
    let user = User::with_minisign();
    let config = user.config();
    let module = Module::new(&user, "1");
    user.write("params.json", r#"{"key-id":"release","format":"minisign"}"#);
    let line = || {
        CommandLine::new(["run", &module.fetcher])
            .with("--params", "params.json")
            .with("--input", "content=content")
    };
    user.refuse(line(), 3, ["[[grant]]", &module.id]);
    let granted = grant(&module.id, "release = [\"minisign\"]", "");
    user.configure(&format!("{config}\n{granted}"));
    let digest = format!("sha256:{}", sha256(CONTENT));
    user.refuse(line(), 3, ["approve --key release", &digest]);
    let approve = CommandLine::new(["approve", "--key", "release", &digest]);
    user.run(approve).exits(0);
    user.sign(line());
}

#[test]
fn another_version_has_the_same_signatures_in_a_common_domain_and_others_without() {
    let test = "another_version_has_the_same_signatures_in_a_common_domain";
    if !have(test, &["openssl"]) {
        return;
    }
    let user = User::new();
    let source = user.openssl_key("k", OPENSSL_P256);
    let public = user.text("k.pub");
    let config = known("release", &source, &["raw"], &public);
    let [first, second] = ["1", "2"].map(|version| Module::new(&user, version));
    let granted = |domain: &str| {
        let modules = [&first.id, &second.id, "builtin:signer"];
        let grants = modules.map(|id| grant(id, "release = [\"raw\"]", domain));
        user.configure(&format!("{config}\n{}", grants.concat()));
    };
    let lines = || [first.line("raw"), second.line("raw"), User::line("raw")];

    granted("domain = \"acme\"");
    let signature = user.sign(first.line("raw"));
    // Each module alone remembers nothing yet, and ECDSA never gives the same twice.
    granted("");
    let own = lines().map(|line| user.sign(line));
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        assert_ne!(own[one], own[other]);
    }
    assert!(!own.contains(&signature));
    granted("domain = \"other\"");
    let other = user.sign(second.line("raw"));
    assert!(other != signature && !own.contains(&other));

    // Without the key all that was said stays said.
    fs::remove_file(user.path("k")).unwrap();
    granted("domain = \"acme\"");
    for line in lines() {
        assert_eq!(user.sign(line), signature);
    }
    granted("domain = \"other\"");
    for line in lines() {
        assert_eq!(user.sign(line), other);
    }
    granted("");
    for (line, own) in lines().into_iter().zip(own) {
        assert_eq!(user.sign(line), own);
    }
    // Which module it was is in the record nevertheless.
    granted("domain = \"acme\"");
    let (to, _) = user.fresh();
    let line = second.line("raw").with("--to", to).flag("--json");
    let result = user.run(line).exits(0).json();
    assert_eq!(result["module"], second.id.as_str());
    assert_eq!(
        format!("sha256:{}", result["moduleDigest"].as_str().unwrap()),
        second.id
    );
    assert_eq!(result["signatures"][0]["remembered"], true);
}

#[test]
fn no_grant_names_the_domain_of_another_module() {
    let user = User::with_minisign();
    let config = user.config();
    let module = Module::new(&user, "1");
    for domain in ["builtin:signer", &module.id, "sha256", "", "a b"] {
        let line = format!("domain = {domain:?}");
        let granted = grant(&module.id, "release = [\"minisign\"]", &line);
        user.configure(&format!("{config}\n{granted}"));
        if user.run(module.line("minisign")).code == 0 {
            panic!("`{domain}` is taken for a domain");
        }
    }
}

/// A hostile fetcher that may sign with the key, but not as `minisign`, which is what it tries.
fn hostile(user: &User) -> String {
    let hostile = Hostile::lying(&user.sandbox, "signer");
    let granted = grant(&hostile.module(), "release = [\"raw\", \"sshsig\"]", "");
    user.configure(&format!("{}\n{granted}", user.config()));
    hostile.fetcher()
}

/// A deed, with a hash that nothing matches: a module that may reach others is not spared it for signing.
fn deed(fetcher: &str, deed: &str) -> CommandLine {
    CommandLine::new(["run", fetcher])
        .with("--deed", deed)
        .with("--hash", sri(b"what no deed makes"))
        .with("--key-id", "release")
        .with("--input", "content=content")
        .with("--input", "missing=content")
}

#[test]
fn a_refusal_cannot_be_hidden() {
    let user = User::with_pkcs8();
    let fetcher = hostile(&user);
    for name in ["hide-refusal", "panic-when-refused", "sign"] {
        user.refuse(deed(&fetcher, name), 3, ["`minisign`", "release"]);
    }
    // Doing without is no crime, and gives what the module says; a signature it is not.
    let (to, path) = user.fresh();
    let line = deed(&fetcher, "hide-refusal-and-succeed").with("--to", to);
    let mismatch = user.run(line.clone()).exits(4).stderr;
    let got = mismatch.split_once("got:").unwrap().1;
    let got = got.split_whitespace().next().unwrap();
    let line = line.set("--hash", got).flag("--json");
    let done = user.run(line).exits(0).json();
    assert_eq!(done["signatures"], serde_json::json!([]));
    assert!(path.exists());
}

#[test]
fn what_a_description_does_not_name_is_not_signed() {
    let user = User::with_pkcs8();
    let fetcher = hostile(&user);
    for name in [
        "undeclared-key",
        "key-by-its-name",
        "key-by-credential-slot",
        "undeclared-envelope",
        "comment-line-break",
        "huge-comment",
        "key-as-credential",
        "undeclared-input",
        "input-by-path",
        "input-out-of-reach",
    ] {
        let (to, path) = user.fresh();
        let refused = user.run(deed(&fetcher, name).with("--to", to));
        assert!(
            [1, 3, 5].contains(&refused.code),
            "{name}: {}",
            refused.stderr
        );
        assert!(!path.exists(), "{name}");
    }
    // A blob of the module's own, in the place of an input.
    user.refuse(deed(&fetcher, "input-of-another-kind"), 5, []);
    user.refuse(deed(&fetcher, "ask-public-key-too-often"), 5, ["requests"]);
}

/// What the module fetches besides has a hash that `prefetch` prints; no new signature is made for it.
#[test]
fn prefetch_makes_no_key_sign() {
    let user = User::with_pkcs8();
    let fetcher = hostile(&user);
    let line = deed(&fetcher, "sign-for-ssh").without("--hash");
    let refused = user.run(line.subcommand("prefetch")).exits(3);
    refused.says(["approve --key release"]);
    let listed = user.run(CommandLine::new(["memo", "list"]).flag("--json"));
    assert_eq!(listed.exits(0).json()["entries"], serde_json::json!([]));
}
