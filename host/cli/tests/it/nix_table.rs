//! `nix/defaults.json`: what Nix expressions know of the first-party fetchers.

use serde_json::{Map, Value, json};

use crate::home::Home;

/// What `nix/fetchhost.nix` needs of one fetcher's description.
fn row(description: &Value) -> Value {
    let properties = description["parameters"]["properties"].as_object().unwrap();
    let rules = description["output"].as_array().unwrap();
    let in_rules = |name: &str| {
        rules.iter().any(|rule| {
            rule["name-from"] == name
                || rule["equals"]
                    .as_object()
                    .is_some_and(|equals| equals.contains_key(name))
        })
    };
    let defaults: Map<String, Value> = properties
        .iter()
        .filter(|(name, _)| in_rules(name))
        .filter_map(|(name, schema)| Some((name.clone(), schema.get("default")?.clone())))
        .collect();
    let names = |member: &str| -> Vec<String> {
        let members = description.get(member).and_then(Value::as_object);
        members.into_iter().flat_map(Map::keys).cloned().collect()
    };
    json!({
        "defaults": defaults,
        "inputs": names("inputs"),
        "output": rules,
        "parameters": properties.keys().collect::<Vec<_>>(),
        "required": description["parameters"].get("required").unwrap_or(&json!([])),
        "signs": !names("keys").is_empty(),
    })
}

#[test]
fn the_table_for_nix_says_what_the_modules_say() {
    let home = Home::new();
    let ask =
        |words: &[&str]| -> Value { serde_json::from_str(&home.run(words).succeeds()).unwrap() };
    let mut table = Map::new();
    for listed in ask(&["fetcher", "list", "--json"]).as_array().unwrap() {
        let name = listed["fetcher"].as_str().unwrap();
        let module = ask(&["fetcher", "inspect", name, "--json"]);
        table.insert(
            name.to_owned(),
            row(&module["description"]["fetchers"][name]),
        );
    }
    let table = serde_json::to_string_pretty(&table).unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../nix/defaults.json");
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        written.trim() == table,
        "nix/defaults.json is out of date; after a wanted change of the modules, write this into it:\n{table}"
    );
}
