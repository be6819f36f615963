//! A denial's own lines and flags, taken at their word.

use fetchhost_policy::describe::FetcherDescription;
use fetchhost_policy::{Consent, Denial, DenialKind, Method};

use crate::*;

const CREDENTIAL: &str = r#"
[credential.work]
source = { env = "T" }
scheme = "bearer"
origins = ["https://a.example.com"]
"#;

fn digest() -> String {
    format!("sha256:{}", "ab".repeat(32))
}

/// A configuration that follows the denial's advice: its lines added, or put
/// in place of the grant that it names (here: the only one).
fn advised(toml: &str, denial: &Denial) -> String {
    let lines = denial.config_lines().unwrap();
    // What is printed, indented, is what parses.
    let hint = denial.hint().unwrap();
    for line in lines.lines() {
        assert!(hint.contains(line), "{hint}");
    }
    if denial.replaces().is_none() {
        return format!("{toml}\n{lines}");
    }
    let start = toml.find("[[grant]]").unwrap();
    assert_eq!(toml.matches("[[grant]]").count(), 1);
    format!("{}\n{lines}", &toml[..start])
}

/// Asks, is denied as `expected`, follows the advice, and asks again.
fn follows_advice(
    module: &str,
    toml: &str,
    method: Method,
    to: &str,
    slot_name: Option<&str>,
    expected: DenialKind,
) {
    let description = gitlab();
    let slot = slot_name.map(slot);
    let ask = |toml: &str, consent: Option<&_>| {
        let broker = try_broker(module, &description, toml, consent).unwrap();
        broker.authorize(method, &url(to), slot.as_ref(), false)
    };
    let denial = ask(toml, None).unwrap_err();
    assert_eq!(denial.kind(), expected, "{denial}");
    assert!(
        denial.flags().is_empty(),
        "without a command line there are no flags: {denial}"
    );
    let advised = advised(toml, &denial);
    ask(&advised, None).unwrap_or_else(|denial| panic!("{denial}\n{advised}"));
}

#[test]
fn the_lines_of_a_denial_allow_what_was_denied() {
    let narrow = "[[grant]]\nmodule = \"builtin:gitlab\"\norigins = [\"https://a.example.com\", \"https://b.example.com\"]\npaths = [\"/api/v4/one/*\"]\nredirects = [\"https://cdn.example.net\"]\n";
    let wildcard = narrow.replace("https://a.example.com\", \"https://b.", "https://*.");
    let with_credential = format!("{CREDENTIAL}{wildcard}credentials = {{ token = \"work\" }}\n");
    let digest = digest();
    for (module, toml, method, to, slot, expected) in [
        (
            GITLAB,
            "",
            Method::Get,
            "https://a.example.com/api/v4/x",
            None,
            DenialKind::Origin,
        ),
        (
            GITLAB,
            "",
            Method::Post,
            "https://a.example.com:8443/api/v4/x",
            None,
            DenialKind::Origin,
        ),
        (
            GITLAB,
            "",
            Method::Get,
            "http://127.0.0.1:8080/api/v4/x",
            None,
            DenialKind::Origin,
        ),
        (
            digest.as_str(),
            "",
            Method::Get,
            "https://a.example.com/api/v4/x",
            None,
            DenialKind::Origin,
        ),
        (
            GITLAB,
            narrow,
            Method::Get,
            "https://a.example.com/api/v4/a%2Fb/x*y/",
            None,
            DenialKind::Path,
        ),
        (
            GITLAB,
            narrow,
            Method::Post,
            "https://b.example.com/api/v4/one/x",
            None,
            DenialKind::Method,
        ),
        (
            GITLAB,
            narrow,
            Method::Post,
            "https://b.example.com/api/v4/two",
            None,
            DenialKind::Method,
        ),
        (
            GITLAB,
            &wildcard,
            Method::Get,
            "https://a.example.com/api/v4/two",
            None,
            DenialKind::Path,
        ),
        (
            GITLAB,
            &with_credential,
            Method::Get,
            "https://c.example.com/api/v4/two",
            None,
            DenialKind::Path,
        ),
        (
            GITLAB,
            &with_credential,
            Method::Get,
            "https://a.example.com/api/v4/two",
            None,
            DenialKind::Path,
        ),
        (
            GITLAB,
            narrow,
            Method::Get,
            "https://a.example.com/api/v4/one/x",
            Some("required"),
            DenialKind::Credential,
        ),
        (
            GITLAB,
            &wildcard,
            Method::Get,
            "https://a.example.com/api/v4/one/x",
            Some("required"),
            DenialKind::Credential,
        ),
    ] {
        follows_advice(module, toml, method, to, slot, expected);
    }
}

