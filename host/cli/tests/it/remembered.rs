//! What is told of remembered results, and of exports of them.

use std::fs;

use serde_json::json;

use crate::home::Home;

/// What an expression looks up in vain is told as it is typed, and as a terminal may show it.
#[test]
fn the_command_that_would_remember_a_result_can_be_typed() {
    let home = Home::new();
    home.configure(
        "[[grant]]\nmodule = \"builtin:http\"\norigins = [\"https://nobody.invalid\"]\nremember = true\nremember-for = \"1 d\"\n",
    );
    let params = json!({
        "url": "https://nobody.invalid/x",
        "unpack": true,
        "mirror": ["https://one.invalid/\u{1b}[2J", "https://two.invalid/x"],
    });
    let said = home
        .run(&["exec", "http-file", &params.to_string()])
        .fails(3);
    for part in [
        "nix-fetchhost run http-file ",
        " --unpack",
        " --url https://nobody.invalid/x",
        r" --mirror $'https://one.invalid/\033[2J' --mirror https://two.invalid/x",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn what_is_no_export_is_a_matter_of_usage() {
    let home = Home::new();
    let file = home.path("export");
    fs::write(&file, "{}\n").unwrap();
    let said = home
        .run(&["memo", "import", file.to_str().unwrap()])
        .fails(2);
    assert!(said.contains("memo export"), "{said}");
}
