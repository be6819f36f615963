//! `nix-fetchhost grant list|add|remove`, by its front door.
#![allow(clippy::unwrap_used, missing_docs)]

mod home;

use home::Home;

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
            "has no slot `tokn`",
        ),
        (
            vec![
                "builtin:gitlab",
                "--origin",
                "https://a.example",
                "--credential",
                "token=wrok",
            ],
            "which is not defined",
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
