//! From what was asked for to a job for the pipeline, and the job's run; shared by `run`, `prefetch`,
//! `exec` and `lock`.
//!
//! Everything that can be wrong with a command line is found here, before anything is contacted.

mod consent;
mod dry_run;
mod output;
mod remembered;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::ArgMatches;
use fetchhost_credentials::{Cancel, ask_hidden};
use fetchhost_engine::Desk;
use fetchhost_formats::{Hash, HashAlgorithm, StoreName};
use fetchhost_keys::Signers;
use fetchhost_memo::Memo;
use fetchhost_pipeline::{Error, Expectation, Job, Outcome, Signed, SigningDesk, Unlocking};
use fetchhost_policy::{Broker, Consent, Origin};
use fetchhost_sinks::{Destination, DestinationError};
use fetchhost_transport::Client;
use serde_json::{Map, Value};

use crate::args::{FetchArgs, OutputArgs};
use crate::caches::{self, Purpose};
use crate::catalog::Selected;
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Partial, with_causes};
use crate::journal::{self, Done, Journal, Record};
use crate::params;
use crate::progress::Progress;
use crate::provenance;
use crate::report::ResultReport;
use crate::signals;
use crate::signing::{self, Desks, Inputs};

pub(crate) use consent::{credentials, effective_origin, origins};
pub(crate) use output::mode_and_name;
pub(crate) use remembered::Remembering;

/// A job and what its report needs.
pub(crate) struct Fetching {
    selected: Selected,
    session: Session,
    job: Job,
    /// What signs for the job, for the record.
    desk: Option<Arc<SigningDesk>>,
    /// Where the hash is remembered, when nobody declared it.
    remembering: Option<Remembering>,
    /// The parameters, for the record.
    parameters: Map<String, Value>,
    /// The origin that is asked first and those that were typed, to explain what is granted.
    origins: Vec<Origin>,
}

/// What fetches go through; those of one command share connections and the credentials that were read.
#[derive(Clone)]
pub(crate) struct Session {
    client: Client,
    /// Unlocks keys, each once.
    keys: Arc<Unlocking>,
    /// What signs with them, made when the first fetch needs it.
    desks: Arc<OnceLock<Desks>>,
    /// Ends questions and programs for credentials and keys; not for one of several fetches.
    cancel: Vec<Cancel>,
    progress: Arc<Progress>,
}

impl Session {
    pub(crate) fn new(context: &Context, progress: Progress) -> Self {
        let progress = Arc::new(progress);
        let asking = Arc::clone(&progress);
        let keyring = context
            .keyring()
            .asking(move |question, cancel| asking.make_room(|| ask_hidden(question, cancel)));
        let asking = Arc::clone(&progress);
        let signers = Signers::new()
            .asking(move |question, cancel| asking.make_room(|| ask_hidden(question, cancel)));
        Self {
            cancel: vec![keyring.cancel(), signers.cancel()],
            client: context.client(Arc::new(keyring)),
            keys: Arc::new(Unlocking::new(signers)),
            desks: Arc::default(),
            progress,
        }
    }

    /// For one of several fetches, with its own record of who was asked.
    pub(crate) fn share(&self, progress: Progress) -> Self {
        Self {
            client: self.client.with_own_journal(),
            keys: Arc::clone(&self.keys),
            desks: Arc::clone(&self.desks),
            cancel: Vec::new(),
            progress: Arc::new(progress),
        }
    }

    /// What signs, for all fetches that share this.
    fn desks(&self, context: &Context) -> Result<&Desks, Failure> {
        if let Some(desks) = self.desks.get() {
            return Ok(desks);
        }
        let desks = Desks::new(context, &self.client, Arc::clone(&self.keys))?;
        Ok(self.desks.get_or_init(|| desks))
    }

    /// What is remembered.
    fn memo(&self, context: &Context) -> Result<Arc<Memo>, Failure> {
        Ok(self.desks(context)?.memo())
    }

    /// What shows the course of it.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What waits for the user or a program tidies up before this process ends.
    pub(crate) fn end(&self) {
        self.cancel.iter().for_each(Cancel::fire);
        self.progress.finish();
    }
}

/// What a command line says.
pub(crate) struct Typed {
    /// The parameters, checked against the fetcher's schema.
    pub(crate) params: params::Params,
    /// What typing them consents to.
    pub(crate) consent: Consent,
}

