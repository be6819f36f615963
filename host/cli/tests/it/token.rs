//! A key that never leaves its token signs a file: SoftHSM, by the program as it is built with the feature `pkcs11`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::home::Home;

const PIN: &str = "canary-4711";

/// Whether these programs are there. In CI a missing one fails the test.
#[expect(clippy::print_stderr, reason = "what is skipped is said by name")]
fn have(programs: &[&str]) -> bool {
    let is_missing = |program: &&&str| Command::new(program).arg("--help").output().is_err();
    let Some(missing) = programs.iter().find(is_missing) else {
        return true;
    };
    assert!(std::env::var_os("CI").is_none(), "there is no {missing}");
    eprintln!("skipped: a_key_on_a_token_signs_what_openssl_verifies: there is no {missing}");
    false
}

fn succeed(program: &str, arguments: &[&str], configuration: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("SOFTHSM2_CONF", configuration)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_key_on_a_token_signs_what_openssl_verifies() {
    let library = PathBuf::from("/usr/lib/softhsm/libsofthsm2.so");
    if !have(&["softhsm2-util", "pkcs11-tool", "openssl"]) || !library.is_file() {
        return;
    }
    let home = Home::new();
    let place = |name: &str| home.path(name).display().to_string();
    fs::create_dir(home.path("tokens")).unwrap();
    let configuration = home.path("softhsm.conf");
    fs::write(
        &configuration,
        format!("directories.tokendir = {}\n", place("tokens")),
    )
    .unwrap();
    let run = |program: &str, arguments: &[&str]| succeed(program, arguments, &configuration);
    let token = [
        "--init-token",
        "--free",
        "--label",
        "ours",
        "--so-pin",
        "0000",
        "--pin",
        PIN,
    ];
    run("softhsm2-util", &token);
    let module = [
        "--module",
        library.to_str().unwrap(),
        "--token-label",
        "ours",
    ];
    let login = ["--login", "--pin", PIN];
    let make = [
        "--keypairgen",
        "--key-type",
        "EC:prime256v1",
        "--label",
        "firmware",
        "--id",
        "01",
    ];
    run(
        "pkcs11-tool",
        &[&module[..], &login, &make, &["--usage-sign"]].concat(),
    );

    home.configure(&format!(
        "[key.token]\nsource = {{ pkcs11 = \"{}\", token = \"ours\", key = \"firmware\" }}\n\
         use = [\"raw\"]\npin = {{ env = \"TOKEN_PIN\" }}\n",
        library.display()
    ));
    fs::write(home.path("image"), "firmware 1.2.3\n").unwrap();
    let sign = |pin: Option<&str>, to: &str| {
        let mut command = home.program();
        command.env("SOFTHSM2_CONF", &configuration);
        command.envs(pin.map(|pin| ("TOKEN_PIN", pin)));
        let words = [
            "run", "signer", "--key-id", "token", "--format", "raw", "--input",
        ];
        command.args(words);
        command.arg(format!("content={}", place("image")));
        command
            .args(["--to", &format!("out:{}", place(to))])
            .output()
            .unwrap()
    };
    // The wrong PIN, and none: usage, and nothing of it is shown.
    for pin in [Some("canary-0000"), None] {
        let refused = sign(pin, "signature");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(
            said.contains("key `token`") && !said.contains("canary"),
            "{said}"
        );
        assert!(!home.path("signature").exists());
    }
    let signed = sign(Some(PIN), "signature");
    assert!(
        signed.status.success(),
        "{}",
        String::from_utf8_lossy(&signed.stderr)
    );

    let mut show = home.program();
    show.env("SOFTHSM2_CONF", &configuration)
        .args(["key", "show", "token"]);
    let shown = String::from_utf8(show.output().unwrap().stdout).unwrap();
    let pem = &shown[shown.find("-----BEGIN").unwrap()..];
    fs::write(home.path("public"), pem).unwrap();
    let verify = |content: &str| {
        let (public, signature, content) = (place("public"), place("signature"), place(content));
        let words = [
            "dgst",
            "-sha256",
            "-verify",
            &public,
            "-signature",
            &signature,
            &content,
        ];
        Command::new("openssl")
            .args(words)
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(verify("image"));
    fs::write(home.path("other"), "firmware 1.2.4\n").unwrap();
    assert!(!verify("other"));

    // ECDSA differs each time; what is remembered does not, and needs no PIN.
    let again = sign(None, "again");
    assert!(
        again.status.success(),
        "{}",
        String::from_utf8_lossy(&again.stderr)
    );
    let read = |name: &str| fs::read(home.path(name)).unwrap();
    assert_eq!(read("again"), read("signature"));
    // The key is still on the token alone.
    let listed = run(
        "pkcs11-tool",
        &[&module[..], &login, &["--list-objects"]].concat(),
    );
    assert!(listed.contains("never extractable"), "{listed}");
}
