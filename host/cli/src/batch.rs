//! Several fetches of one command: in parallel, with one display, one reading of each credential, and one
//! failure at the end.

use std::cell::Cell;
use std::collections::HashSet;

use fetchhost_policy::printable;
use futures_util::{StreamExt as _, stream};

use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::fetching::Session;
use crate::progress::Progress;

/// How many fetches run at once.
const AT_ONCE: usize = 16;

/// How each fetch of a batch ended, by name.
pub(crate) type Ended<T> = Vec<(String, Result<T, Failure>)>;

/// Carries out all `tasks`, which have names of their own, some at once. Each is told when it ends, by the
/// line that it returns. One that fails stops none of the others; after a signal no more begin.
pub(crate) async fn run<T, R, F>(
    context: &Context,
    tasks: Vec<(String, T)>,
    work: impl Fn(T, Session) -> F,
) -> Ended<R>
where
    F: Future<Output = Result<(R, String), Failure>>,
{
    let display = Progress::of_several(context.printer);
    let parts: Vec<_> = tasks
        .into_iter()
        .map(|(name, task)| (display.part(&name), name, task))
        .collect();
    let of = parts.len();
    let session = Session::new(context, display);
    let work = &work;
    let stopped = &Cell::new(false);
    let run = |(part, name, task)| {
        let session = session.share(part);
        async move {
            if stopped.get() {
                return None;
            }
            Some((name, work(task, session).await))
        }
    };
    let mut running = stream::iter(parts).map(run).buffer_unordered(AT_ONCE);
    let mut all = Vec::with_capacity(of);
    // Those that have begun hear a signal themselves, and may be making something visible.
    while let Some(ended) = running.next().await {
        let Some((name, ended)) = ended else {
            continue;
        };
        let count = all.len() + 1;
        let ended = match ended {
            Ok((result, line)) => {
                session
                    .progress()
                    .ended(count, of, &format!("{name}: {line}"));
                Ok(result)
            }
            Err(failure) => {
                let line = printable(failure.message.lines().next().unwrap_or_default());
                session
                    .progress()
                    .ended(count, of, &format!("{name}: failed: {line}"));
                Err(failure)
            }
        };
        if matches!(&ended, Err(failure) if matches!(failure.status, ExitStatus::Signal(_))) {
            stopped.set(true);
        }
        all.push((name, ended));
    }
    drop(running);
    session.end();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

/// What succeeded, and one failure that tells of all that did not, out of `of` fetches.
pub(crate) fn divide<T>(ended: Ended<T>, of: usize) -> (Vec<(String, T)>, Option<Failure>) {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (name, ended) in ended {
        match ended {
            Ok(result) => done.push((name, result)),
            Err(failure) => failed.push((name, failure)),
        }
    }
    (done, summary(failed, of))
}

fn summary(mut failed: Vec<(String, Failure)>, of: usize) -> Option<Failure> {
    let count = failed.len();
    let gravest = failed
        .iter()
        .enumerate()
        .min_by_key(|(_, (_, failure))| failure.status.gravity())?
        .0;
    // Advice that holds for several is given once.
    let mut told = HashSet::new();
    let texts: Vec<_> = failed
        .iter()
        .map(|(name, failure)| {
            let hint = failure.hint.as_ref().filter(|hint| told.insert(*hint));
            let hint = hint
                .map(|hint| format!("\nhint: {hint}"))
                .unwrap_or_default();
            let ticket = failure.ticket.as_ref();
            let ticket = ticket
                .map(|ticket| {
                    format!("\n`nix-fetchhost log {ticket}` shows the record of this run")
                })
                .unwrap_or_default();
            let text = format!("{}{hint}{ticket}", failure.message);
            format!("{name}: {}", text.replace('\n', "\n  "))
        })
        .collect();
    let (_, gravest) = failed.swap_remove(gravest);
    Some(Failure {
        message: format!("{count} of {of} fetches failed\n\n{}", texts.join("\n\n")),
        hint: None,
        done: None,
        ticket: None,
        ..gravest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: ExitStatus, hint: Option<&str>) -> Failure {
        Failure {
            status,
            hint: hint.map(str::to_owned),
            ..Failure::usage(format!("wrong:\n{status:?}"))
        }
    }

    #[test]
    fn the_gravest_failure_gives_the_exit_code_and_all_are_told() {
        let ended = vec![
            ("a".to_owned(), Err(failure(ExitStatus::FetchFailed, None))),
            ("b".to_owned(), Ok(7)),
            (
                "c".to_owned(),
                Err(failure(ExitStatus::HashMismatch, Some("look"))),
            ),
            ("d".to_owned(), Err(failure(ExitStatus::Denied, None))),
        ];
        let (done, failure) = divide(ended, 4);
        assert_eq!(done, [("b".to_owned(), 7)]);
        let failure = failure.unwrap();
        assert_eq!(failure.status, ExitStatus::HashMismatch);
        assert_eq!(
            failure.message,
            "3 of 4 fetches failed\n\na: wrong:\n  FetchFailed\n\n\
             c: wrong:\n  HashMismatch\n  hint: look\n\nd: wrong:\n  Denied"
        );
        let all_well: Ended<u8> = vec![("a".to_owned(), Ok(1))];
        assert!(divide(all_well, 1).1.is_none());
    }
}
