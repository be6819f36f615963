//! `nix-fetchhost run FETCHER --each NAME=LIST`: once for each file of a list, in parallel.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use fetchhost_pipeline::Expectation;
use fetchhost_policy::printable;

use crate::args::RunArgs;
use crate::batch;
use crate::catalog::Selected;
use crate::context::Context;
use crate::failure::Failure;
use crate::fetching::{self, Fetching, Request, Typed, Wanted};
use crate::report::{EachReport, ResultReport};
use crate::signing;

/// The longest list, in bytes.
const MAX_LIST: u64 = 16 * 1024 * 1024;

/// Runs the fetcher once for each file, with one unlocking of each key.
pub(crate) async fn each(
    context: &Context,
    selected: Selected,
    args: &RunArgs,
    matches: &ArgMatches,
    each: &str,
) -> Result<(), Failure> {
    let Some((input, list)) = each.split_once('=') else {
        return Err(
            Failure::usage(format!("`--each {each}` has no `=`")).with_hint(
                "write `--each NAME=FILE`, a file with one path in each line, or `-` for stdin",
            ),
        );
    };
    let paths = read(list)?;
    let description = selected.description()?;
    let expectation = fetching::expectation(context, &selected, None)?.ok_or_else(|| {
        Failure::usage("`--each` is for fetchers that sign: others need a hash for each file")
    })?;
    let typed = Typed::new(&selected, &args.fetch, matches)?;
    let (_, name) =
        fetching::mode_and_name(description, &typed.params.object, &args.fetch.output, "--")?;
    let destinations = Destinations::new(&args.fetch.to, name.as_str(), &paths)?;
    let tasks = paths
        .iter()
        .enumerate()
        .map(|(index, path)| {
            let name = printable(&path.to_string_lossy()).into_owned();
            (name, index)
        })
        .collect();
    let ended = batch::run(context, tasks, |index: usize, session| {
        let (selected, typed) = (selected.clone(), &typed);
        let (paths, destinations) = (&paths, &destinations);
        let expectation = &expectation;
        async move {
            let path = &paths[index];
            let mut inputs = args.fetch.input.clone();
            // Not UTF-8: what cannot be written as a flag cannot be told either.
            let text = path
                .to_str()
                .ok_or_else(|| Failure::usage("the path is not UTF-8"))?;
            inputs.push(format!("{input}={text}"));
            let request = Request {
                params: typed.params.object.clone(),
                output: &args.fetch.output,
                consent: Some(typed.consent.clone()),
                expectation: Expectation::clone(expectation),
                wanted: Wanted {
                    to: &destinations.of(path),
                    default: Some("store"),
                    ..Wanted::default()
                },
                inputs: signing::open_typed(selected.description()?, &inputs)?,
                remembering: None,
            };
            let fetching = Fetching::prepare(context, &session, selected, request)?;
            let (_, report) = fetching
                .run(context, &args.fetch.fetcher, args.fetch.timeout, None)
                .await?;
            let line = report.store_path().to_owned();
            Ok(((index, report), line))
        }
    })
    .await;
    let (done, failure) = batch::divide(ended, paths.len());
    let mut done: Vec<(usize, ResultReport)> = done.into_iter().map(|(_, one)| one).collect();
    done.sort_by_key(|(index, _)| *index);
    if args.fetch.json {
        let results = done
            .iter()
            .map(|(index, report)| (paths[*index].to_string_lossy().into_owned(), report));
        context.printer.json(&EachReport::new(results))?;
    } else {
        for (_, report) in &done {
            context.printer.result(report.store_path())?;
        }
    }
    failure.map_or(Ok(()), Err)
}

/// The paths of a list: one in each line, or separated by NUL where there is one. Each counts once.
fn read(list: &str) -> Result<Vec<PathBuf>, Failure> {
    let refuse = |problem: String| {
        Failure::usage(format!("the list `{}`: {problem}", printable(list)))
            .with_hint("it has one path in each line; `find … -print0` separates them by NUL")
    };
    let mut text = String::new();
    let read = match list {
        "-" => std::io::stdin()
            .take(MAX_LIST + 1)
            .read_to_string(&mut text),
        path => File::open(path).and_then(|file| file.take(MAX_LIST + 1).read_to_string(&mut text)),
    };
    read.map_err(|error| refuse(error.to_string()))?;
    if text.len() as u64 > MAX_LIST {
        return Err(refuse(format!("it is longer than {} MiB", MAX_LIST >> 20)));
    }
    let separator = if text.contains('\0') { '\0' } else { '\n' };
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for line in text.split(separator).filter(|line| !line.is_empty()) {
        if seen.insert(line) {
            paths.push(line.into());
        }
    }
    match paths.is_empty() {
        true => Err(refuse("it names nothing".to_owned())),
        false => Ok(paths),
    }
}

/// Where the result for each file goes.
struct Destinations<'a> {
    to: &'a [String],
    /// What the name of a file of `out:` ends with.
    suffix: String,
}

impl<'a> Destinations<'a> {
    fn new(to: &'a [String], name: &str, paths: &[PathBuf]) -> Result<Self, Failure> {
        let suffix = Path::new(name)
            .extension()
            .map(|extension| format!(".{}", extension.to_string_lossy()))
            .unwrap_or_default();
        for folder in to.iter().filter_map(|to| to.strip_prefix("out:")) {
            let mut names = HashMap::new();
            for path in paths {
                let Some(name) = path.file_name() else {
                    return Err(Failure::usage(format!("`{}` is no file", path.display())));
                };
                if let Some(other) = names.insert(name, path) {
                    return Err(Failure::usage(format!(
                        "`{}` and `{}` would both be written to `{}`",
                        printable(&other.to_string_lossy()),
                        printable(&path.to_string_lossy()),
                        printable(&format!("{folder}/{}{suffix}", name.to_string_lossy())),
                    ))
                    .with_hint("sign them in two runs, with a folder for each"));
                }
            }
            match std::fs::create_dir(folder) {
                Err(error) if !Path::new(folder).is_dir() => {
                    return Err(Failure::usage(format!("`out:{folder}`: {error}"))
                        .with_hint("with `--each`, `out:` names a folder for all results"));
                }
                _ => {}
            }
        }
        Ok(Self { to, suffix })
    }

    fn of(&self, path: &Path) -> Vec<String> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let of = |to: &String| match to.strip_prefix("out:") {
            Some(folder) => format!("out:{}/{name}{}", folder.trim_end_matches('/'), self.suffix),
            None => to.clone(),
        };
        self.to.iter().map(of).collect()
    }
}
