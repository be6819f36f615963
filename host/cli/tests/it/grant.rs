//! `nix-fetchhost grant list|add|remove`, by its front door.

use std::fs;

use crate::home::Home;

const CONFIG: &str = r#"# mine
[credential.work]
source = { env = "T" } # direnv
scheme = "bearer"
origins = ["https://a.example"]

# the first
[[grant]]
module = "builtin:http"
origins = ["https://a.example", "https://b.example"]
"#;

#[test]
fn what_is_added_is_listed_and_keeps_the_comments() {
    let home = Home::new();
    home.configure(CONFIG);
    let words = "grant add builtin:http --origin https://*.c.example --origin https://a.example:8443 --redirect https://cdn.example --method GET --path /x/** --path /y";
    let words: Vec<&str> = words.split(' ').collect();
    home.run(&words).succeeds();
    assert_eq!(
        home.text(),
        format!(
            "{CONFIG}\n[[grant]]\nmodule = \"builtin:http\"\norigins = [\"https://*.c.example\", \"https://a.example:8443\"]\nmethods = [\"GET\"]\npaths = [\"/x/**\", \"/y\"]\nredirects = [\"https://cdn.example\"]\n"
        )
    );
    let listed = home.run(&["grant", "list"]).succeeds();
    for part in [
        "builtin:http at ",
        "origins     https://a.example https://b.example",
        "redirects   https://cdn.example",
        "paths       /x/** /y",
    ] {
        assert!(listed.contains(part), "{listed}");
    }
    let listed = home.run(&["grant", "list", "--json"]).succeeds();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["grants"][1]["methods"][0], "GET");
    assert_eq!(listed["grants"][0]["paths"], serde_json::Value::Null);
    assert_eq!(listed["schemaVersion"], 1);
    assert_eq!(listed["argvConsent"], true);
    assert_eq!(listed["locked"], false);
}

#[test]
fn a_fetchers_name_stands_for_its_module() {
    let home = Home::new();
    let add = ["grant", "add", "http-file", "--origin", "https://a.example"];
    home.run(&add).succeeds();
    assert!(home.text().contains("module = \"builtin:http\""));
}

#[test]
fn a_modules_bare_name_is_answered_with_how_grants_write_it() {
    let add = ["grant", "add", "gitlab", "--origin", "https://a.example"];
    let told = Home::new().run(&add).fails(2);
    assert!(told.contains("`builtin:gitlab`"), "{told}");
}

#[test]
fn the_gateway_itself_is_granted_what_it_asks_other_caches_for() {
    let home = Home::new();
    home.configure(CONFIG);
    let add = |slot: &str| {
        let words = format!(
            "grant add host:substituter --origin https://a.example --path /team/** --credential {slot}=work"
        );
        home.run(&words.split(' ').collect::<Vec<_>>())
    };
    let refused = add("token").fails(2);
    assert!(refused.contains("there are `auth`"), "{refused}");
    add("auth").succeeds();
    let listed = home.run(&["grant", "list"]).succeeds();
    assert!(listed.contains("host:substituter at "), "{listed}");
    let explain = ["grant", "explain", "host:substituter", "https://a.example"];
    let explained = home.run(&explain).succeeds();
    assert!(explained.contains("/team/**"), "{explained}");
    assert!(explained.contains("credential work"), "{explained}");
    let remove = [
        "grant",
        "remove",
        "host:substituter",
        "--origin",
        "https://a.example",
    ];
    home.run(&remove).succeeds();
    assert_eq!(home.text(), CONFIG);
}

#[test]
fn what_asks_for_access_keys_takes_no_grant() {
    let home = Home::new();
    home.configure(CONFIG);
    for part in ["host:sts", "host:sso", "host:imds"] {
        let add = ["grant", "add", part, "--origin", "https://a.example"];
        let explain = ["grant", "explain", part, "https://a.example"];
        for words in [&add[..], &explain] {
            let refused = home.run(words).fails(2);
            assert!(refused.contains("takes no grant"), "{refused}");
        }
    }
    assert_eq!(home.text(), CONFIG);
}

