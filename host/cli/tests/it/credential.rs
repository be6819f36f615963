//! `nix-fetchhost credential`, by its front door.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, channel};

use crate::home::{CANARY, Home};

const SET: [&str; 7] = [
    "credential",
    "set",
    "work",
    "--origin",
    "https://gitlab.example.com",
    "--scheme",
    "header:PRIVATE-TOKEN",
];

/// A server that answers each request by what `answer` makes of its head.
fn server(answer: fn(&str) -> &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (heads, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = String::new();
            for line in BufReader::new(&stream).lines() {
                let line = line.unwrap();
                if line.is_empty() {
                    break;
                }
                head.push_str(&line.to_lowercase());
                head.push('\n');
            }
            let answer = answer(&head);
            let _ = write!(
                stream,
                "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let _ = heads.send(head);
        }
    });
    (origin, received)
}

#[test]
fn what_is_set_is_encrypted_and_found_again() {
    let home = Home::new();
    home.typed(&SET, &format!("{CANARY}\n")).succeeds();
    assert!(
        home.files()
            .iter()
            .all(|(_, content)| !String::from_utf8_lossy(content).contains(CANARY)),
        "no file holds the secret in the clear"
    );
    let sealed = home.sealed();
    assert_eq!(sealed.len(), 1);
    for file in [
        &home.config("config.toml"),
        &home.config("identity.txt"),
        &sealed[0],
    ] {
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{}", file.display());
    }
    assert_eq!(
        home.run(&["credential", "list"]).succeeds(),
        format!(
            "work  age:{}  header:PRIVATE-TOKEN  https://gitlab.example.com\n",
            sealed[0].display()
        )
    );
    let tested = home.run(&["credential", "test", "work"]).succeeds();
    assert!(tested.contains("has a secret"), "{tested}");
    // Another secret and origin; the scheme stays.
    let again = ["credential", "set", "work", "--origin", "https://b.example"];
    home.typed(&again, "another").succeeds();
    let listed = home.run(&["credential", "list", "--json"]).succeeds();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["schemaVersion"], 1);
    let row = &listed["credentials"][0];
    assert_eq!(row["scheme"], "header:PRIVATE-TOKEN");
    assert_eq!(row["origins"][0], "https://b.example");
    // Never the new secret under a name that the old configuration knows, nor the old one left behind.
    let again = home.sealed();
    assert_eq!(again.len(), 1);
    assert_ne!(again, sealed);
    assert_eq!(row["source"], format!("age:{}", again[0].display()));
}

#[test]
fn what_a_set_that_was_cut_short_left_behind_goes_with_the_next() {
    let home = Home::new();
    home.typed(&SET, CANARY).succeeds();
    let folder = home.config("credentials");
    for name in [
        "work.age",
        "work.0123456789.age",
        "workshop.0123456789.age",
        "work.txt",
    ] {
        fs::write(folder.join(name), "left behind").unwrap();
    }
    home.typed(&SET, CANARY).succeeds();
    let mut left = home.sealed();
    left.retain(|path| fs::read(path).unwrap() == b"left behind");
    left.sort();
    assert_eq!(
        left,
        [
            folder.join("work.txt"),
            folder.join("workshop.0123456789.age")
        ]
    );
}

#[test]
fn a_client_certificate_is_not_overwritten_and_basic_asks_for_its_user() {
    let home = Home::new();
    let before = "[credential.cert]\nsource = { client-certificate = { certificate = \"c.pem\", key = \"k.pem\" } }\nscheme = \"mtls\"\norigins = [\"https://a.example\"]\n\n[credential.work]\nsource = { netrc = true }\nscheme = \"basic\"\norigins = [\"https://a.example\"]\n";
    home.configure(before);
    let mut set = SET;
    set[2] = "cert";
    let stderr = home.typed(&set, CANARY).fails(2);
    assert!(stderr.contains("is a client certificate"), "{stderr}");
    let stderr = home.typed(&SET[..3], CANARY).fails(2);
    assert!(
        stderr.contains("basic:USER") && !stderr.contains("is new"),
        "{stderr}"
    );
    assert_eq!(home.text(), before);
}

#[test]
fn a_secret_that_cannot_be_sent_changes_nothing() {
    let home = Home::new();
    for secret in ["", "\n", "canary\nX-Evil: 1", "canary\u{7}", " canary"] {
        let stderr = home.typed(&SET, secret).fails(2);
        assert!(stderr.contains("the secret "), "{stderr}");
    }
    assert!(!home.config("config.toml").exists());
    assert!(!home.config("credentials").exists());
}

