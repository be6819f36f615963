//! Ordinary downloads that a route takes over from Nix.

use fetchhost_e2e::{
    CommandLine, Finished, Nix, Sandbox, Secret, TOKEN, TOKEN_VARIABLE, archive_hash, nix_string,
    sri,
};
use fetchhost_standin::{Config, Delivery, Standin, sample};

use super::{build, files, http_grant, instantiate, lines, needing, realise};

/// nixpkgs' `fetchurl` as far as its attributes go: its builder needs curl, and fails here. `more` is added.
fn fetchurl(name: &str, urls: &[&str], hash: &str, more: &str) -> String {
    let urls: Vec<_> = urls.iter().map(|url| nix_string(url)).collect();
    format!(
        "derivation ({{ name = \"{name}\"; system = \"{}-linux\"; builder = \"/bin/sh\"; \
         args = [ \"-c\" \"echo the builder runs >&2; exit 1\" ]; urls = [ {} ]; outputHashMode = \"flat\"; \
         outputHashAlgo = \"sha256\"; outputHash = \"{hash}\"; postFetch = \"\"; curlOpts = \"\"; \
         curlOptsList = [ ]; executable = false; showURLs = false; downloadToTemp = false; \
         netrcPhase = null; preferLocalBuild = true; impureEnvVars = [ \"https_proxy\" ]; }} // {{ {more} }})",
        std::env::consts::ARCH,
        urls.join(" "),
    )
}

/// Nix's own fetcher.
fn builtin(name: &str, url: &str, hash: &str, more: &str) -> String {
    format!(
        "derivation ({{ name = \"{name}\"; system = \"builtin\"; builder = \"builtin:fetchurl\"; url = {}; \
         outputHashMode = \"flat\"; outputHashAlgo = \"sha256\"; outputHash = \"{hash}\"; }} // {{ {more} }})",
        nix_string(url)
    )
}

fn route(standin: &Standin) -> String {
    format!("[[route]]\nurl = \"{}/**\"\n", standin.api_origin())
}

#[test]
fn private_downloads_start_to_work_unchanged() {
    for nix in Nix::all("private_downloads_start_to_work_unchanged") {
        let config = Config::new(TOKEN).delivery(Delivery::Direct);
        let standin = Standin::start(config).unwrap();
        let api = standin.api_origin();
        let sandbox = nix.sandbox().configured(&format!(
            "{}[credential.work]\nsource = {{ env = \"{TOKEN_VARIABLE}\" }}\nscheme = \"header:PRIVATE-TOKEN\"\n\
             origins = [\"{api}\"]\n[[grant]]\nmodule = \"builtin:http\"\norigins = [\"{api}\"]\n\
             credentials = {{ auth = \"work\" }}\n",
            route(&standin)
        ));
        let url = format!(
            "{}/api/v4/projects/{}/jobs/{}/artifacts",
            standin.url(),
            sample::PROJECT_ID,
            sample::JOB_ID
        );
        let hash = archive_hash();
        let like_nixpkgs = fetchurl("one.zip", &["mirror://gnu/x", &url], &hash, "");
        let of_nix = builtin("two.zip", &url, &hash, "");
        let of_nix_by_its_file = format!(
            "import <nix/fetchurl.nix> {{ name = \"three.zip\"; url = {}; hash = \"{hash}\"; }}",
            nix_string(&url)
        );
        let top = needing("top", &[&like_nixpkgs, &of_nix_by_its_file, &of_nix]);
        // Nix by itself has no token.
        let alone = build(&nix, &top);
        assert_ne!(alone.code, 0);
        standin.take_requests();

        let realised = sandbox.run(realise(&[&instantiate(&nix, &top)])).exits(0);
        assert_eq!(lines(&realised).len(), 3, "{}", realised.stderr);
        for request in standin.take_requests() {
            assert_eq!(request.credentials(), ["private-token"]);
        }
        build(&nix, &top).exits(0);
        assert_eq!(standin.requests(), []);
        let token = Secret::new("token", TOKEN);
        token.is_not_in("stdout", realised.stdout.as_bytes());
        token.is_not_in("stderr", realised.stderr.as_bytes());
        token.is_not_below(&sandbox.path(""));
        token.is_not_below(&nix.path(""));
    }
}