#[test]
fn what_could_not_be_in_force_is_refused_and_nothing_changes() {
    let home = Home::new();
    home.configure(CONFIG);
    let digest = format!("sha256:{}", "ab".repeat(32));
    for (words, message) in [
        (
            vec!["builtin:http", "--origin", "https://a.example"],
            "already granted",
        ),
        (
            vec!["builtin:http", "--origin", "*"],
            "stands for every server",
        ),
        (
            vec!["builtin:gitlb", "--origin", "https://c.example"],
            "there is no module `builtin:gitlb`",
        ),
        (
            vec![
                "builtin:gitlab",
                "--origin",
                "https://a.example",
                "--credential",
                "tokn=work",
            ],
            "has no slot `tokn`\n\nhint: did you mean `token`?",
        ),
        (
            vec![
                "builtin:gitlab",
                "--origin",
                "https://a.example",
                "--credential",
                "token=wrok",
            ],
            "no credential `wrok` is configured\n\nhint: did you mean `work`?",
        ),
        (
            vec![
                "builtin:gitlab",
                "--origin",
                "https://c.example",
                "--credential",
                "token=work",
            ],
            "for none of the origins",
        ),
        (
            vec![
                "builtin:gitlab",
                "--origin",
                "https://a.example",
                "--credential",
                "token=canary-5ecret",
            ],
            "what is to fill slot `token` is no configured credential",
        ),
        (
            vec![
                "builtin:gitlab",
                "--origin",
                "https://c.example",
                "--credential",
                "glpat.canary-5ecret",
            ],
            "`SLOT=NAME`",
        ),
        (
            vec![
                "builtin:gitlab",
                "--origin",
                "https://c.example",
                "--method",
                "get",
            ],
            "`get` is not a method",
        ),
        (
            vec![
                "builtin:gitlab",
                "--origin",
                "https://c.example",
                "--path",
                "x",
            ],
            "does not start with `/`",
        ),
        (
            vec![digest.as_str(), "--origin", "https://c.example"],
            "needs `--path`",
        ),
        (
            vec!["builtin:Bad", "--origin", "https://c.example"],
            "is not a module",
        ),
        (vec!["builtin:http"], "--origin"),
    ] {
        let words: Vec<&str> = ["grant", "add"].into_iter().chain(words).collect();
        let stderr = home.run(&words).fails(2);
        assert!(stderr.contains(message), "{words:?}\n{stderr}");
    }
    assert_eq!(home.text(), CONFIG);
}

#[test]
fn remove_takes_one_origin_or_the_whole_grant() {
    let home = Home::new();
    home.configure(CONFIG);
    let stderr = home
        .run(&[
            "grant",
            "remove",
            "builtin:http",
            "--origin",
            "https://z.example",
        ])
        .fails(2);
    assert!(stderr.contains("no `https://z.example`"), "{stderr}");
    home.run(&[
        "grant",
        "remove",
        "builtin:http",
        "--origin",
        "https://b.example",
    ])
    .succeeds();
    assert_eq!(home.text(), CONFIG.replace(", \"https://b.example\"", ""));
    home.run(&["grant", "remove", "builtin:http"]).succeeds();
    assert!(!home.text().contains("grant") && home.text().contains("# direnv"));
    let stderr = home.run(&["grant", "remove", "builtin:http"]).fails(2);
    assert!(stderr.contains("grants nothing"), "{stderr}");
}

#[test]
fn what_add_and_remove_did_is_told() {
    let home = Home::new();
    home.configure(CONFIG);
    let words = "grant add builtin:gitlab --origin https://a.example --credential token=work --redirect https://cdn.example";
    let words: Vec<&str> = words.split(' ').collect();
    let file = home.config("config.toml");
    let said = "  origins     https://a.example\n  redirects   https://cdn.example\n  credential  token = work\n";
    assert_eq!(
        home.run(&words).says(),
        format!("granted to `builtin:gitlab` in {}\n{said}", file.display())
    );
    // Again: what is there, and how to change it.
    let stderr = home.run(&words).fails(2);
    let place = format!("`https://a.example` at {}:12:1", file.display());
    for part in [
        place.as_str(),
        "nix-fetchhost grant remove builtin:gitlab --origin 'https://a.example'",
        said,
    ] {
        assert!(stderr.contains(part), "{stderr}");
    }
    let remove = ["grant", "remove", "builtin:http", "--origin"];
    let one = home.run(&[&remove[..], &["https://b.example"]].concat());
    assert_eq!(
        one.says(),
        format!(
            "removed from {} what `builtin:http` was granted at https://b.example; https://a.example stays\n",
            file.display()
        )
    );
    assert_eq!(
        home.run(&["grant", "remove", "builtin:gitlab"]).says(),
        format!(
            "removed from {} this grant to `builtin:gitlab`\n{said}",
            file.display()
        )
    );
}

