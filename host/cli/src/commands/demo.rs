//! `nix-fetchhost demo`
//!
//! Runs this program's own commands against a stand-in for GitLab on loopback and shows what went where.
//! Nothing is simulated but the server: what is shown is what the commands printed and what arrived.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fetchhost_standin::{Config, Request, Side, Standin, sample};

use crate::args::DemoArgs;
use crate::catalog;
use crate::commands::fetcher::inspect;
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::Printer;

/// The variable that hands the token to the child, as a user's shell would.
const TOKEN_VARIABLE: &str = "DEMO_GITLAB_TOKEN";
const FETCHER: &str = "gitlab-artifact";
/// A hash that the artifact does not have: SHA-256 of nothing.
const WRONG_HASH: &str = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/// Shows the whole story on this machine.
pub(crate) async fn demo(context: &Context, args: &DemoArgs) -> Result<(), Failure> {
    let printer = context.printer;
    let folder = folder(args)?;
    let token = format!("glpat-{}", random_word()?);
    let standin =
        Standin::start(Config::new(&token)).map_err(|error| unexpected("the stand-in", &error))?;
    let stage = Stage::new(printer, &standin, &folder, token)?;

    stage.scene("The stage")?;
    printer.result(&format!(
        "A stand-in for GitLab listens on {}. It demands a token and answers with a redirect to\n\
         {}, which plays object storage and answers 400 to whatever carries a credential.",
        standin.api_origin(),
        standin.storage_origin()
    ))?;

    stage.scene("What the module asks for (it grants nothing)")?;
    let selected = catalog::select(&context.engine()?, FETCHER).await?;
    printer.result(inspect::fetcher_text(FETCHER, selected.description()?).trim_end())?;

    stage.scene("What is granted: what is typed, for this one run")?;
    printer.result(&format!(
        "--url {url}          the origin may be asked, because it is typed\n\
         --credential token=env:{TOKEN_VARIABLE}   bound to that origin and to no other\n\
         --allow {storage}        may be reached by redirect, never with a credential",
        url = standin.url(),
        storage = standin.storage_origin(),
    ))?;

    stage.scene("Prefetch: what is the hash?")?;
    let prefetched = stage.run("prefetch", &[])?;
    let text = stage.expect(&prefetched, ExitStatus::Success)?;
    printer.result(text.trim_end())?;
    let (hash, expression) = text
        .split_once("\n\n")
        .ok_or_else(|| Failure::usage("`prefetch` printed no expression"))?;
    standin.take_requests();

    stage.scene("Run: fetch, verify, and write a binary cache and a folder")?;
    let cache = folder.join("cache");
    let to_cache = format!("file://{}", cache.display());
    let to_folder = format!("out:{}", folder.join("result").display());
    let run = stage.run(
        "run",
        &["--hash", hash, "--to", &to_cache, "--to", &to_folder],
    )?;
    let store_path = stage
        .expect(&run, ExitStatus::Success)?
        .trim_end()
        .to_owned();
    printer.result(&store_path)?;

    stage.scene("Where the credential went, and where not")?;
    for request in standin.take_requests() {
        printer.result(&arrival(&standin, &request))?;
    }

    stage.scene("The narinfo that was written last")?;
    let narinfo = narinfo(&cache, &store_path)?;
    printer.result(narinfo.trim_end())?;

    stage.scene("The same again: nothing is asked, the cache holds it")?;
    let again = stage.run("run", &["--hash", hash, "--to", &to_cache])?;
    stage.expect(&again, ExitStatus::Success)?;
    printer.result(&format!(
        "{} requests arrived; stderr said: {}",
        standin.take_requests().len(),
        String::from_utf8_lossy(&again.stderr).trim_end()
    ))?;

    stage.scene("A wrong hash: exit 4, and nothing is emitted")?;
    let nowhere = folder.join("nowhere");
    let to_nowhere = format!("out:{}", nowhere.display());
    let wrong = stage.run("run", &["--hash", WRONG_HASH, "--to", &to_nowhere])?;
    stage.expect(&wrong, ExitStatus::HashMismatch)?;
    printer.result(String::from_utf8_lossy(&wrong.stderr).trim_end())?;
    if nowhere.exists() {
        return Err(Failure::usage(format!(
            "`{}` exists although the hash was wrong",
            nowhere.display()
        )));
    }

    stage.scene("Use it in Nix: substituted unsigned, because it is content-addressed")?;
    let file = folder.join("engine.nix");
    std::fs::write(&file, format!("{expression}\n"))
        .map_err(|error| unexpected("the expression", &error))?;
    printer.result(&format!(
        "nix-build {} --no-out-link --option substituters {to_cache}\n\n\
         Everything lies in {}; remove it when you are done.",
        file.display(),
        folder.display()
    ))
}