#[test]
fn a_route_grants_nothing() {
    for nix in Nix::all("a_route_grants_nothing") {
        let standin = files(&[("/a", b"a"), ("/b", b"b")]);
        let url = |path: &str| format!("{}{path}", standin.url());
        let top = needing(
            "top",
            &[
                &fetchurl("a", &[&url("/a")], &sri(b"a"), ""),
                &builtin("b", &url("/b"), &sri(b"b"), ""),
            ],
        );
        let drv = instantiate(&nix, &top);
        let denied = |sandbox: &Sandbox, arguments: CommandLine| -> Finished {
            let denied = sandbox.run(arguments).exits(3);
            assert_eq!(standin.requests(), []);
            assert_eq!(denied.stdout, "");
            denied
        };
        let sandbox = nix.sandbox().configured(&route(&standin));
        let finished = denied(&sandbox, realise(&[&drv]));
        // The advice is given once, and not for each output.
        let advice = format!("origins = [\"{}\"]", standin.api_origin());
        let times = finished.stderr.matches(&advice).count();
        assert_eq!(times, 1, "{}", finished.stderr);
        assert!(finished.stderr.contains("2 of 2 outputs failed"));
        denied(&sandbox, realise(&[&drv]).flag("--dry-run"));
        // A grant for other paths is none for these.
        let grant = http_grant(&standin) + "paths = [\"/other/**\"]\n";
        let sandbox = nix.sandbox().configured(&(route(&standin) + &grant));
        denied(&sandbox, realise(&[&drv]));
        // What is there needs none.
        let granted = route(&standin) + &http_grant(&standin);
        nix.sandbox()
            .configured(&granted)
            .run(realise(&[&drv]))
            .exits(0);
        standin.take_requests();
        let sandbox = nix.sandbox().configured(&route(&standin));
        assert_eq!(lines(&sandbox.run(realise(&[&drv])).exits(0)).len(), 2);
        assert_eq!(standin.requests(), []);
    }
}

#[test]
fn what_its_builder_alone_can_make_is_left_to_nix_with_a_note() {
    for nix in Nix::all("what_its_builder_alone_can_make_is_left_to_nix") {
        let standin = files(&[("/a", b"a")]);
        let sandbox = nix
            .sandbox()
            .configured(&(route(&standin) + &http_grant(&standin)));
        let (url, hash) = (format!("{}/a?private", standin.url()), sri(b"a"));
        for (more, part) in [
            ("postFetch = \"mv $out x\";", "`postFetch`"),
            ("curlOpts = \"--data x\";", "`curlOpts`"),
            ("curlOptsList = [ \"-u\" \"a:b\" ];", "`curlOptsList`"),
            ("netrcPhase = \"echo > netrc\";", "`netrcPhase`"),
            ("showURLs = true;", "`showURLs`"),
            (
                "buildCommand = \"curl $url | gunzip > $out\";",
                "`buildCommand`",
            ),
            ("executable = true;", "`executable`"),
            ("outputHashMode = \"recursive\";", "that of a NAR"),
            (
                "__structuredAttrs = true; postFetch = \"x\";",
                "`postFetch`",
            ),
        ] {
            let drv = instantiate(&nix, &fetchurl("left", &[&url], &hash, more));
            let left = sandbox.run(realise(&[&drv])).exits(0);
            assert_eq!(left.stdout, "", "{more}");
            assert!(left.stderr.contains(part), "{more}: {}", left.stderr);
            assert!(left.stderr.contains("is left to Nix"), "{}", left.stderr);
            assert!(!left.stderr.contains("private"), "{}", left.stderr);
            let json = sandbox.run(realise(&[&drv]).flag("--json")).exits(0).json();
            assert_eq!(json["leftToNix"][0]["derivation"], drv.as_str());
        }
        for (more, part) in [
            (
                "unpack = true; outputHashMode = \"recursive\";",
                "that of a NAR",
            ),
            (
                "executable = true; outputHashMode = \"recursive\";",
                "that of a NAR",
            ),
        ] {
            let drv = instantiate(&nix, &builtin("left", &url, &hash, more));
            let left = sandbox.run(realise(&[&drv])).exits(0);
            assert!(left.stderr.contains(part), "{more}: {}", left.stderr);
        }
        // Nothing special in another form, and no route for a URL that is another server's.
        let structured = fetchurl("structured", &[&url], &hash, "__structuredAttrs = true;");
        let drv = instantiate(&nix, &structured);
        assert_eq!(lines(&sandbox.run(realise(&[&drv])).exits(0)).len(), 1);
        assert_eq!(standin.take_requests().len(), 1);
        let authority = standin.api_origin().trim_start_matches("http://");
        for url in [
            format!("http://{authority}@127.0.0.1:1/a"),
            format!("http://user:pass@{authority}/a"),
            format!("http://{authority}.example/a"),
            format!("https://{authority}/a"),
            format!("http://{authority}/x/../a"),
            format!("http://{authority}/%2e%2e/a"),
        ] {
            let drv = instantiate(&nix, &fetchurl("other", &[&url], &hash, ""));
            let other = sandbox.run(realise(&[&drv])).exits(0);
            assert_eq!(other.stdout, "", "{url}");
        }
        assert_eq!(standin.requests(), []);
    }
}

#[test]
fn a_route_names_a_fetcher_that_needs_a_url_alone() {
    for nix in Nix::all("a_route_names_a_fetcher_that_needs_a_url_alone") {
        let standin = files(&[("/a", b"a")]);
        let url = format!("{}/a", standin.url());
        let drv = instantiate(&nix, &fetchurl("a", &[&url], &sri(b"a"), ""));
        for (fetcher, part) in [
            ("gitlab-file", "needs other parameters than `url`"),
            ("nonsense", "the route at"),
        ] {
            let text = format!("{}fetcher = \"{fetcher}\"\n", route(&standin));
            let sandbox = nix.sandbox().configured(&(text + &http_grant(&standin)));
            let finished = sandbox.run(realise(&[&drv])).exits(2);
            assert!(finished.stderr.contains(part), "{}", finished.stderr);
        }
        assert_eq!(standin.requests(), []);
    }
}
