//! Another binary cache, which the gateway serves again to real Nix.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use fetchhost_e2e::{CommandLine, Nix, Sandbox, Secret, is_root};

use super::daemon::Daemon;
use super::serve::Serve;
use super::substituter::listed;
use super::users::{nobodys_gateway, nobodys_home};

const TOKEN: &str = "c4n4ry-of-the-team-cache";
/// Of a path that nobody has.
const HASH: &str = "00000000000000000000000000000000";

/// A path that only its signature vouches for, in a cache of somebody else's.
pub(crate) struct Signed {
    pub(crate) cache: PathBuf,
    pub(crate) path: String,
    pub(crate) public_key: String,
}

impl Signed {
    pub(crate) fn new(nix: &Nix, sandbox: &Sandbox) -> Self {
        let (secret, public) = (sandbox.path("team"), sandbox.path("team.pub"));
        nix.run(
            "nix-store",
            [
                "--generate-binary-cache-key",
                "team-1",
                secret.to_str().unwrap(),
                public.to_str().unwrap(),
            ],
        )
        .exits(0);
        let expression = "derivation { name = \"tool\"; system = builtins.currentSystem; \
             builder = \"/bin/sh\"; args = [ \"-c\" \"echo hello > $out\" ]; }";
        let built = nix.run("nix-build", ["--no-out-link", "--expr", expression]);
        let path = built.exits(0).stdout.trim_end().to_owned();
        let cache = sandbox.path("team-cache");
        let to = format!(
            "file://{}?compression=xz&secret-key={}",
            cache.display(),
            secret.display()
        );
        nix.run("nix", ["copy", "--to", &to, &path]).exits(0);
        Self {
            cache,
            path,
            public_key: fs::read_to_string(public).unwrap().trim_end().to_owned(),
        }
    }

    fn narinfo(&self) -> String {
        format!("/{}.narinfo", &self.path["/nix/store/".len()..][..32])
    }
}

/// The URL of the NAR in a record.
fn nar_of(record: &str) -> String {
    let url = record.lines().find_map(|line| line.strip_prefix("URL: "));
    format!("/{}", url.unwrap_or_else(|| panic!("no URL in {record}")))
}

/// A cache that is served to those who send the token.
struct Private {
    address: SocketAddr,
    /// The paths that were asked for, with the token or without.
    asked: Arc<Mutex<Vec<(String, bool)>>>,
}

impl Private {
    fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (folder, record) = (folder.to_owned(), Arc::clone(&asked));
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (folder, record) = (folder.clone(), Arc::clone(&record));
                std::thread::spawn(move || answer(stream.unwrap(), &folder, &record));
            }
        });
        Self { address, asked }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    fn take(&self) -> Vec<(String, bool)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn configuration(&self, more: &str) -> String {
        let origin = self.origin();
        format!(
            "[gateway]\nupstreams = [\"{origin}/private\"]\n{more}\n\
             [credential.team]\nsource = {{ env = \"TEAM_TOKEN\" }}\nscheme = \"bearer\"\n\
             origins = [\"{origin}\"]\n\
             [[grant]]\nmodule = \"host:substituter\"\norigins = [\"{origin}\"]\n\
             credentials = {{ auth = \"team\" }}\n"
        )
    }
}