#[test]
fn a_new_credential_needs_its_origin_and_scheme() {
    let home = Home::new();
    let stderr = home.typed(&SET[..3], CANARY).fails(2);
    assert!(stderr.contains("`--origin`"), "{stderr}");
    let stderr = home.typed(&SET[..5], CANARY).fails(2);
    assert!(stderr.contains("`--scheme`"), "{stderr}");
    for (place, wrong) in [(2, "env"), (4, "https://*.example.com"), (6, "basic")] {
        let mut words = SET;
        words[place] = wrong;
        home.typed(&words, CANARY).fails(2);
    }
}

#[test]
fn a_configuration_that_others_can_write_is_not_edited() {
    let home = Home::new();
    home.configure("# mine\n");
    fs::set_permissions(
        home.config("config.toml"),
        fs::Permissions::from_mode(0o666),
    )
    .unwrap();
    let stderr = home.typed(&SET, CANARY).fails(2);
    assert!(stderr.contains("can be written by others"), "{stderr}");
    assert!(!home.config("credentials").exists());
}

#[test]
fn remove_takes_the_credential_and_its_file_but_not_what_is_in_use() {
    let home = Home::new();
    home.configure("# mine\n");
    home.typed(&SET, CANARY).succeeds();
    let grant = [
        "grant",
        "add",
        "builtin:gitlab",
        "--origin",
        "https://gitlab.example.com",
        "--credential",
        "token=work",
    ];
    home.run(&grant).succeeds();
    let stderr = home.run(&["credential", "remove", "work"]).fails(2);
    assert!(stderr.contains("grant remove"), "{stderr}");
    home.run(&["grant", "remove", "builtin:gitlab"]).succeeds();
    let sealed = home.sealed().remove(0);
    assert_eq!(
        home.run(&["credential", "remove", "work"]).says(),
        format!(
            "removed credential `work` from {}, and {}\n",
            home.config("config.toml").display(),
            sealed.display()
        )
    );
    assert!(home.sealed().is_empty());
    assert_eq!(
        fs::read_to_string(home.config("config.toml"))
            .unwrap()
            .trim(),
        "# mine"
    );
    let stderr = home.run(&["credential", "remove", "work"]).fails(2);
    assert!(stderr.contains("no credential `work`"), "{stderr}");
}

#[test]
fn remove_leaves_files_of_other_making() {
    let home = Home::new();
    home.configure("[credential.work]\nsource = { file = \"token\" }\nscheme = \"bearer\"\norigins = [\"https://a.example\"]\n");
    fs::write(home.config("token"), CANARY).unwrap();
    let said = home.run(&["credential", "remove", "work"]).says();
    assert!(said.contains("its secret stays, in file:"), "{said}");
    assert!(home.config("token").exists());
}

#[test]
fn a_test_sends_the_credential_to_its_own_origins_only() {
    let (origin, heads) = server(|head| {
        if head.contains("private-token: canary-5ecret") {
            "200 OK"
        } else {
            "401 Unauthorized"
        }
    });
    let (elsewhere, stolen) = server(|_| "200 OK");
    let home = Home::new();
    let mut set = SET;
    set[4] = &origin;
    home.typed(&set, CANARY).succeeds();
    let url = format!("{origin}/api/v4/user?private=query");
    let stdout = home.run(&["credential", "test", "work", &url]).succeeds();
    assert!(stdout.contains("/api/v4/user?… answers 200"), "{stdout}");
    assert!(
        heads
            .recv()
            .unwrap()
            .starts_with("head /api/v4/user?private=query")
    );

    let url = format!("{elsewhere}/x?secret-query");
    let stderr = home.run(&["credential", "test", "work", &url]).fails(3);
    assert!(stderr.contains("is not for"), "{stderr}");
    assert!(!stderr.contains("secret-query"), "{stderr}");
    assert!(stolen.try_recv().is_err(), "nobody was asked");

    home.typed(&["credential", "set", "work"], "wrong")
        .succeeds();
    let url = format!("{origin}/");
    let stderr = home.run(&["credential", "test", "work", &url]).fails(1);
    assert!(
        stderr.contains("does not accept credential `work`"),
        "{stderr}"
    );
}

#[test]
fn a_test_follows_no_redirect_to_another_origin() {
    let (origin, _heads) = server(|_| "302 Found\r\nlocation: http://127.0.0.1:1/steal");
    let home = Home::new();
    let mut set = SET;
    set[4] = &origin;
    home.typed(&set, CANARY).succeeds();
    let url = format!("{origin}/");
    let stderr = home.run(&["credential", "test", "work", &url]).fails(3);
    assert!(
        stderr.contains("redirects to `http://127.0.0.1:1`"),
        "{stderr}"
    );
    assert!(!stderr.contains("[[grant]]"), "{stderr}");
}

