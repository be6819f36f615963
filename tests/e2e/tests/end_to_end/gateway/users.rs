//! Users: the gateway belongs to one that is not root; builds are his own, or arrive through a daemon.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use fetchhost_e2e::{Finished, Nix, Sandbox, is_root, member_content, private_project, say, sri};
use fetchhost_standin::Standin;

use super::daemon::Daemon;
use super::serve::{Serve, configuration};
use super::{member, tree};

pub(crate) const NOBODY: u32 = 65534;
/// Another user of the machine, who has nothing to do with the gateway: `daemon`, since Nix wants one that has a
/// name, and nothing of whom is used but the number.
pub(crate) const OTHER: u32 = 1;

/// Builds as an unprivileged user.
pub(super) fn build(nix: &Nix, user: u32, home: &Path, remote: &str, expression: &str) -> Finished {
    let arguments = [
        "--no-out-link",
        "--option",
        "pure-eval",
        "true",
        "--option",
        "sandbox",
        "true",
        "--expr",
        expression,
    ];
    run(nix, user, home, remote, "nix-build", arguments)
}

/// Runs one of Nix's programs as an unprivileged user.
pub(super) fn run<const N: usize>(
    nix: &Nix,
    user: u32,
    home: &Path,
    remote: &str,
    program: &str,
    arguments: [&str; N],
) -> Finished {
    let mut command = as_user(user, home);
    environment(nix, &mut command);
    let folder = nix.installation.folder.as_ref();
    command.arg(folder.map_or_else(|| program.into(), |folder| folder.join(program)));
    let output = command
        .args(arguments)
        .env("HOME", home)
        .env("TMPDIR", home)
        .env("NIX_REMOTE", remote)
        .output()
        .unwrap();
    Finished::new(&output)
}

/// The home of the user whose gateway it is.
pub(super) fn nobodys_home(nix: &Nix) -> PathBuf {
    users_home(nix, NOBODY)
}

/// A folder of an unprivileged user's own.
pub(crate) fn users_home(nix: &Nix, user: u32) -> PathBuf {
    let home = nix.path(&format!("home-of-{user}"));
    fs::create_dir(&home).unwrap();
    chown(&home, Some(user), Some(user)).unwrap();
    home
}

pub(super) fn environment(nix: &Nix, command: &mut Command) {
    command
        .env_clear()
        .env("PATH", nix.installation.search_path())
        .env("TMPDIR", nix.path("tmp"))
        .env("NIX_CONF_DIR", nix.path("conf"))
        .env("NIX_USER_CONF_FILES", "/dev/null")
        .env("NIX_PATH", "")
        // Users of builds are allocated here, whatever the store is.
        .env("NIX_STATE_DIR", nix.path("state"))
        .env("NIX_DAEMON_SOCKET_PATH", nix.path("sock"));
}

/// `setpriv`, to be followed by what an unprivileged user runs.
fn as_user(user: u32, home: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg("--clear-groups")
        .arg(format!("--reuid={user}"))
        .arg(format!("--regid={user}"))
        .current_dir(home);
    command
}

/// A gateway of the unprivileged user's own.
pub(crate) fn nobodys_gateway(sandbox: &Sandbox, home: &Path, name: &str) -> Serve {
    let mut command = nobodys_program(sandbox, home, name);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    Serve::run(command, &sandbox.path(&format!("{name}.log")))
}

