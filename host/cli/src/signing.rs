//! What a fetch may read and sign: its inputs, its keys, and what is remembered.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fetchhost_engine::Input;
use fetchhost_memo::{Memo, MemoError};
use fetchhost_pipeline::{SigningDesk, Unlocking};
use fetchhost_policy::describe::FetcherDescription;
use fetchhost_policy::{Consent, InputName, SigningPolicy, shell_word};
use fetchhost_sinks::{SinkError, Store, StoreReader, StoreUrl};
use fetchhost_transport::Client;
use rustix::fs::{Mode, OFlags};
use serde_json::{Map, Value};

use crate::caches::{self, Purpose};
use crate::catalog::Selected;
use crate::commands::key::open_cache_key;
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::{Failure, meant, with_causes};
use crate::journal;
use crate::params;
use crate::unattended::denied;

/// The file of what is remembered, in the state folder.
const MEMO: &str = "memo.sqlite";

/// Inputs by name, each with the path that was given for it.
pub(crate) type Inputs = BTreeMap<InputName, (PathBuf, Arc<Input>)>;

/// Files that the user names.
pub(crate) fn open_typed(
    description: &FetcherDescription,
    texts: &[String],
) -> Result<Inputs, Failure> {
    named(description, texts, "--input ")?
        .into_iter()
        .map(|(name, path)| {
            let refuse = |problem: String| {
                Failure::usage(format!(
                    "`--input {name}={}`: {problem}",
                    fetchhost_policy::printable(&path.to_string_lossy())
                ))
            };
            // Not to wait for who writes into a pipe.
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = rustix::fs::open(&path, flags, Mode::empty())
                .map(File::from)
                .map_err(|error| {
                    refuse(error.to_string()).with_hint("name a file that you may read")
                })?;
            let input = input(file).map_err(|problem| {
                refuse(problem).with_hint("name a plain file; of a folder, sign an archive")
            })?;
            Ok((name, (path, input)))
        })
        .collect()
}

/// Files of the store that an expression names.
pub(crate) async fn open_of_store(
    description: &FetcherDescription,
    texts: &[String],
) -> Result<Inputs, Failure> {
    let named = named(description, texts, "--input ")?;
    of_store(named).await
}

/// No inputs, where nobody can name any.
pub(crate) fn none(description: &FetcherDescription) -> Result<Inputs, Failure> {
    match description.inputs.keys().next() {
        None => Ok(Inputs::new()),
        Some(name) => Err(Failure::usage(format!(
            "the fetcher is given a file, `{name}`, which cannot be named here"
        ))
        .with_hint("use `run` or `exec`, or `sign` of nix/fetchhost.nix")),
    }
}

/// The same, of names and paths.
pub(crate) async fn of_store(named: BTreeMap<InputName, PathBuf>) -> Result<Inputs, Failure> {
    if named.is_empty() {
        return Ok(Inputs::new());
    }
    let opened = tokio::task::spawn_blocking(move || {
        let reader = StoreReader::open(Store::new(StoreUrl::Auto)).map_err(of_sink)?;
        named
            .into_iter()
            .map(|(name, path)| {
                let file = reader.open_file(&path).map_err(of_sink)?;
                let input = input(file).map_err(Failure::usage)?;
                Ok((name, (path, input)))
            })
            .collect()
    });
    opened
        .await
        .unwrap_or_else(|_| Err(Failure::usage("the store could not be read")))
}

fn of_sink(error: SinkError) -> Failure {
    let mut failure = Failure::usage(with_causes(&error));
    failure.hint = error.hint();
    failure
}

fn input(file: File) -> Result<Arc<Input>, String> {
    match file.metadata() {
        Ok(found) if !found.is_file() => return Err("it is no plain file".to_owned()),
        Ok(_) => {}
        Err(error) => return Err(error.to_string()),
    }
    Input::new(file)
        .map(Arc::new)
        .map_err(|error| error.to_string())
}

/// Reads `NAME=PATH`, each name once and one of the fetcher's; all that it has must be there.
fn named(
    description: &FetcherDescription,
    texts: &[String],
    flag: &str,
) -> Result<BTreeMap<InputName, PathBuf>, Failure> {
    let mut named = BTreeMap::new();
    for text in texts {
        let Some((name, path)) = text.split_once('=') else {
            return Err(Failure::usage(format!("`{flag}{text}` has no `=`"))
                .with_hint(format!("write `{flag}NAME=PATH`")));
        };
        let known = || description.inputs.keys().map(InputName::as_str);
        let Some(declared) = description
            .inputs
            .keys()
            .find(|known| known.as_str() == name)
        else {
            let hint = meant(name, known(), || {
                match known().collect::<Vec<_>>().as_slice() {
                    [] => "it has none".to_owned(),
                    names => format!("its inputs are `{}`", names.join("`, `")),
                }
            });
            return Err(
                Failure::usage(format!("the fetcher has no input `{name}`")).with_hint(hint)
            );
        };
        if path.is_empty() {
            return Err(Failure::usage(format!("`{flag}{text}` names no file"))
                .with_hint(format!("write `{flag}NAME=PATH`")));
        }
        if named
            .insert(declared.clone(), PathBuf::from(path))
            .is_some()
        {
            return Err(Failure::usage(format!("the input `{name}` is given twice"))
                .with_hint("to sign many files at once, name a list of them with `--each`"));
        }
    }
    if let Some((missing, described)) = description
        .inputs
        .iter()
        .find(|(name, _)| !named.contains_key(*name))
    {
        return Err(Failure::usage(format!(
            "the input `{missing}` is missing: {}",
            fetchhost_policy::printable(&described.summary)
        ))
        .with_hint(format!("add `{flag}{missing}=PATH`")));
    }
    Ok(named)
}

