//! `demo` is what a newcomer runs first.

use std::fs;

use fetchhost_e2e::{CommandLine, Nix, Sandbox};

#[test]
fn the_demo_tells_the_whole_story() {
    let sandbox = Sandbox::new();
    let told = sandbox.run(CommandLine::new(["demo"])).exits(0);
    let text = told.stdout + &told.stderr;
    for part in [
        "PRIVATE-TOKEN",
        "gitlab-artifact",
        "/nix/store/",
        "sha256-",
        "StorePath: ",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    let kept: Vec<_> = fs::read_dir(sandbox.path("tmp"))
        .unwrap()
        .flatten()
        .collect();
    assert_eq!(
        kept.len(),
        1,
        "one folder, for the Nix line to work: {kept:?}"
    );
    assert!(
        text.contains(kept[0].path().to_str().unwrap()),
        "and it is named: {text}"
    );
    for path in fetchhost_e2e::files_below(&sandbox.path("")).keys() {
        assert!(path.starts_with(kept[0].path()), "{path:?}");
    }
}

#[test]
fn nix_takes_what_the_demo_kept() {
    for nix in Nix::all("nix_takes_what_the_demo_kept") {
        let sandbox = Sandbox::new();
        let keep = sandbox.path("kept");
        let line = CommandLine::new(["demo"]).with("--keep", keep.display());
        sandbox.run(line).exits(0);
        let (narinfo, _) = fetchhost_e2e::files_below(&keep)
            .into_iter()
            .find(|(path, _)| path.extension().is_some_and(|end| end == "narinfo"))
            .unwrap();
        let text = fs::read_to_string(&narinfo).unwrap();
        let store_path = text
            .lines()
            .find_map(|line| line.strip_prefix("StorePath: "))
            .unwrap();
        let cache = format!("file://{}", narinfo.parent().unwrap().display());
        nix.run(
            "nix-store",
            ["--realise", store_path, "--option", "substituters", &cache],
        )
        .exits(0);
        assert!(nix.physical(store_path).exists());
    }
}