/// The program as the unprivileged user runs it, with what the sandbox's configuration says.
pub(crate) fn nobodys_program(sandbox: &Sandbox, home: &Path, name: &str) -> Command {
    // The folder that it was built in need not be open to others.
    let home = home.join(name);
    fs::create_dir_all(&home).unwrap();
    let program = home.join("nix-fetchhost");
    if !program.exists() {
        nobodys_folders(sandbox, &home, &program);
    }
    let mut command = as_user(NOBODY, &home);
    command.arg(&program).env_clear();
    for (name, value) in sandbox.command().get_envs() {
        command.env(name, value.unwrap());
    }
    command
        .env("HOME", &home)
        .env("TMPDIR", &home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_CACHE_HOME", home.join("cache-home"));
    command
}

fn nobodys_folders(sandbox: &Sandbox, home: &Path, program: &Path) {
    fs::copy(sandbox.command().get_program(), program).unwrap();
    for folder in ["config", "cache-home"] {
        let copied = Command::new("cp")
            .arg("-r")
            .arg(sandbox.path(folder))
            .arg(home.join(folder))
            .status();
        assert!(copied.unwrap().success());
    }
    let given = Command::new("chown")
        .args(["-R", &format!("{NOBODY}:{NOBODY}")])
        .arg(home)
        .status();
    assert!(given.unwrap().success());
}

pub(super) fn configured(standin: &Standin, rule: &str) -> Sandbox {
    let rule = format!("[gateway]\ndaemon-peers = \"{rule}\"");
    Sandbox::new()
        .own_cache()
        .configured(&configuration(standin, &rule))
}

#[test]
fn an_untrusted_users_builds_are_served_where_the_rule_is_open() {
    let test = "an_untrusted_users_builds_are_served";
    if !is_root(test) {
        return;
    }
    for nix in Nix::all(test) {
        let daemon = Daemon::start(&nix);
        let standin = private_project();
        let hash = sri(member_content().as_bytes());
        let sandbox = configured(&standin, "open");
        let serve = nobodys_gateway(&sandbox, &daemon.home, "open");
        for fetch in [member(&standin, &hash), tree(&standin)] {
            let built = daemon.build(&serve.derivation(&fetch)).exits(0);
            nix.run("nix-store", ["--verify-path", built.stdout.trim_end()])
                .exits(0);
        }
        assert!(serve.said().contains("for a build of the Nix daemon"));

        // What failed is told to nobody but the owner.
        let wrong = daemon.build(&serve.derivation(&member(&standin, &sri(b"guess"))));
        assert_ne!(wrong.code, 0);
        assert!(!wrong.stderr.contains(&hash), "{}", wrong.stderr);
        let ticket = serve.ticket("`manual.txt` for a build of the Nix daemon failed");
        assert!(serve.said().contains(&hash), "{}", serve.said());
        assert!(
            serve.said().contains(&ticket) && ticket.len() == 10,
            "{ticket}"
        );
    }
}

#[test]
fn an_untrusted_users_builds_get_what_is_approved_and_nothing_else() {
    let test = "an_untrusted_users_builds_get_what_is_approved";
    if !is_root(test) {
        return;
    }
    for nix in Nix::all(test) {
        let daemon = Daemon::start(&nix);
        let standin = private_project();
        let hash = sri(member_content().as_bytes());
        let sandbox = configured(&standin, "approved");
        let serve = nobodys_gateway(&sandbox, &daemon.home, "approved");
        let expression = serve.derivation(&member(&standin, &hash));
        let refused = daemon.build(&expression);
        assert_ne!(refused.code, 0);
        assert!(!refused.stderr.contains("approve"), "{}", refused.stderr);
        assert!(
            serve.said().contains("nix-fetchhost approve"),
            "{}",
            serve.said()
        );
        assert_eq!(standin.requests(), []);

        let lock = |arguments: &[&str]| {
            let mut command = nobodys_program(&sandbox, &daemon.home, "approved");
            Finished::new(&command.args(arguments).output().unwrap()).exits(0)
        };
        let folder = daemon.home.join("approved");
        let (wishes, locked) = (
            folder.join("fetches.toml"),
            folder.join("fetches.lock.json"),
        );
        let text = crate::lock::TWO.replace("URL", &standin.url());
        fs::write(&wishes, text).unwrap();
        lock(&["lock", "--file", wishes.to_str().unwrap()]);
        assert!(
            daemon.build(&expression).code != 0,
            "locked is not approved"
        );
        lock(&["approve", locked.to_str().unwrap()]);
        standin.take_requests();

        let built = daemon.build(&expression).exits(0);
        nix.run("nix-store", ["--verify-path", built.stdout.trim_end()])
            .exits(0);
        daemon.build(&serve.derivation(&tree(&standin))).exits(0);
        let mut other = member(&standin, &hash);
        other.name = "other.txt";
        assert_ne!(daemon.build(&serve.derivation(&other)).code, 0);
    }
}

#[test]
fn an_unprivileged_users_own_builds_are_served_whatever_the_rule_is() {
    let test = "an_unprivileged_users_own_builds_are_served";
    if !is_root(test) {
        return;
    }
    for nix in Nix::all(test) {
        let home = users_home(&nix, NOBODY);
        let standin = private_project();
        let hash = sri(member_content().as_bytes());
        let sandbox = configured(&standin, "none");
        let serve = nobodys_gateway(&sandbox, &home, "own");
        let remote = format!("local?root={}", home.join("root").display());
        let expression = serve.derivation(&member(&standin, &hash));
        build(&nix, NOBODY, &home, &remote, &expression).exits(0);
        assert!(serve.said().contains("for you fetched"), "{}", serve.said());

        // Root is another user, whose builds are those of a daemon.
        let refused = nix.run("nix-build", ["--no-out-link", "--expr", &expression]);
        assert_ne!(refused.code, 0, "{}", nix.installation.version);
    }
}

/// A fixed output that a shell fetches from the gateway, as anybody's expression may say.
fn by_a_shell(url: &str, hash: &str) -> String {
    format!(
        "derivation {{ name = \"manual.txt\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; \
         args = [ \"-c\" \"wget -q -O $out '{url}'\" ]; \
         outputHashMode = \"flat\"; outputHashAlgo = \"sha256\"; outputHash = \"{hash}\"; }}"
    )
}

/// What a daemon is told so that builds have users of their own; none where this Nix cannot.
fn own_build_users(nix: &Nix) -> Option<&'static str> {
    let knows = nix
        .run("nix", ["show-config"])
        .stdout
        .contains("auto-allocate-uids")
        || nix
            .run("nix", ["config", "show"])
            .stdout
            .contains("auto-allocate-uids");
    knows.then_some("extra-experimental-features = auto-allocate-uids\nauto-allocate-uids = true\n")
}

