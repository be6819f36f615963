//! `nix-fetchhost realise`
//!
//! What derivations say grants nothing: origins and credentials come from the configuration alone.

use std::sync::{Arc, Mutex};

use fetchhost_credentials::ask_hidden;
use fetchhost_formats::StorePath;
use fetchhost_policy::printable;
use fetchhost_sinks::{Store, StoreSession, StoreUrl};

use crate::args::RealiseArgs;
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Partial};
use crate::realise::fetches::{Fetches, Status, blocking};
use crate::realise::plan::Plan;
use crate::realise::progress::Progress;
use crate::realise::report::RealiseReport;
use crate::realise::{drv, instantiate};
use crate::signals::Stops;
use crate::unattended::Unattended;

/// Fetches what derivations will need into the store, all at once.
pub(crate) async fn realise(context: &Context, args: &RealiseArgs) -> Result<(), Failure> {
    if args.drvs.is_empty() && args.file.is_none() {
        return Err(Failure::usage("nothing is named: neither a DRV nor `--file`")
            .with_hint("for example `nix-fetchhost realise --file default.nix --attr app`, or `nix-fetchhost realise \"$(nix path-info --derivation .#app)\"`"));
    }
    // From now on nothing else hears them.
    let mut stops = Stops::listen();
    let (plan, held) = tokio::select! {
        begun = begin(context, args) => begun?,
        stop = stops.next() => return Err(Failure::stopped(stop)),
    };
    let Some((session, present)) = held else {
        context
            .printer
            .note("nothing to fetch: none of these derivations is one of nix/fetchhost.nix, and no route matches");
        return finish(context, args, &plan, &[]);
    };
    let missing = present.iter().filter(|present| !**present).count();
    let progress = Progress::new(context.printer, if args.dry_run { 0 } else { missing });
    let asking = Arc::clone(&progress);
    let keyring = context
        .keyring()
        .asking(move |question, cancel| asking.make_room(|| ask_hidden(question, cancel)));
    let cancel = keyring.cancel();
    let fetches = Fetches {
        context,
        unattended: &Unattended::new(context, Arc::new(keyring))?,
        session,
        progress: Arc::clone(&progress),
        gc_root: args.gc_root.as_deref(),
        hints: Mutex::default(),
    };
    if args.dry_run {
        let statuses = tokio::select! {
            statuses = fetches.plan_all(&plan.outputs, &present) => statuses,
            stop = stops.next() => return Err(Failure::stopped(stop)),
        };
        return finish(context, args, &plan, &statuses);
    }
    let jobs = args.jobs.into();
    let ended = fetches.run(&plan.outputs, &present, jobs, &mut stops).await;
    // What waits for the user or a program tidies up before this process ends.
    cancel.fire();
    progress.finish();
    let (statuses, stop) = ended?;
    let finished = finish(context, args, &plan, &statuses);
    match (stop, finished) {
        (Some(stop), Err(failure)) => Err(Failure {
            status: ExitStatus::Signal(stop.number),
            kind: "interrupted",
            message: format!("stopped by {}: {}", stop.name, failure.message),
            hint: Some("run the same command again: what is there is not fetched again".to_owned()),
            ..failure
        }),
        (_, finished) => finished,
    }
}

/// What is there of a plan, and what keeps the garbage collector off it.
type Held = (Arc<StoreSession>, Vec<bool>);

/// Finds out what is to be done, and tells what is not. Until what is returned is dropped, Nix's garbage
/// collector keeps off all outputs; nothing is where there are none.
async fn begin(context: &Context, args: &RealiseArgs) -> Result<(Plan, Option<Held>), Failure> {
    let roots = roots(context, args).await?;
    let store = Store::new(StoreUrl::Auto);
    let plan = plan(context, &store, roots).await?;
    tell(context, &plan);
    if plan.outputs.is_empty() {
        return Ok((plan, None));
    }
    let session = Arc::new(blocking(move || StoreSession::open(store)).await?);
    let present = look_up(&session, &plan).await?;
    Ok((plan, Some((session, present))))
}