impl Typed {
    pub(crate) fn new(
        selected: &Selected,
        args: &FetchArgs,
        matches: &ArgMatches,
    ) -> Result<Self, Failure> {
        let params = params::collect(
            &selected.description()?.parameters,
            args.params.as_deref(),
            &args.param,
            matches,
        )?;
        let consent = consent::typed(selected, &params, args)?;
        Ok(Self { params, consent })
    }
}

/// What is to be fetched, whichever way it was said.
pub(crate) struct Request<'a> {
    /// The parameters, checked against the fetcher's schema.
    pub(crate) params: Map<String, Value>,
    /// What was said of the output's name and mode.
    pub(crate) output: &'a OutputArgs,
    /// What typing the command line consents to; none where grants come from the configuration only.
    pub(crate) consent: Option<Consent>,
    /// What the bytes must be.
    pub(crate) expectation: Expectation,
    /// Where the output is wanted.
    pub(crate) wanted: Wanted<'a>,
    /// The files that the fetcher is given.
    pub(crate) inputs: Inputs,
    /// Where the hash is remembered, when nobody declared it.
    pub(crate) remembering: Option<Remembering>,
}

/// Where the output is wanted, and how much.
#[derive(Default)]
pub(crate) struct Wanted<'a> {
    /// The destinations as typed.
    pub(crate) to: &'a [String],
    /// The destination when none was typed.
    pub(crate) default: Option<&'a str>,
    /// The link that keeps the output from being collected as garbage.
    pub(crate) gc_root: Option<&'a Path>,
    /// Fetch although every destination already holds the output.
    pub(crate) refetch: bool,
}

impl Fetching {
    /// Gives what was typed its meaning. Without an expectation the hash is one that is remembered.
    pub(crate) async fn typed(
        context: &Context,
        selected: Selected,
        args: &FetchArgs,
        matches: &ArgMatches,
        expectation: Option<Expectation>,
        wanted: Wanted<'_>,
    ) -> Result<Self, Failure> {
        let typed = Typed::new(&selected, args, matches)?;
        let inputs = signing::open_typed(selected.description()?, &args.input)?;
        let session = Session::new(context, Progress::new(context.printer));
        let params = typed.params.object;
        let (expectation, remembering) =
            known(context, &session, &selected, &params, expectation, true).await?;
        let request = Request {
            params,
            output: &args.output,
            consent: Some(typed.consent),
            expectation,
            wanted,
            inputs,
            remembering,
        };
        Self::prepare(context, &session, selected, request)
    }

    /// Makes a job of a request.
    pub(crate) fn prepare(
        context: &Context,
        session: &Session,
        selected: Selected,
        request: Request<'_>,
    ) -> Result<Self, Failure> {
        let Request {
            params,
            output,
            consent,
            expectation,
            wanted,
            inputs,
            remembering,
        } = request;
        let description = selected.description()?;
        let (mode, name) = mode_and_name(description, &params, output, "--")?;
        if let Some(remembering) = &remembering {
            remembering.check(mode, output.executable)?;
        }
        let destinations = destinations(context, session, &wanted)?;
        let effective = effective_origin(&selected, &params)?;
        let config = &context.settings.config;
        let broker = Broker::new(
            selected.id.clone(),
            &selected.fetcher,
            description,
            config,
            consent.as_ref(),
        )?;
        let desk = description
            .signs()
            .then(|| {
                let desks = session.desks(context)?;
                desks.desk(context, &selected, &params, consent.as_ref(), &inputs)
            })
            .transpose()?;
        let job = Job {
            module: Arc::clone(&selected.module),
            fetcher: selected.fetcher.clone(),
            params: Value::Object(params.clone()).to_string(),
            name,
            mode,
            executable: output.executable,
            expectation,
            destinations,
            refetch: wanted.refetch,
            broker: Arc::new(broker),
            inputs: signing::of_job(inputs),
            desk: desk.clone().map(|desk| desk as Arc<dyn Desk>),
            client: session.client.clone(),
            limits: config.limits(),
            tmp: context.environment.tmp.clone(),
            observer: Arc::clone(&session.progress) as Arc<dyn fetchhost_pipeline::Observer>,
        };
        Ok(Self {
            selected,
            session: session.clone(),
            job,
            desk,
            remembering,
            parameters: params,
            origins: effective
                .into_iter()
                .chain(
                    consent
                        .into_iter()
                        .flat_map(|consent| consent.typed_origins.into_iter().chain(consent.allow)),
                )
                .fold(Vec::new(), |mut once, origin| {
                    if !once.contains(&origin) {
                        once.push(origin);
                    }
                    once
                }),
        })
    }