#[test]
fn the_lines_keep_what_the_grant_already_said() {
    let toml = format!(
        "{CREDENTIAL}[[grant]]\nmodule = \"builtin:gitlab\"\norigins = [\"https://a.example.com\"]\npaths = [\"/api/v4/one\"]\nredirects = [\"https://cdn.example.net\"]\ncredentials = {{ token = \"work\" }}\n"
    );
    let denial = get(&configured(&toml), "https://a.example.com/api/v4/two").unwrap_err();
    assert_eq!(denial.replaces().unwrap().to_string(), "config.toml:6:1");
    assert_eq!(
        denial.config_lines().unwrap(),
        "[[grant]]\nmodule = \"builtin:gitlab\"\norigins = [\"https://a.example.com\"]\npaths = [\"/api/v4/one\", \"/api/v4/two\"]\nredirects = [\"https://cdn.example.net\"]\ncredentials = { token = \"work\" }\n"
    );
}

#[test]
fn the_flag_of_a_denial_allows_what_was_denied() {
    let narrow = "[[grant]]\nmodule = \"builtin:gitlab\"\norigins = [\"https://a.example.com\"]\npaths = [\"/api/v4/one\"]\n";
    for (toml, to) in [
        ("", "https://x.example/api/v4/x"),
        (narrow, "https://a.example.com/api/v4/two"),
    ] {
        let ask = |allow: &str| {
            let broker =
                try_broker(GITLAB, &gitlab(), toml, Some(&consent("", allow, ""))).unwrap();
            get(&broker, to)
        };
        let denial = ask("").unwrap_err();
        let [flag] = denial.flags() else {
            panic!("{:?}", denial.flags())
        };
        assert!(denial.hint().unwrap().contains(flag.as_str()));
        ask(flag.strip_prefix("--allow ").unwrap()).unwrap();
    }
}

#[test]
fn a_method_with_a_body_has_no_flag() {
    let broker = typed(&consent("https://a.example", "", ""));
    let denial = broker
        .authorize(Method::Post, &url("https://a.example/api/v4/x"), None, true)
        .unwrap_err();
    assert!(denial.flags().is_empty());
    assert!(
        denial
            .config_lines()
            .unwrap()
            .contains("methods = [\"GET\", \"HEAD\", \"POST\"]")
    );
}

#[test]
fn the_credential_flag_of_a_denial_fills_the_slot() {
    for module in [GITLAB.to_owned(), digest()] {
        let ask = |credentials: &str| {
            let consent = consent("https://a.example", "", credentials);
            let broker = try_broker(&module, &gitlab(), "", Some(&consent)).unwrap();
            broker.authorize(
                Method::Get,
                &url("https://a.example/api/v4/x"),
                Some(&slot("required")),
                false,
            )
        };
        let denial = ask("").unwrap_err();
        let [flag] = denial.flags() else {
            panic!("{:?}", denial.flags())
        };
        assert!(
            ask(flag.strip_prefix("--credential ").unwrap())
                .unwrap()
                .credential()
                .is_some()
        );
    }
}

