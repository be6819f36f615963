//! Edits keep what they do not change.

use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

const BEFORE: &str = r#"# My configuration.
allow-metadata = false # never

# --- Credentials ---

# for work
[credential.work]
source = { env = "WORK" } # set by direnv
scheme = "bearer"
origins = ["https://a.example"] # nowhere else

# --- Grants ---

# the first
[[grant]]
module = "builtin:http"
origins = [
    "https://a.example", # main
    "https://b.example",
]
credentials = { auth = "work" }

# the second
[[grant]]
module = "builtin:gitlab"
origins = ["https://gitlab.lan"]

[limits]
fuel = 7 # little
# the end
"#;

struct Home {
    folder: TempDir,
    environment: Environment,
}

impl Home {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("nix-fetchhost");
        fs::DirBuilder::new().mode(0o700).create(&config).unwrap();
        let path = config.join("config.toml");
        if !text.is_empty() {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        let environment = Environment {
            admin_config: folder.path().join("admin.toml"),
            user_config: Some(path),
            ..Environment::read()
        };
        Self {
            folder,
            environment,
        }
    }

    fn path(&self) -> &Path {
        self.environment.user_config.as_deref().unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn edit(&self, change: impl FnOnce(&mut Draft) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut draft = Draft::open(&self.environment)?;
        change(&mut draft)?;
        draft.save()
    }
}

fn spec(name: &str, origin: &str) -> CredentialSpec {
    CredentialSpec {
        name: name.parse().unwrap(),
        source: fetchhost_policy::SourceSpec::Age(format!("credentials/{name}.age").into()),
        scheme: "header:PRIVATE-TOKEN".parse().unwrap(),
        origins: vec![origin.parse().unwrap()],
    }
}

fn grant(origin: &str) -> Grant {
    let text = format!("[[grant]]\nmodule = \"builtin:http\"\norigins = [\"{origin}\"]");
    Config::parse(&text, Path::new("x"))
        .unwrap()
        .grants
        .remove(0)
}

fn origins(texts: &[&str]) -> Vec<OriginPattern> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_new_file_is_for_its_owner_alone() {
    let home = Home::new("");
    home.edit(|draft| draft.put_credential(&spec("new", "https://n.example")))
        .unwrap();
    home.edit(|draft| draft.add_grant(&grant("https://n.example")))
        .unwrap();
    assert_eq!(
        home.text().trim_start(),
        "[credential.new]\nsource = { age = \"credentials/new.age\" }\nscheme = \"header:PRIVATE-TOKEN\"\norigins = [\"https://n.example\"]\n\n[[grant]]\nmodule = \"builtin:http\"\norigins = [\"https://n.example\"]\n"
    );
    let mode = fs::metadata(home.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn additions_stand_behind_their_siblings_and_change_nothing_else() {
    let home = Home::new(BEFORE);
    home.edit(|draft| draft.put_credential(&spec("new", "https://n.example")))
        .unwrap();
    home.edit(|draft| draft.add_grant(&grant("https://n.example")))
        .unwrap();
    let text = home.text();
    let credential = "\n[credential.new]\nsource = { age = \"credentials/new.age\" }\nscheme = \"header:PRIVATE-TOKEN\"\norigins = [\"https://n.example\"]\n";
    let grant = "\n[[grant]]\nmodule = \"builtin:http\"\norigins = [\"https://n.example\"]\n";
    assert_eq!(text.replace(credential, "").replace(grant, ""), BEFORE);
    let place = |needle: &str| text.find(needle).unwrap();
    assert!(
        place("[credential.new]") > place("[credential.work]"),
        "{text}"
    );
    assert!(
        place("[credential.new]") < place("# --- Grants ---"),
        "{text}"
    );
    assert!(
        place("https://n.example\"]\n\n[limits]") > place("the second"),
        "{text}"
    );
}

#[test]
fn a_credential_is_changed_in_its_place_and_keeps_its_comments() {
    let home = Home::new(BEFORE);
    let new = CredentialSpec {
        origins: vec!["https://a.example".parse().unwrap()],
        ..spec("work", "https://a.example")
    };
    home.edit(|draft| draft.put_credential(&new)).unwrap();
    let expected = BEFORE
        .replace("{ env = \"WORK\" }", "{ age = \"credentials/work.age\" }")
        .replace("\"bearer\"", "\"header:PRIVATE-TOKEN\"");
    assert_eq!(home.text(), expected);
}

#[test]
fn what_is_removed_takes_only_its_own_comment_along() {
    let home = Home::new(BEFORE);
    home.edit(|draft| draft.remove_grant(0, &[])).unwrap();
    let text = home.text();
    assert!(
        !text.contains("the first") && !text.contains("b.example"),
        "{text}"
    );
    for kept in ["# --- Grants ---", "# the second\n[[grant]]", "# the end"] {
        assert!(text.contains(kept), "{kept}\n{text}");
    }
    home.edit(|draft| draft.remove_credential(&"work".parse().unwrap()))
        .unwrap();
    home.edit(|draft| draft.remove_grant(0, &[])).unwrap();
    let text = home.text();
    for kept in [
        "# My configuration.",
        "# --- Credentials ---",
        "# --- Grants ---",
        "fuel = 7 # little\n# the end",
    ] {
        assert!(text.contains(kept), "{kept}\n{text}");
    }
    assert!(
        !text.contains("for work") && !text.contains("[[grant]]"),
        "{text}"
    );
    assert_eq!(text.matches("---").count(), 4);
}

#[test]
fn comments_above_the_last_table_are_kept_at_the_end() {
    let home = Home::new(
        "# head\n\n# mine\n[[grant]]\nmodule = \"builtin:http\"\norigins = [\"https://a.example\"]\n",
    );
    home.edit(|draft| draft.remove_grant(0, &[])).unwrap();
    assert_eq!(home.text().trim(), "# head");
}

#[test]
fn one_of_several_origins_is_removed_from_its_list() {
    let home = Home::new(BEFORE);
    home.edit(|draft| draft.remove_grant(0, &origins(&["https://b.example"])))
        .unwrap();
    let text = home.text();
    assert!(
        !text.contains("b.example") && text.contains("# the first"),
        "{text}"
    );
    assert!(text.contains("https://a.example\""), "{text}");
}

#[test]
fn a_change_that_could_not_be_in_force_is_not_made() {
    let home = Home::new(BEFORE);
    for (change, message) in [
        (
            home.edit(|draft| draft.add_grant(&grant("https://a.example"))),
            "already granted",
        ),
        (
            home.edit(|draft| draft.remove_credential(&"work".parse().unwrap())),
            "which is not defined",
        ),
        (
            home.edit(|draft| draft.put_credential(&spec("work", "https://z.example"))),
            "for none of the origins",
        ),
    ] {
        let failure = change.unwrap_err();
        assert!(failure.message.contains(message), "{}", failure.message);
    }
    assert_eq!(home.text(), BEFORE);
    let left: Vec<_> = fs::read_dir(home.path().parent().unwrap())
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "no temporary file is left: {left:?}");
}

#[test]
fn a_file_that_is_not_ours_alone_to_edit_is_left_alone() {
    let home = Home::new(BEFORE);
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o666)).unwrap();
    let failure = Draft::open(&home.environment).unwrap_err();
    assert!(failure.message.contains("can be written by others"));