    /// The output's name.
    pub(crate) fn name(&self) -> &StoreName {
        &self.job.name
    }

    /// Runs the job until it ends, a signal comes, or the time is up, and keeps a record of it.
    ///
    /// `typed` is FETCHER as it was written.
    pub(crate) async fn run(
        self,
        context: &Context,
        typed: &str,
        limit: Option<Duration>,
        provenance: Option<&Path>,
    ) -> Result<(Outcome, ResultReport), Failure> {
        let parameters = self.parameters.clone();
        let (started, ticket) = (journal::now(), journal::ticket().unwrap_or_default());
        if let Some(path) = provenance {
            provenance::check_place(path)?;
        }
        let Session {
            client, progress, ..
        } = self.session.clone();
        let (selected, desk) = (self.selected.clone(), self.desk.clone());
        let ended = self.run_job(context, limit).await;
        let done = Done::of(&selected, &client, &signed(desk.as_deref()));
        let mut ended = ended.and_then(|(outcome, report)| {
            if let Some(path) = provenance {
                if progress.has_planned() {
                    let (output, report) = (&outcome.output, &report);
                    let statement =
                        provenance::statement(output, report, &parameters, &ticket, &started);
                    provenance::write(path, &statement, report)?;
                } else {
                    context.printer.warning(&provenance::nothing_fetched(path));
                }
            }
            Ok((outcome, report))
        });
        let Some(state) = &context.environment.state else {
            return ended;
        };
        if let Err(failure) = &mut ended {
            failure.ticket = Some(ticket.clone());
        }
        let result = ended.as_ref().map(|(_, report)| report);
        let record = Record::new(ticket, typed, &parameters, done, result);
        if let Err(error) = Journal::new(state).append(&record) {
            context
                .printer
                .warning(&format!("this run was not recorded: {error}"));
            if let Err(failure) = &mut ended {
                failure.ticket = None;
            }
        }
        ended
    }

    async fn run_job(
        self,
        context: &Context,
        limit: Option<Duration>,
    ) -> Result<(Outcome, ResultReport), Failure> {
        let Self {
            selected,
            session,
            job,
            desk,
            remembering,
            ..
        } = self;
        let executable = job.executable;
        let is_declared = desk.is_some()
            || remembering.is_none() && matches!(job.expectation, Expectation::Declared(_));
        let running = fetchhost_pipeline::run(job);
        let ended = until_stopped(running, limit, &session.progress).await;
        if ended.is_ok() {
            caches::given_up().await;
        }
        session.end();
        let explained = |mut failure: Failure| {
            if let Some(remembering) = &remembering {
                remembering.explain(&mut failure);
            }
            failure
        };
        let outcome = ended?.map_err(explained)?;
        let report = ResultReport::new(
            &selected.id,
            &selected.module.digest(),
            &selected.fetcher,
            &outcome,
            &session.client.journal(),
            &signed(desk.as_deref()),
        )
        .verified(is_declared);
        match outcome.failure() {
            None => {
                if let Some(remembering) = &remembering {
                    let settled = remembering.settle(context, &outcome.output, executable);
                    settled.await?;
                }
                Ok((outcome, report))
            }
            Some(error) => Err(Failure {
                done: Some(Box::new(Partial::Result(report))),
                ..error.into()
            }),
        }
    }
}

/// What was signed so far.
fn signed(desk: Option<&SigningDesk>) -> Vec<Signed> {
    desk.map(SigningDesk::signed).unwrap_or_default()
}

/// Runs a job until it ends, a signal comes, or the time is up.
///
/// Once destinations make the output visible the job is left to finish, so that what is reported is
/// what happened; only a second signal ends it then, which is the outer error: nothing more is waited for.
async fn until_stopped(
    job: impl Future<Output = Result<Outcome, Error>>,
    limit: Option<Duration>,
    progress: &Progress,
) -> Result<Result<Outcome, Failure>, Failure> {
    let mut stops = signals::Stops::listen();
    let mut job = std::pin::pin!(job);
    let stopped = tokio::select! {
        ended = &mut job => return Ok(ended.map_err(Failure::from)),
        stop = stops.next() => Failure::stopped(stop),
        limit = elapsed(limit) => timed_out(limit),
    };
    if !progress.is_committing() {
        return Ok(Err(stopped));
    }
    tokio::select! {
        ended = &mut job => Ok(ended.map_err(Failure::from)),
        stop = stops.next() => Err(Failure::stopped_while_committing(stop)),
    }
}