fn redirect_denial(
    description: &FetcherDescription,
    toml: &str,
    consent: Option<&Consent>,
) -> Result<Permit, Denial> {
    let broker = try_broker(GITLAB, description, toml, consent).unwrap();
    let permit = get(&broker, "https://a.example.com/api/v4/x").unwrap();
    follow(
        &broker,
        &permit,
        "https://storage.example.net/bucket/key?sig=s3cret",
    )
}

#[test]
fn a_denied_redirect_names_flag_and_lines_that_allow_it_and_no_query() {
    let toml = "[[grant]]\nmodule = \"builtin:gitlab\"\norigins = [\"https://a.example.com\"]\n";
    let none = consent("", "", "");
    let denial = redirect_denial(&gitlab(), toml, Some(&none)).unwrap_err();
    assert_eq!(denial.flags(), ["--allow https://storage.example.net"]);
    let shown = format!("{denial} {denial:?} {:?}", denial.hint());
    assert!(!shown.contains("s3cret"), "{shown}");
    let allowed = consent("", "https://storage.example.net", "");
    assert!(redirect_denial(&gitlab(), toml, Some(&allowed)).is_ok());
    assert!(redirect_denial(&gitlab(), &advised(toml, &denial), None).is_ok());

    let typed = consent("https://a.example.com", "", "");
    let denial = redirect_denial(&gitlab(), "", Some(&typed)).unwrap_err();
    assert!(redirect_denial(&gitlab(), &advised("", &denial), None).is_ok());
}

#[test]
fn a_denial_reads_as_the_user_will_see_it() {
    let broker = typed(&consent("https://gitlab.example.com", "", ""));
    let permit = get(&broker, "https://gitlab.example.com/api/v4/x").unwrap();
    let denial = follow(&broker, &permit, "https://storage.example.net/x").unwrap_err();
    assert_eq!(
        denial.to_string(),
        "`https://gitlab.example.com` redirects to `https://storage.example.net`, which is not among the redirects granted to `builtin:gitlab`"
    );
    assert_eq!(
        denial.hint().unwrap(),
        "to allow it for this run, add `--allow https://storage.example.net`\n\n\
         to allow it for good, add this to `config.toml`:\n\n  \
         [[grant]]\n  module = \"builtin:gitlab\"\n  origins = [\"https://gitlab.example.com\"]\n  \
         redirects = [\"https://storage.example.net\"]\n\n\
         or let it be written:\n\n  \
         nix-fetchhost grant add builtin:gitlab --origin https://gitlab.example.com --redirect https://storage.example.net"
    );
}

#[test]
fn commands_are_named_where_they_would_do_it() {
    let ask = |toml: &str, to: &str, in_slot: Option<&str>| {
        let slot = in_slot.map(slot);
        let broker = try_broker(&digest(), &gitlab(), toml, None).unwrap();
        let denied = broker.authorize(Method::Post, &url(to), slot.as_ref(), false);
        denied.unwrap_err().commands().to_vec()
    };
    let grant = format!(
        "nix-fetchhost grant add {} --origin https://a.example --method GET --method HEAD --method POST --path '/**/api/v4/**' --path '/**/-/releases/**'",
        digest()
    );
    assert_eq!(
        ask("", "https://a.example/api/v4/x", None),
        [grant.as_str()]
    );
    // A grant that is to be replaced cannot be added.
    let narrow = format!(
        "[[grant]]\nmodule = \"{}\"\norigins = [\"https://a.example\"]\npaths = [\"/api/v4/one\"]\n",
        digest()
    );
    let commands = ask(&narrow, "https://a.example/api/v4/x", None);
    assert!(commands.is_empty(), "{commands:?}");

    let broker = typed(&consent("https://a.example", "", ""));
    let to = url("https://a.example/api/v4/x");
    let denied = broker.authorize(Method::Get, &to, Some(&slot("required")), false);
    let hint = denied.unwrap_err().hint().unwrap();
    let set = hint
        .find("nix-fetchhost credential set required --origin https://a.example --scheme ")
        .unwrap();
    let add = hint
        .find("nix-fetchhost grant add builtin:gitlab --origin https://a.example --credential required=required")
        .unwrap();
    assert!(set < add, "{hint}");
}

