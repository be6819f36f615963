//! Secrets that are typed, and programs that print them, when a run is given up meanwhile.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::iter;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::home::{CANARY, Home};

/// What the server serves, and its hash.
const BODY: &str = "hello\n";
const HASH: &str = "sha256-WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=";

/// Longer than any of these tests may take.
const PATIENCE: Duration = Duration::from_secs(60);

const PASSPHRASE: &str = "open sesame";

#[track_caller]
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A server that gives the body to who sends the canary as a bearer token.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let wanted = format!("authorization: Bearer {CANARY}");
            let (status, body) = if head.iter().any(|line| line.eq_ignore_ascii_case(&wanted)) {
                ("200 OK", BODY)
            } else {
                ("401 Unauthorized", "")
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    origin
}

/// A credential `work` with this source, granted to `http-file` for the origin.
fn configure(home: &Home, source: &str, origin: &str) {
    home.configure(&format!(
        "[credential.work]\nsource = {source}\nscheme = \"bearer\"\norigins = [\"{origin}\"]\n\n[[grant]]\nmodule = \"builtin:http\"\norigins = [\"{origin}\"]\ncredentials = {{ auth = \"work\" }}\n"
    ));
}

/// The canary, encrypted with the passphrase and little work.
fn with_passphrase(home: &Home) {
    let mut recipient = age::scrypt::Recipient::new(secrecy::SecretString::from(PASSPHRASE));
    recipient.set_work_factor(2);
    let recipients = iter::once(&recipient as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(recipients).unwrap();
    let mut file = Vec::new();
    let mut writer = encryptor.wrap_output(&mut file).unwrap();
    writer.write_all(CANARY.as_bytes()).unwrap();
    writer.finish().unwrap();
    fs::write(home.config("work.age"), file).unwrap();
}

fn fetch(home: &Home, origin: &str) -> Vec<String> {
    let out = format!("out:{}", home.path("result").display());
    let url = format!("{origin}/file");
    [
        "run",
        "http-file",
        "--url",
        &url,
        "--hash",
        HASH,
        "--to",
        &out,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The program on a terminal of its own, made by `script`.
struct Session<'a> {
    home: &'a Home,
    script: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    /// Reads what is shown, until there is no more.
    reader: Option<JoinHandle<()>>,
}

impl<'a> Session<'a> {
    fn start(home: &'a Home, words: &[String]) -> Self {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let at = |name: &str| home.path(name).display().to_string();
        let line = format!(
            "stty -a > {before}; sh -c 'echo $$ > {pid}; exec \"$@\"' sh {program} {words}; echo $? > {code}; stty -a > {after}",
            before = at("before"),
            pid = at("pid"),
            program = env!("CARGO_BIN_EXE_nix-fetchhost"),
            words = quoted.join(" "),
            code = at("code"),
            after = at("after"),
        );
        let mut script = home
            .command("script")
            .args(["-q", "-c", &line, "/dev/null"])
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let (mut stdout, all) = (script.stdout.take().unwrap(), Arc::clone(&shown));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut bytes) {
                all.lock().unwrap().extend(&bytes[..length]);
            }
        });
        Self {
            home,
            script,
            shown,
            reader: Some(reader),
        }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        wait_for(text, || self.shown().contains(text));
    }

    fn type_line(&mut self, text: &str) {
        let stdin = self.script.stdin.as_mut().unwrap();
        stdin.write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    fn signal(&self, name: &str) {
        let pid = fs::read_to_string(self.home.path("pid")).unwrap();
        let status = Command::new("kill").args(["-s", name, pid.trim()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end, which leaves the terminal as it was, and returns the exit code.
    #[track_caller]
    fn end(mut self) -> (String, String) {
        let after = self.home.path("after");
        wait_for("the end", || {
            fs::read_to_string(&after).is_ok_and(|text| text.ends_with('\n'))
        });
        // It ends with what ran in it; until then something may still be on its way here.
        drop(self.script.stdin.take());
        self.script.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let read = |name: &str| fs::read_to_string(self.home.path(name)).unwrap();
        assert_eq!(read("before"), read("after"), "{}", self.shown());
        let code = read("code").trim().to_owned();
        for name in ["before", "after", "code", "pid"] {
            fs::remove_file(self.home.path(name)).unwrap();
        }
        (code, self.shown())
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

#[test]
fn the_progress_bar_makes_room_for_the_question() {
    let (home, origin) = (Home::new(), server());
    with_passphrase(&home);
    configure(&home, "{ age = \"work.age\" }", &origin);
    let mut session = Session::start(&home, &fetch(&home, &origin));
    session.wait_for("work.age: ");
    // The bar is drawn eight times a second.
    std::thread::sleep(Duration::from_millis(600));
    assert!(
        session.shown().ends_with("work.age: "),
        "{:?}",
        session.shown()
    );
    session.type_line(PASSPHRASE);
    let (code, shown) = session.end();
    assert_eq!(code, "0", "{shown}");
    assert!(
        !shown.contains(PASSPHRASE) && !shown.contains(CANARY),
        "{shown}"
    );
    assert_eq!(fs::read_to_string(home.path("result")).unwrap(), BODY);
}

#[test]
fn the_terminal_is_as_before_when_a_question_is_given_up() {
    let (home, origin) = (Home::new(), server());
    with_passphrase(&home);
    configure(&home, "{ age = \"work.age\" }", &origin);
    let mut timed = fetch(&home, &origin);
    timed.extend(["--timeout", "1s"].map(str::to_owned));
    let session = Session::start(&home, &timed);
    session.wait_for("work.age: ");
    assert_eq!(session.end().0, "1");

    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let test: Vec<String> = words(&["credential", "test", "work"]);
    let set: Vec<String> = words(&["credential", "set", "work", "--scheme", "bearer"]);
    let show: Vec<String> = words(&["key", "show", "release"]);
    home.configure(&format!(
        "{}\n[key.release]\nsource = {{ age = \"{}\" }}\nuse = [\"raw\"]\n",
        home.text(),
        home.config("work.age").display()
    ));
    for (line, question) in [
        (&show, "work.age: "),
        (&fetch(&home, &origin), "work.age: "),
        (&test, "work.age: "),
        (&set, "Secret of work: "),
    ] {
        for (signal, expected) in [("TERM", "143"), ("HUP", "129"), ("INT", "130")] {
            let session = Session::start(&home, line);
            session.wait_for(question);
            session.signal(signal);
            let (code, shown) = session.end();
            assert_eq!(code, expected, "{line:?}: {shown}");
        }
    }
}

#[test]
fn what_is_longer_than_a_terminals_line_is_refused_rather_than_cut() {
    let home = Home::new();
    let words = "credential set work --origin https://a.example --scheme bearer";
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    for (length, expected) in [(4094, "0"), (4095, "2"), (5000, "2")] {
        let mut session = Session::start(&home, &words);
        session.wait_for("Secret of work: ");
        session.type_line(&"a".repeat(length));
        let (code, shown) = session.end();
        assert_eq!(code, expected, "{length}: {shown}");
        assert_eq!(shown.contains("on stdin"), code == "2", "{shown}");
    }
}

/// Whether the process is there and no zombie.
fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_program_goes_with_the_run_that_started_it() {
    let (home, origin) = (Home::new(), server());
    let pids = home.path("pids");
    let script = format!("sleep 61 & echo $$ $! done > {}; wait", pids.display());
    let source = format!("{{ command = [\"/bin/sh\", \"-c\", \"{script}\"] }}");
    configure(&home, &source, &origin);
    for (stop, expected) in [(None, 1), (Some("TERM"), 143), (Some("HUP"), 129)] {
        let mut program = home.command(env!("CARGO_BIN_EXE_nix-fetchhost"));
        program.args(fetch(&home, &origin));
        if stop.is_none() {
            program.args(["--timeout", "1s"]);
        }
        let mut program = program.stderr(Stdio::null()).spawn().unwrap();
        let started = || fs::read_to_string(&pids).unwrap_or_default();
        wait_for("the program", || started().contains("done"));
        let limits = fs::read_to_string(format!("/proc/{}/limits", program.id())).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        assert_eq!(
            core.unwrap().split_whitespace().nth(4),
            Some("0"),
            "{limits}"
        );
        if let Some(signal) = stop {
            let id = program.id().to_string();
            assert!(
                Command::new("kill")
                    .args(["-s", signal, &id])
                    .status()
                    .unwrap()
                    .success()
            );
        }
        assert_eq!(program.wait().unwrap().code(), Some(expected));
        for pid in started().split_whitespace().take(2) {
            wait_for("the end of the program", || !is_running(pid));
        }
        fs::remove_file(&pids).unwrap();
    }
}

#[test]
fn a_program_is_told_nothing_but_what_the_user_set() {
    let (home, origin) = (Home::new(), server());
    let (variables, words) = (home.path("variables"), home.path("words"));
    let script = format!(
        "cat /proc/$$/environ > {}; cat /proc/$$/cmdline > {}; cat {}",
        variables.display(),
        words.display(),
        home.path("token").display()
    );
    fs::write(home.path("token"), CANARY).unwrap();
    configure(
        &home,
        &format!("{{ command = [\"/bin/sh\", \"-c\", \"{script}\"] }}"),
        &origin,
    );
    let words_of_run = fetch(&home, &origin);
    let words_of_run: Vec<&str> = words_of_run.iter().map(String::as_str).collect();
    home.run(&words_of_run).succeeds();
    let list = |path: &Path| -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    };
    assert_eq!(list(&words), ["/bin/sh", "-c", &script]);
    let given = home.command("any");
    let mut given: Vec<String> = given
        .get_envs()
        .map(|(name, value)| format!("{}={}", name.display(), value.unwrap().display()))
        .collect();
    let mut variables = list(&variables);
    variables.sort();
    given.sort();
    assert_eq!(variables, given);
}