    let elsewhere = home.folder.path().join("managed.toml");
    fs::rename(home.path(), &elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o644)).unwrap();
    symlink(&elsewhere, home.path()).unwrap();
    let failure = Draft::open(&home.environment).unwrap_err();
    assert!(failure.message.contains("is a link"), "{}", failure.message);

    let locked = Home::new(BEFORE);
    fs::write(&locked.environment.admin_config, "locked = true").unwrap();
    let failure = Draft::open(&locked.environment).unwrap_err();
    assert!(failure.message.contains("locked"), "{}", failure.message);
}

#[test]
fn inline_tables_and_arrays_are_told_to_be_edited_by_hand() {
    let home =
        Home::new("grant = [{ module = \"builtin:http\", origins = [\"https://a.example\"] }]\n");
    for change in [
        home.edit(|draft| draft.add_grant(&grant("https://b.example"))),
        home.edit(|draft| draft.remove_grant(0, &[])),
    ] {
        let failure = change.unwrap_err();
        assert!(failure.hint.unwrap().contains("by hand"));
    }
}

#[test]
fn comments_of_other_elements_outlive_the_removal_of_one() {
    let home = Home::new(BEFORE);
    home.edit(|draft| draft.remove_grant(0, &origins(&["https://b.example"])))
        .unwrap();
    assert_eq!(
        home.text(),
        BEFORE.replace("    \"https://b.example\",\n", "")
    );
    for (array, removed, left) in [
        (
            "[\n  # one\n  \"https://a.example\", # main\n  # two\n  \"https://b.example\", # side\n]",
            "b",
            "[\n  # one\n  \"https://a.example\", # main\n]",
        ),
        (
            "[\n  # one\n  \"https://a.example\", # main\n  # two\n  \"https://b.example\" # side\n]",
            "a",
            "[\n  # two\n  \"https://b.example\" # side\n]",
        ),
        (
            "[\n  \"https://a.example\", # main\n  \"https://b.example\" # side\n]",
            "b",
            "[\n  \"https://a.example\" # main\n]",
        ),
        (
            "[\"https://a.example\", \"https://b.example\"]",
            "a",
            "[\"https://b.example\"]",
        ),
        (
            "[ # all\n  \"https://a.example\", \"https://b.example\", # both\n  # last\n]",
            "a",
            "[ # all\n  \"https://b.example\", # both\n  # last\n]",
        ),
    ] {
        let text = format!("[[grant]]\nmodule = \"builtin:http\"\norigins = {array} # them\n");
        let home = Home::new(&text);
        home.edit(|draft| {
            draft.remove_grant(0, &origins(&[&format!("https://{removed}.example")]))
        })
        .unwrap();
        assert_eq!(home.text(), text.replace(array, left), "{array}");
    }
}

#[test]
fn what_a_new_secret_does_not_change_keeps_its_comments() {
    let text = "[credential.work]\nsource = { env = \"WORK\" } # direnv\nscheme = \"header:PRIVATE-TOKEN\" # theirs\norigins = [\n    \"https://a.example\", # main\n    \"https://b.example\", # side\n]\n";
    let home = Home::new(text);
    let mut both = spec("work", "https://a.example");
    both.origins.push("https://b.example".parse().unwrap());
    home.edit(|draft| draft.put_credential(&both)).unwrap();
    let sealed = text.replace("env = \"WORK\"", "age = \"credentials/work.age\"");
    assert_eq!(home.text(), sealed);
    both.origins[1] = "https://c.example".parse().unwrap();
    home.edit(|draft| draft.put_credential(&both)).unwrap();
    let changed = sealed.replace("\"https://b.example\", # side", "\"https://c.example\",");
    assert_eq!(home.text(), changed);
}