#[test]
fn what_nothing_allows_says_so() {
    let broker = typed(&consent("https://a.example", "", ""));
    let denial = get(&broker, "https://a.example/admin").unwrap_err();
    assert_eq!(
        denial.to_string(),
        "fetcher `f` of `builtin:gitlab` asks for path `/admin`, which it does not declare"
    );
    assert!(denial.hint().unwrap().starts_with("no grant allows it"));
    assert!(denial.flags().is_empty() && denial.config_lines().is_none());
}

#[test]
fn an_explanation_says_what_holds_and_by_whose_word() {
    let toml = format!(
        "{CREDENTIAL}[[grant]]\nmodule = \"builtin:gitlab\"\norigins = [\"https://*.example.com\"]\npaths = [\"/api/v4/one\"]\nredirects = [\"https://cdn.example.net\"]\ncredentials = {{ token = \"work\" }}\n"
    );
    let broker = try_broker(
        GITLAB,
        &gitlab(),
        &toml,
        Some(&consent("https://a.example.com", "", "")),
    )
    .unwrap();
    let explanation = broker.explain(&origin("https://a.example.com"));
    assert_eq!(
        explanation.to_string(),
        "https://a.example.com for fetcher `f` of `builtin:gitlab`
  granted: config.toml:6:1, as https://*.example.com
    methods: GET, HEAD
    paths: /api/v4/one, of /**/api/v4/**, /**/-/releases/** that it declares
  granted: the command line
    methods: GET, HEAD
    paths: /**/api/v4/**, /**/-/releases/** (all that it declares)
  slot required: empty
  slot token: credential work from env:T, sent as bearer
  redirects: https://cdn.example.net, without credential (config.toml:6:1)
  addresses: public and private, no cloud metadata
"
    );
    let denied = broker.explain(&origin("https://x.example"));
    assert!(denied.reach.is_empty() && denied.denial.is_some());
    assert!(
        denied.to_string().contains("--allow https://x.example"),
        "{denied}"
    );
}

#[test]
fn an_empty_slot_is_filled_by_the_lines_where_nothing_can_be_typed() {
    let granted = "[[grant]]\nmodule = \"builtin:gitlab\"\norigins = [\"https://a.example.com\"]\nredirects = [\"https://b.example.com\"]\n";
    let origin = "https://a.example.com".parse().unwrap();
    let lines = |toml: &str, consent: Option<&Consent>| {
        let broker = try_broker(GITLAB, &gitlab(), toml, consent).unwrap();
        broker.lines_to_fill(&slot("token"), &origin)
    };
    // A credential that is there for the origin, and no other.
    let other = CREDENTIAL
        .replace("work", "other")
        .replace("a.example", "c.example");
    let text = lines(&format!("{other}{CREDENTIAL}{granted}"), None).unwrap();
    assert!(
        text.contains("credentials = { token = \"work\" }"),
        "{text}"
    );
    assert!(
        text.contains("redirects = [\"https://b.example.com\"]"),
        "{text}"
    );
    assert!(text.contains("in place of the grant at "), "{text}");
    assert!(!text.contains("[credential."), "{text}");
    // Else a new one.
    let text = lines(&format!("{other}{granted}"), None).unwrap();
    assert!(text.contains("[credential.token]"), "{text}");
    assert!(
        text.contains("origins = [\"https://a.example.com\"]"),
        "{text}"
    );
    assert!(
        text.contains("credentials = { token = \"token\" }"),
        "{text}"
    );
    assert!(!text.contains("--credential token=env"), "{text}");

    assert_eq!(lines(granted, Some(&consent("", "", ""))), None);
}