#[test]
fn a_server_that_knows_no_head_is_asked_with_get() {
    let (origin, _heads) = server(|head| {
        if head.starts_with("head") {
            "405 Method Not Allowed"
        } else {
            "204 No Content"
        }
    });
    let home = Home::new();
    let mut set = SET;
    set[4] = &origin;
    home.typed(&set, CANARY).succeeds();
    let url = format!("{origin}/");
    let stdout = home.run(&["credential", "test", "work", &url]).succeeds();
    assert!(
        stdout.contains("GET") && stdout.contains("answers 204"),
        "{stdout}"
    );
}

#[test]
fn a_source_that_fails_is_told_without_the_secret() {
    let home = Home::new();
    home.configure(&format!(
        "[credential.work]\nsource = {{ command = [\"/bin/sh\", \"-c\", \"echo {CANARY}; echo {CANARY} >&2; exit 1\"] }}\nscheme = \"bearer\"\norigins = [\"https://a.example\"]\n"
    ));
    let stderr = home.run(&["-vv", "credential", "test", "work"]).fails(2);
    assert!(stderr.contains("`/bin/sh` failed"), "{stderr}");
}

#[test]
fn a_netrc_with_the_line_ends_of_another_system_is_read() {
    let home = Home::new();
    let entry = format!("machine a.example\r\nlogin me\r\npassword {CANARY}\r\n");
    fs::write(
        home.config("netrc"),
        format!("macdef init\r\nmachine a.example password wrong\r\n\r\n{entry}"),
    )
    .unwrap();
    home.configure("[credential.work]\nsource = { netrc = \"netrc\" }\nscheme = \"basic\"\norigins = [\"https://a.example\"]\n");
    let tested = home.run(&["credential", "test", "work"]).succeeds();
    assert!(tested.contains("has a secret"), "{tested}");
}

#[test]
fn a_lost_identity_is_told_with_what_it_means() {
    let home = Home::new();
    home.typed(&SET, CANARY).succeeds();
    fs::remove_file(home.config("identity.txt")).unwrap();
    let stderr = home.run(&["credential", "test", "work"]).fails(2);
    for part in [
        "what was encrypted to it cannot be read without it",
        "NIX_FETCHHOST_AGE_IDENTITY",
        "`nix-fetchhost credential set NAME`",
    ] {
        assert!(stderr.contains(part), "{stderr}");
    }
}

#[test]
fn a_typed_source_that_is_missing_is_not_called_a_configured_credential() {
    let home = Home::new();
    let (origin, heads) = server(|_| "200 OK");
    let url = format!("{origin}/x");
    let fetch = |source: &str| {
        let typed = format!("auth={source},bearer");
        let words = [
            "prefetch",
            "http-file",
            "--url",
            &url,
            "--credential",
            &typed,
        ];
        home.run(&words).fails(2)
    };
    let stderr = fetch("age:/nowhere/token.age");
    assert!(
        stderr.contains("correct the source after `--credential`"),
        "{stderr}"
    );
    assert!(!stderr.contains("credential set auth"), "{stderr}");
    let stderr = fetch("env:UNSET");
    assert!(stderr.contains("--credential SLOT=file:PATH"), "{stderr}");
    assert!(heads.try_recv().is_err(), "nobody was asked");
    // Where nothing was typed for it, no flag is named.
    home.configure("[credential.auth]\nsource = { env = \"UNSET\" }\nscheme = \"bearer\"\norigins = [\"https://a.example\"]\n");
    let stderr = home.run(&["credential", "test", "auth"]).fails(2);
    assert!(!stderr.contains("--credential"), "{stderr}");
    assert!(
        stderr.contains("`source` of `[credential.auth]`"),
        "{stderr}"
    );
}

#[test]
fn a_passphrase_is_not_asked_for_where_there_is_no_terminal() {
    let home = Home::new();
    // `age --passphrase` with little work, of nothing that matters.
    let sealed = "age-encryption.org/v1\n-> scrypt c2FsdHNhbHRzYWx0c2FsdA 2\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n0123456789abcdef0123456789abcdef";
    fs::write(home.config("x.age"), sealed).unwrap();
    home.configure("[credential.work]\nsource = { age = \"x.age\" }\nscheme = \"bearer\"\norigins = [\"https://a.example\"]\n");
    let stderr = home.run(&["credential", "test", "work"]).fails(2);
    assert!(stderr.contains("no terminal to ask for it"), "{stderr}");
}