/// What every scene of the demo needs.
struct Stage<'a> {
    printer: Printer,
    standin: &'a Standin,
    executable: PathBuf,
    empty_config: PathBuf,
    token: String,
}

impl<'a> Stage<'a> {
    fn new(
        printer: Printer,
        standin: &'a Standin,
        folder: &Path,
        token: String,
    ) -> Result<Self, Failure> {
        let executable = std::env::current_exe()
            .map_err(|error| unexpected("this program's own file", &error))?;
        let empty_config = folder.join("config");
        std::fs::create_dir(&empty_config).map_err(|error| unexpected("the folder", &error))?;
        Ok(Self {
            printer,
            standin,
            executable,
            empty_config,
            token,
        })
    }

    fn scene(&self, title: &str) -> Result<(), Failure> {
        self.printer.result(&format!("\n== {title}\n"))
    }

    /// Shows and runs one of our own commands for the sample artifact.
    fn run(&self, command: &str, more: &[&str]) -> Result<Output, Failure> {
        let url = self.standin.url();
        let credential = format!("token=env:{TOKEN_VARIABLE}");
        let mut words = vec![
            command,
            FETCHER,
            "--url",
            &url,
            "--project",
            sample::PROJECT,
            "--ref",
            sample::REF,
            "--job",
            sample::JOB,
            "--credential",
            &credential,
            "--allow",
            self.standin.storage_origin(),
        ];
        words.extend(more);
        self.printer
            .result(&format!("$ nix-fetchhost {}\n", words.join(" ")))?;
        Command::new(&self.executable)
            .args(&words)
            .env(TOKEN_VARIABLE, &self.token)
            .env("XDG_CONFIG_HOME", &self.empty_config)
            .env("XDG_STATE_HOME", &self.empty_config)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| unexpected("the command", &error))
    }

    /// The command's stdout, when it ended as it should.
    fn expect(&self, output: &Output, status: ExitStatus) -> Result<String, Failure> {
        if output.status.code() == Some(i32::from(status.code())) {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Failure::usage(format!(
            "the command ended with {}, not with {}: {}",
            output.status,
            status.code(),
            String::from_utf8_lossy(&output.stderr).trim_end()
        )))
    }
}

fn arrival(standin: &Standin, request: &Request) -> String {
    let origin = match request.side {
        Side::Api => standin.api_origin(),
        Side::Storage => standin.storage_origin(),
    };
    let query = if request.query.is_some() { "?…" } else { "" };
    let credentials = request.credentials();
    let credentials = if credentials.is_empty() {
        "no credential".to_owned()
    } else {
        credentials.join(", ")
    };
    format!(
        "{} {origin}{}{query}\n    carried: {credentials}",
        request.method, request.path
    )
}

fn narinfo(cache: &Path, store_path: &str) -> Result<String, Failure> {
    let hash_part = store_path
        .trim_start_matches("/nix/store/")
        .split('-')
        .next()
        .unwrap_or_default();
    std::fs::read_to_string(cache.join(format!("{hash_part}.narinfo")))
        .map_err(|error| unexpected("the narinfo", &error))
}

fn folder(args: &DemoArgs) -> Result<PathBuf, Failure> {
    match &args.keep {
        Some(path) => {
            std::fs::create_dir(path).map_err(|error| {
                Failure::usage(format!("`{}` cannot be made: {error}", path.display()))
            })?;
            path.canonicalize()
                .map_err(|error| unexpected("the folder", &error))
        }
        None => tempfile::Builder::new()
            .prefix("nix-fetchhost-demo-")
            .tempdir()
            .map(tempfile::TempDir::keep)
            .map_err(|error| unexpected("a temporary folder", &error)),
    }
}

/// A token that no earlier run knew, from the kernel.
fn random_word() -> Result<String, Failure> {
    let mut bytes = [0; 12];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| unexpected("a random token", &error.into()))?;
    Ok(fetchhost_formats::hex(&bytes))
}

fn unexpected(what: &str, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{what} failed: {error}"))
}