/// Answers one request.
fn answer(mut stream: TcpStream, folder: &Path, record: &Mutex<Vec<(String, bool)>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else {
        return;
    };
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let head: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let expected = format!("authorization: Bearer {TOKEN}");
    let is_ours = head.iter().any(|line| line.eq_ignore_ascii_case(&expected));
    record.lock().unwrap().push((path.clone(), is_ours));
    let file = path.strip_prefix("/private/").map(|path| folder.join(path));
    let (status, body) = match file.map(fs::read) {
        _ if !is_ours => ("401 Unauthorized", Vec::new()),
        Some(Ok(bytes)) => ("200 OK", bytes),
        _ => ("404 Not Found", Vec::new()),
    };
    let length = body.len();
    // What begins so is a redirect.
    let (status, more) = match body.strip_prefix(b"REDIRECT ") {
        Some(to) => (
            "302 Found",
            format!("Location: {}\r\n", String::from_utf8_lossy(to)),
        ),
        None => (status, String::new()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
}

/// Another store of the same version.
fn others(test: &str) -> BTreeMap<String, Nix> {
    let keyed = |nix: Nix| (nix.installation.version.clone(), nix);
    Nix::all(test).into_iter().map(keyed).collect()
}

#[test]
fn a_signed_path_of_a_folder_is_substituted() {
    let test = "a_signed_path_of_a_folder_is_substituted";
    let others = others(test);
    for nix in Nix::all(test) {
        let version = &nix.installation.version;
        let sandbox = Sandbox::new().own_cache();
        let signed = Signed::new(&others[version], &sandbox);
        let mut command = sandbox.command();
        let url = format!("file://{}", signed.cache.display());
        command.args(["serve", "--listen", "127.0.0.1:0", "--upstream", &url]);
        let serve = Serve::run(command, &sandbox.path("serve.log"));
        let from = format!("http://{}", serve.address);
        let realise = |key: &str| {
            let arguments = [
                "--realise",
                &signed.path,
                "--option",
                "substituters",
                &from,
                "--option",
                "trusted-public-keys",
                key,
            ];
            nix.run("nix-store", arguments)
        };
        let unknown = signed.public_key.replace("team-1:", "other-1:");
        assert_ne!(realise(&unknown).code, 0, "{version}");
        realise(&signed.public_key).exits(0);
        let built = nix.physical(&signed.path);
        assert_eq!(fs::read_to_string(built).unwrap(), "hello\n", "{version}");
    }
}

#[test]
fn a_daemon_is_served_what_only_the_users_token_opens() {
    let test = "a_daemon_is_served_what_only_the_users_token_opens";
    if !is_root(test) {
        return;
    }
    let others = others(test);
    for nix in Nix::all(test) {
        let version = &nix.installation.version;
        let (home, source) = (nobodys_home(&nix), Sandbox::new());
        let signed = Signed::new(&others[version], &source);
        let private = Private::start(&signed.cache);
        let more = "share-with-local-users = true\ndaemon-peers = \"approved\"";
        let sandbox = Sandbox::new()
            .own_cache()
            .variable("TEAM_TOKEN", TOKEN)
            .configured(&private.configuration(more));
        let serve = nobodys_gateway(&sandbox, &home, "shared");
        let key = format!("trusted-public-keys = {}", signed.public_key);
        let more = format!("{}\n{key}", listed(&serve));
        let daemon = Daemon::beside(&nix, home, &more);
        daemon.realise(&signed.path).exits(0);
        let built = nix.physical(&signed.path);
        assert_eq!(fs::read_to_string(built).unwrap(), "hello\n", "{version}");
        let asked = private.take();
        assert!(asked.len() >= 2, "{asked:?}");
        assert!(asked.iter().all(|(_, with_token)| *with_token), "{asked:?}");

        let secret = Secret::new("token of the cache", TOKEN);
        secret.is_not_below(&nix.path("nix"));
        secret.is_not_below(&nix.path("home"));
        let record = serve.get(&signed.narinfo());
        for target in [
            "/nix-cache-info",
            &signed.narinfo(),
            &nar_of(&record),
            "/metrics",
        ] {
            secret.is_not_in(target, &serve.get_bytes(target));
        }
        secret.is_not_in("what it said", serve.said().as_bytes());
        // A page in somebody's browser gets nothing, and asks nothing.
        private.take();
        let page = format!(
            "{} HTTP/1.1\r\nReferer: http://a.example/\r\nX:",
            signed.narinfo()
        );
        assert!(serve.get(&page).starts_with("HTTP/1.1 403 "));
        assert_eq!(private.take(), []);
    }
}

#[test]
fn without_being_shared_it_is_the_owners_alone() {
    let test = "without_being_shared_it_is_the_owners_alone";
    if !is_root(test) {
        return;
    }
    for nix in Nix::all(test).into_iter().take(1) {
        let (home, sandbox) = (nobodys_home(&nix), Sandbox::new());
        let signed = Signed::new(&nix, &sandbox);
        let private = Private::start(&signed.cache);
        let sandbox = Sandbox::new()
            .own_cache()
            .variable("TEAM_TOKEN", TOKEN)
            .configured(&private.configuration("daemon-peers = \"open\""));
        // Root is not its owner, but may be a daemon.
        let serve = nobodys_gateway(&sandbox, &home, "unshared");
        let answer = serve.get(&signed.narinfo());
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert_eq!(private.take(), [], "nobody asks for those who get nothing");
        let own = Serve::start(&sandbox);
        let answer = own.get(&signed.narinfo());
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let nar = own.get_bytes(&nar_of(&answer));
        assert!(nar.starts_with(b"HTTP/1.1 200 "));
    }
}

#[test]
fn a_cache_that_sends_the_token_back_is_not_believed() {
    let sandbox = Sandbox::new().own_cache();
    let folder = sandbox.path("team-cache");
    fs::create_dir(&folder).unwrap();
    let hash = HASH;
    let record = |more: &str| {
        format!(
            "StorePath: /nix/store/{hash}-tool\nURL: nar\nCompression: none\n\
             NarHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73\nNarSize: 1\n{more}"
        )
    };
    let put = |more: &str| fs::write(folder.join(format!("{hash}.narinfo")), record(more)).unwrap();
    put("");
    fs::write(folder.join("nar"), format!("a page that shows {TOKEN}")).unwrap();
    let private = Private::start(&folder);
    let sandbox = sandbox
        .variable("TEAM_TOKEN", TOKEN)
        .configured(&private.configuration(""));
    let secret = Secret::new("token of the cache", TOKEN);
    for (round, target) in [format!("/{hash}.narinfo"), "nar".to_owned()]
        .iter()
        .enumerate()
    {
        let serve = Serve::start(&sandbox);
        let target = match round {
            0 => {
                put(&format!("X-Debug: {TOKEN}\n"));
                target.clone()
            }
            _ => {
                put("");
                nar_of(&serve.get(&format!("/{hash}.narinfo")))
            }
        };
        let answer = serve.get(&target);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        secret.is_not_in("the answer", answer.as_bytes());
        let said = serve.said();
        assert!(said.contains("sent credential `team` back"), "{said}");
        secret.is_not_in("what it said", said.as_bytes());
    }
}

#[test]
fn a_refused_token_is_told_to_the_owner_and_to_nix_it_is_a_miss() {
    let sandbox = Sandbox::new().own_cache();
    let private = Private::start(&sandbox.path(""));
    let sandbox = sandbox
        .variable("TEAM_TOKEN", "another")
        .configured(&private.configuration(""));
    let serve = Serve::start(&sandbox);
    for _ in 0..3 {
        let answer = serve.get("/00000000000000000000000000000000.narinfo");
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
    let said = serve.said();
    assert_eq!(
        said.matches("credential `team` is not accepted").count(),
        1,
        "{said}"
    );
    assert_eq!(private.take().len(), 1);
}

#[test]
fn a_redirect_is_followed_where_it_is_granted_and_then_without_the_token() {
    let sandbox = Sandbox::new().own_cache();
    let (folder, elsewhere) = (sandbox.path("team-cache"), sandbox.path("elsewhere"));
    for folder in [&folder, &elsewhere] {
        fs::create_dir(folder).unwrap();
    }
    let private = Private::start(&folder);
    let storage = Private::start(&elsewhere);
    let to = format!("REDIRECT {}/private/x", storage.origin());
    fs::write(folder.join(format!("{HASH}.narinfo")), to).unwrap();
    let denied = private.configuration("");
    let granted = denied.replace(
        "credentials = {",
        &format!("redirects = [\"{}\"]\ncredentials = {{", storage.origin()),
    );
    let mut sandbox = sandbox.variable("TEAM_TOKEN", TOKEN);
    for (config, asked) in [
        (&denied, vec![]),
        (&granted, vec![("/private/x".to_owned(), false)]),
    ] {
        sandbox = sandbox.configured(config);
        let serve = Serve::start(&sandbox);
        let answer = serve.get(&format!("/{HASH}.narinfo"));
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert_eq!(storage.take(), asked);
        let said = serve.said();
        let is_told = said.contains("which is not among the redirects granted to");
        assert_eq!(is_told, asked.is_empty(), "{said}");
    }
}

#[test]
fn an_upstream_without_a_grant_is_refused_with_the_lines_that_grant_it() {
    let sandbox = Sandbox::new().own_cache();
    let serve = |url: &str| {
        let line = ["serve", "--listen", "127.0.0.1:0", "--upstream", url];
        sandbox.run(CommandLine::new(line))
    };
    let private = Private::start(&sandbox.path(""));
    let origin = private.origin();
    serve(&format!("{origin}/private")).exits(3).says([
        "`host:substituter` may not reach",
        "[[grant]]",
        "module = \"host:substituter\"",
        &format!("\"{origin}\""),
    ]);
    assert_eq!(private.take(), []);
    for (url, says) in [
        ("s3://bucket?profile=pa55word", "followed by nothing but"),
        ("https://user:pa55word@a.example", "no user name"),
        ("/srv/cache", "file:///DIR"),
    ] {
        let refused = serve(url).exits(2).says(["--upstream", says]);
        assert!(!refused.stderr.contains("pa55word"), "{}", refused.stderr);
    }
}
