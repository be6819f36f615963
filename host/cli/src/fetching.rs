//! From what was asked for to a job for the pipeline, and the job's run; shared by `run`, `prefetch`,
//! `exec` and `lock`.
//!
//! Everything that can be wrong with a command line is found here, before anything is contacted.

mod consent;
mod destinations;
mod dry_run;
mod expected;
mod output;
mod remembered;
mod session;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use fetchhost_engine::Desk;
use fetchhost_formats::StoreName;
use fetchhost_pipeline::{Agreement, Error, Expectation, Job, Outcome, Signed, SigningDesk};
use fetchhost_policy::{Broker, Consent, Origin};
use serde_json::{Map, Value};

use crate::args::{FetchArgs, OutputArgs};
use crate::caches;
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
use crate::signing::{self, Inputs};
use destinations::destinations;

pub(crate) use consent::{credentials, effective_origin, origins};
pub(crate) use expected::{expectation, known};
pub(crate) use output::mode_and_name;
pub(crate) use remembered::Remembering;
pub(crate) use session::Session;

/// A job and what its report needs.
pub(crate) struct Fetching {
    selected: Selected,
    session: Session,
    job: Job,
    /// What signs for the job, for the record.
    desk: Option<Arc<SigningDesk>>,
    /// Where the hash is remembered, when nobody declared it.
    remembering: Option<Arc<Remembering>>,
    /// The parameters, for the record.
    parameters: Map<String, Value>,
    /// The origin that is asked first and those that were typed, to explain what is granted.
    origins: Vec<Origin>,
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
    pub(crate) remembering: Option<Arc<Remembering>>,
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
    /// Gives what was typed its meaning. Without an expectation the hash is one that is remembered. Where a key's name
    /// is not to make it sign, only what was approved is signed.
    pub(crate) async fn typed(
        context: &Context,
        selected: Selected,
        args: &FetchArgs,
        matches: &ArgMatches,
        expectation: Option<Expectation>,
        wanted: Wanted<'_>,
        may_sign: bool,
    ) -> Result<Self, Failure> {
        let mut typed = Typed::new(&selected, args, matches)?;
        if !may_sign {
            typed.consent.keys.clear();
        }
        let inputs = signing::open_typed(selected.description()?, &args.input)?;
        let session = Session::new(context, Progress::new(context.printer));
        let params = typed.params.object;
        let (expectation, remembering) = known(
            context,
            &session,
            &selected,
            &params,
            expectation,
            args.output.executable,
            true,
        )
        .await?;
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
            agreement: remembering
                .clone()
                .map(|agreed| agreed as Arc<dyn Agreement>),
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
        let is_declared =
            remembering.is_none() && matches!(job.expectation, Expectation::Declared(_));
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
        let is_signature = || {
            let desk = desk.as_deref();
            desk.is_some_and(|desk| desk.gave(&outcome.output))
        };
        let is_verified = is_declared || is_signature();
        if desk.is_some() && !is_verified {
            context.printer.warning(
                "not verified: what the fetcher made is more than a signature, and nobody declared its hash",
            );
        }
        let report = ResultReport::new(
            &selected.id,
            &selected.module.digest(),
            &selected.fetcher,
            &outcome,
            &session.client.journal(),
            &signed(desk.as_deref()),
        )
        .verified(is_verified);
        match outcome.failure() {
            None => {
                if let Some(remembering) = &remembering {
                    remembering.tell(context);
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