#[test]
fn the_command_that_a_denial_prints_grants_what_was_denied() {
    let home = Home::new();
    fs::write(
        home.path("params.json"),
        r#"{ "url": "https://nobody.invalid/x" }"#,
    )
    .unwrap();
    let params = home.path("params.json");
    let stderr = home
        .run(&[
            "prefetch",
            "http-file",
            "--params",
            params.to_str().unwrap(),
        ])
        .fails(3);
    let command = stderr
        .lines()
        .find_map(|line| line.trim().strip_prefix("nix-fetchhost grant add "))
        .unwrap();
    let script = format!("exec \"$0\" grant add {command}");
    let status = home
        .command("/bin/sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_nix-fetchhost")])
        .status()
        .unwrap();
    assert!(status.success(), "{script}");
    let explained = home
        .run(&["grant", "explain", "http-file", "https://nobody.invalid"])
        .succeeds();
    assert!(explained.contains("granted: "), "{explained}");
}

#[test]
fn what_is_reached_by_redirect_alone_is_not_called_denied() {
    let home = Home::new();
    home.configure("[[grant]]\nmodule = \"builtin:http\"\norigins = [\"https://a.example\"]\nredirects = [\"https://cdn.example\"]\n");
    let explain =
        |fetcher: &str, origin: &str| home.run(&["grant", "explain", fetcher, origin]).succeeds();
    let told = explain("http-file", "https://cdn.example");
    assert!(
        told.contains(
            "reached by redirect: from https://a.example, with GET and HEAD, without credential ("
        ),
        "{told}"
    );
    assert!(
        told.contains("direct requests: none") && !told.contains("denied"),
        "{told}"
    );
    let told = explain("http-file", "https://x.example");
    assert!(
        told.contains("denied: ") && !told.contains("redirect"),
        "{told}"
    );
    // No redirect leads from `https` to `http`.
    home.configure("[[grant]]\nmodule = \"builtin:http\"\norigins = [\"https://a.example\"]\nredirects = [\"http://cdn.example\"]\n");
    let told = explain("http-file", "http://cdn.example");
    assert!(told.contains("denied: "), "{told}");
    // What this program itself knows of GitLab.com.
    let told = explain("gitlab-artifact", "https://storage.googleapis.com");
    assert!(
        told.contains("reached by redirect: from https://gitlab.com")
            && told.contains("(built in)"),
        "{told}"
    );
    assert!(told.contains("the public internet only"), "{told}");
}

#[test]
fn a_module_is_explained_and_inspected_by_its_name_in_grants() {
    let home = Home::new();
    home.configure(CONFIG);
    let told = home
        .run(&["grant", "explain", "builtin:gitlab", "https://gitlab.com"])
        .succeeds();
    for fetcher in ["`gitlab-artifact`", "`gitlab-file`"] {
        let head = format!("https://gitlab.com for fetcher {fetcher} of `builtin:gitlab`");
        assert!(told.contains(&head), "{told}");
    }
    let told = home.run(&["fetcher", "inspect", "builtin:http"]).succeeds();
    assert!(told.contains("http-file: "), "{told}");
    for words in [
        &["grant", "explain", "builtin:htp", "https://a.example"][..],
        &["fetcher", "inspect", "builtin:htp"],
    ] {
        let stderr = home.run(words).fails(2);
        assert!(
            stderr.contains("there is no module `builtin:htp`"),
            "{stderr}"
        );
        assert!(stderr.contains("did you mean `builtin:http`?"), "{stderr}");
    }
    // To run, one fetcher is meant.
    let run = ["prefetch", "builtin:gitlab", "--param", "project=a/b"];
    let stderr = home.run(&run).fails(2);
    assert!(
        stderr.contains("offers several") && !stderr.contains("#sha256"),
        "{stderr}"
    );
}

#[test]
fn several_grants_are_told_apart_by_their_origins() {
    let home = Home::new();
    home.configure(CONFIG);
    home.run(&[
        "grant",
        "add",
        "builtin:http",
        "--origin",
        "https://c.example",
    ])
    .succeeds();
    let stderr = home.run(&["grant", "remove", "builtin:http"]).fails(2);
    assert!(stderr.contains("2 grants"), "{stderr}");
    let words = "grant remove builtin:http --origin https://c.example --origin https://a.example";
    let words: Vec<&str> = words.split(' ').collect();
    home.run(&words).succeeds();
    let text = home.text();
    assert!(
        text.contains("origins = [") && text.contains("https://b.example"),
        "{text}"
    );
    assert!(!text.contains("c.example"), "{text}");
}