/// The derivations that were named, or that an expression makes.
async fn roots(context: &Context, args: &RealiseArgs) -> Result<Vec<StorePath>, Failure> {
    let mut roots: Vec<_> = args
        .drvs
        .iter()
        .map(|text| drv::parse(text))
        .collect::<Result<_, _>>()?;
    if let Some(file) = &args.file {
        roots.extend(instantiate::instantiate(&context.settings.config, file, &args.attr).await?);
    }
    Ok(roots)
}

async fn plan(context: &Context, store: &Store, roots: Vec<StorePath>) -> Result<Plan, Failure> {
    let (store, config) = (store.clone(), context.settings.config.clone());
    let place = blocking(move || store.place()).await?;
    tokio::task::spawn_blocking(move || Plan::of(&place, &roots, &config))
        .await
        .map_err(|_| defect())
}

/// Which outputs are valid, in the order of the plan. All are protected from now on.
async fn look_up(session: &Arc<StoreSession>, plan: &Plan) -> Result<Vec<bool>, Failure> {
    let outputs: Vec<_> = plan.outputs.iter().map(|one| one.output.clone()).collect();
    let session = Arc::clone(session);
    blocking(move || outputs.iter().map(|output| session.hold(output)).collect()).await
}

/// Tells what is not fetched, and why.
fn tell(context: &Context, plan: &Plan) {
    for left in &plan.left {
        let (path, reason) = (&left.derivation, printable(&left.reason));
        context
            .printer
            .note(&format!("`{path}` is left to Nix: {reason}"));
    }
    for one in &plan.unreadable {
        context
            .printer
            .error(&format!("`{}` cannot be read: {}", one.path, one.reason));
    }
}

/// Prints what there is now, and says whether that is all of it.
fn finish(
    context: &Context,
    args: &RealiseArgs,
    plan: &Plan,
    statuses: &[Status],
) -> Result<(), Failure> {
    let report = RealiseReport::new(plan, statuses);
    let Some(failure) = failure(plan, statuses) else {
        return print(context, args, plan, statuses, &report);
    };
    if !args.json {
        print(context, args, plan, statuses, &report)?;
    }
    Err(Failure {
        done: Some(Box::new(Partial::Realised(report))),
        ..failure
    })
}

fn print(
    context: &Context,
    args: &RealiseArgs,
    plan: &Plan,
    statuses: &[Status],
    report: &RealiseReport,
) -> Result<(), Failure> {
    if args.json {
        return context.printer.json(report);
    }
    for (planned, status) in plan.outputs.iter().zip(statuses) {
        let path = planned.output.store_path();
        let fetcher = planned.fetcher(status.way());
        let line = match status {
            Status::Failed(_) => continue,
            Status::Present | Status::Fetched(..) if !args.dry_run => path.to_string(),
            Status::Planned(_, Some(origin)) => {
                format!("{path}  would be fetched by {fetcher} from {origin}")
            }
            Status::Planned(_, None) => format!("{path}  would be fetched by {fetcher}"),
            Status::Present | Status::Fetched(..) => format!("{path}  is there"),
        };
        context.printer.result(&line)?;
    }
    Ok(())
}

/// Why this is not all that was asked for, if it is not.
fn failure(plan: &Plan, statuses: &[Status]) -> Option<Failure> {
    let failures: Vec<_> = statuses.iter().filter_map(Status::failure).collect();
    let unreadable = plan.unreadable.len();
    let unread = (unreadable > 0).then(|| Failure::usage(""));
    let most_telling = failures
        .iter()
        .copied()
        .chain(&unread)
        .min_by_key(|failure| failure.status.gravity())?;
    let mut problems = Vec::new();
    if !failures.is_empty() {
        problems.push(format!(
            "{} of {} outputs failed",
            failures.len(),
            statuses.len()
        ));
    }
    if unreadable > 0 {
        problems.push(match unreadable {
            1 => "a derivation cannot be read".to_owned(),
            number => format!("{number} derivations cannot be read"),
        });
    }
    Some(Failure {
        status: most_telling.status,
        kind: most_telling.kind,
        ..Failure::usage(format!(
            "{}; the reasons are above",
            problems.join(", and ")
        ))
    })
}

fn defect() -> Failure {
    Failure::from(fetchhost_pipeline::Error::Thread(
        "the reader of derivations".to_owned(),
    ))
}