/// Waits for the limit, if there is one, and returns it.
async fn elapsed(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

/// What the output's hash must be, when it is declared or the fetcher signs: no signature is known beforehand.
pub(crate) fn expectation(
    context: &Context,
    selected: &Selected,
    hash: Option<&str>,
) -> Result<Option<Expectation>, Failure> {
    match hash {
        Some(text) => declared_hash(context, text).map(|hash| Some(Expectation::Declared(hash))),
        None if selected.description()?.signs() => {
            Ok(Some(Expectation::Unknown(HashAlgorithm::Sha256)))
        }
        None => Ok(None),
    }
}

/// The expectation, or one from what is remembered.
pub(crate) async fn known(
    context: &Context,
    session: &Session,
    selected: &Selected,
    params: &Map<String, Value>,
    expectation: Option<Expectation>,
    is_typed: bool,
) -> Result<(Expectation, Option<Remembering>), Failure> {
    if let Some(expectation) = expectation {
        return Ok((expectation, None));
    }
    let remembering = Remembering::look_up(context, session, selected, params, is_typed).await?;
    Ok((remembering.expectation(), Some(remembering)))
}

/// Reads a declared hash; weak ones are accepted with a warning, as Nix does.
pub(crate) fn declared_hash(context: &Context, text: &str) -> Result<Hash, Failure> {
    let hash: Hash = text
        .parse()
        .map_err(|error: fetchhost_formats::HashError| {
            Failure::usage(format!("`--hash {text}`: {}", with_causes(&error)))
                .with_hint("write `sha256-…` (SRI, with its `=`), or `sha256:` and hex or nix32")
        })?;
    if hash.algorithm().is_weak() {
        context.printer.warning(&format!(
            "{} no longer proves what was fetched; `prefetch` prints a sha256",
            hash.algorithm()
        ));
    }
    Ok(hash)
}

fn destinations(
    context: &Context,
    session: &Session,
    wanted: &Wanted<'_>,
) -> Result<Vec<Destination>, Failure> {
    let default = wanted.default.filter(|_| wanted.to.is_empty());
    let texts = wanted.to.iter().map(String::as_str).chain(default);
    let parsed = texts.map(|text| {
        if text.starts_with("s3:") {
            // What goes to a bucket is no part of the fetch's own record.
            let client = session.client.with_own_journal();
            let cache = caches::open(context, &client, caches::parse(text)?, Purpose::One)?;
            return Ok(Destination::Cache(cache));
        }
        text.parse()
            .map_err(|error: DestinationError| with_hint(&error, error.hint()))
    });
    let mut destinations = parsed.collect::<Result<Vec<Destination>, _>>()?;
    if let Some(link) = wanted.gc_root {
        let link = std::path::absolute(link)
            .map_err(|error| Failure::usage(format!("`--gc-root {}`: {error}", link.display())))?;
        let mut stores = destinations
            .iter_mut()
            .filter_map(|destination| match destination {
                Destination::Store(store) => Some(store),
                _ => None,
            });
        match (stores.next(), stores.next()) {
            (Some(store), None) => store.gc_root = Some(link),
            _ => {
                return Err(Failure::usage(
                    "`--gc-root` needs exactly one store among the destinations",
                )
                .with_hint("add `--to store`, or leave it out: a plain file needs no root"));
            }
        }
    }
    Ok(destinations)
}

fn timed_out(limit: Duration) -> Failure {
    Failure {
        status: ExitStatus::FetchFailed,
        kind: "network",
        message: format!(
            "the fetch did not end within {} seconds; nothing was emitted",
            limit.as_secs()
        ),
        hint: Some("give it more time with `--timeout`".to_owned()),
        done: None,
        ticket: None,
    }
}

fn with_hint(error: &dyn std::error::Error, hint: Option<String>) -> Failure {
    let mut failure = Failure::usage(with_causes(error));
    failure.hint = hint;
    failure
}