/// What a desk is made with, for all fetches of one command.
#[derive(Clone)]
pub(crate) struct Desks {
    keys: Arc<Unlocking>,
    memo: Arc<Memo>,
}

impl Desks {
    pub(crate) fn new(
        context: &Context,
        client: &Client,
        keys: Arc<Unlocking>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            keys,
            memo: Arc::new(memo(context, client)?),
        })
    }

    /// What is remembered.
    pub(crate) fn memo(&self) -> Arc<Memo> {
        Arc::clone(&self.memo)
    }

    /// The desk of one fetch.
    pub(crate) fn desk(
        &self,
        context: &Context,
        selected: &Selected,
        params: &Map<String, Value>,
        consent: Option<&Consent>,
        inputs: &Inputs,
    ) -> Result<Arc<SigningDesk>, Failure> {
        let config = &context.settings.config;
        let policy = policy(selected, params, config, consent)?;
        let files = inputs
            .iter()
            .map(|(name, (path, _))| (name, path.as_path()));
        let command = command(selected, params, files);
        Ok(Arc::new(SigningDesk::new(
            policy,
            Arc::clone(&self.keys),
            Arc::clone(&self.memo),
            move || command.clone(),
        )))
    }
}

/// What may be done with the keys that parameters name; told before anything is read.
pub(crate) fn policy(
    selected: &Selected,
    params: &Map<String, Value>,
    config: &fetchhost_policy::Config,
    consent: Option<&Consent>,
) -> Result<SigningPolicy, Failure> {
    let policy = SigningPolicy::new(
        selected.id.clone(),
        selected.description()?,
        params,
        config,
        consent,
    )?;
    policy.check().map_err(|denial| denied(&denial))?;
    Ok(policy)
}

/// What is remembered on this machine alone.
pub(crate) fn memo_here(context: &Context) -> Result<Memo, Failure> {
    let Some(state) = &context.environment.state else {
        return Err(
            Failure::usage("there is no folder to remember signatures in")
                .with_hint("set HOME or XDG_STATE_HOME"),
        );
    };
    journal::make_folder(state).map_err(|error| {
        Failure {
            status: ExitStatus::Sink,
            kind: "memo",
            ..Failure::usage(format!("`{}` cannot be made: {error}", state.display()))
        }
        .with_hint("make the folder around it writable, or set XDG_STATE_HOME")
    })?;
    let printer = context.printer;
    let memo = Memo::open(&state.join(MEMO))?;
    Ok(memo.with_warnings(Arc::new(move |text: &str| printer.warning(text))))
}

/// The same, with whose results are believed and what signs our own.
pub(crate) fn memo_trusting(context: &Context) -> Result<Memo, Failure> {
    let config = &context.settings.config.memo;
    let trusted = config
        .trusted_keys
        .iter()
        .filter_map(|key| key.parse().ok());
    let secret = config
        .secret_key
        .as_deref()
        .map(open_cache_key)
        .transpose()?;
    Ok(memo_here(context)?.with_keys(trusted.collect(), secret))
}

/// What is remembered, on this machine and where it is shared.
pub(crate) fn memo(context: &Context, client: &Client) -> Result<Memo, Failure> {
    let memo = memo_trusting(context)?;
    let config = &context.settings.config.memo;
    let Some(url) = &config.cache else {
        return Ok(memo);
    };
    let open = |purpose| {
        let client = client.with_own_journal();
        caches::open(context, &client, caches::parse(url)?, purpose)
    };
    // Who is granted no more than to read there looks up; what would be written is denied when it comes to that.
    let cache = open(Purpose::One).or_else(|failure| match failure.status {
        ExitStatus::Denied => open(Purpose::Reading).map_err(|_| failure),
        _ => Err(failure),
    })?;
    Ok(memo.with_shared(cache))
}

/// What a user types for a fetch with these inputs.
pub(crate) fn command<'a>(
    selected: &Selected,
    params: &Map<String, Value>,
    inputs: impl IntoIterator<Item = (&'a InputName, &'a Path)>,
) -> String {
    let mut command = format!("nix-fetchhost run {}", shell_word(&selected.typed));
    let schema = selected.description().map(|found| &found.parameters);
    for flag in params::flags(schema.unwrap_or(&Value::Null), params) {
        command.push_str(&format!(" {flag}"));
    }
    for (name, path) in inputs {
        let input = format!("{name}={}", path.to_string_lossy());
        command.push_str(&format!(" --input {}", shell_word(&input)));
    }
    command
}

/// The inputs as a job takes them.
pub(crate) fn of_job(inputs: Inputs) -> BTreeMap<InputName, Arc<Input>> {
    inputs
        .into_iter()
        .map(|(name, (_, input))| (name, input))
        .collect()
}

impl From<MemoError> for Failure {
    fn from(error: MemoError) -> Self {
        let (message, hint) = (with_causes(&error), error.hint());
        let failure = match error {
            // A bucket that may not be asked is denied, and so on.
            MemoError::Shared(error) => Self::from(error),
            // Of what was typed, and not of what is remembered.
            MemoError::NoExport(_) => Self::usage(""),
            _ => Self {
                status: ExitStatus::Sink,
                kind: "memo",
                ..Self::usage("")
            },
        };
        Self {
            message,
            hint: hint.or(failure.hint),
            ..failure
        }
    }
}