#[test]
fn another_users_shell_gets_no_more_through_a_daemon_than_the_rule_says() {
    let test = "another_users_shell_gets_no_more";
    if !is_root(test) {
        return;
    }
    for nix in Nix::all(test) {
        let version = &nix.installation.version;
        let more = own_build_users(&nix);
        if more.is_none() {
            say(&format!("{test}: {version} allocates no users for builds"));
        }
        let daemon = Daemon::configured(&nix, more.unwrap_or_default());
        let other = users_home(&nix, OTHER);
        let standin = private_project();
        let hash = sri(member_content().as_bytes());
        for (rule, is_served) in [("none", false), ("approved", false), ("open", true)] {
            let sandbox = configured(&standin, rule);
            let serve = nobodys_gateway(&sandbox, &daemon.home, rule);
            let url = serve.url(&member(&standin, &hash));
            let built = daemon.build_as(OTHER, &other, &by_a_shell(&url, &hash));
            assert_eq!(
                built.code == 0,
                is_served,
                "{version}, {rule}: {}",
                built.stderr
            );
            assert_eq!(
                standin.requests().is_empty(),
                !is_served,
                "{version}, {rule}"
            );
            let said = serve.said();
            assert_eq!(
                said.contains("for a build of the Nix daemon fetched"),
                is_served,
                "{said}"
            );
        }
    }
}

#[test]
fn another_users_own_builds_get_nothing_whatever_the_rule_is() {
    let test = "another_users_own_builds_get_nothing";
    if !is_root(test) {
        return;
    }
    for nix in Nix::all(test) {
        let (home, other) = (users_home(&nix, NOBODY), users_home(&nix, OTHER));
        let standin = private_project();
        let hash = sri(member_content().as_bytes());
        let sandbox = configured(&standin, "open");
        let serve = nobodys_gateway(&sandbox, &home, "others");
        let remote = format!("local?root={}", other.join("root").display());
        let expression = serve.derivation(&member(&standin, &hash));
        let refused = build(&nix, OTHER, &other, &remote, &expression);
        assert_ne!(refused.code, 0, "{}", nix.installation.version);
        assert!(refused.stderr.contains("403"), "{}", refused.stderr);
        assert_eq!(standin.requests(), []);
    }
}
