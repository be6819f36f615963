//! `cargo xtask bench`: what the host costs, as ratios to tools that people use today.
//!
//! All files lie on tmpfs, so that no disk is measured; the server, the host and what it is
//! compared with are release builds, and what is compared runs in turn, in one run.

mod gateway;
mod push;
mod realise;
mod rows;
mod setup;

use std::time::Duration;

use anyhow::{Result, bail};

use crate::measure::{Cost, median};

/// The rows in the order in which they are printed.
const ROWS: &[(&str, Row)] = &[
    ("large", rows::large),
    ("small", rows::small),
    ("overhead", rows::overhead),
    ("tree", rows::tree),
    ("realise", realise::realise),
    ("gateway", gateway::gateway),
    ("push", push::push),
    ("instantiate", rows::instantiate),
    ("memory", rows::memory),
    ("size", rows::size),
];

type Row = fn(&setup::Setup) -> Result<()>;

/// Measures the named rows, or all.
pub(crate) fn run(names: &[String]) -> Result<()> {
    if let Some(unknown) = names
        .iter()
        .find(|name| ROWS.iter().all(|(row, _)| row != name))
    {
        let known: Vec<_> = ROWS.iter().map(|(row, _)| *row).collect();
        bail!("no row `{unknown}`; there are {}", known.join(", "));
    }
    let setup = setup::Setup::new()?;
    warn_if_busy();
    for (row, measure) in ROWS {
        if names.is_empty() || names.iter().any(|name| name == row) {
            measure(&setup)?;
        }
    }
    Ok(())
}

/// Says so when other work takes processors away: then only processor times and memory count.
fn warn_if_busy() {
    // The number of runnable threads, this one included: the averages still remember the build.
    let runnable = || {
        std::thread::sleep(Duration::from_millis(100));
        let text = std::fs::read_to_string("/proc/loadavg").ok()?;
        text.split(' ').nth(3)?.split('/').next()?.parse().ok()
    };
    let fewest: u32 = (0..10).filter_map(|_| runnable()).min().unwrap_or(1);
    if fewest > 1 {
        println!("other work runs on this machine: take no wall clock below at its word");
    }
}

/// Prints one comparison as a ratio to its target.
fn compare(what: &str, ours: Duration, other: &str, theirs: Duration, target: f64) {
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64().max(f64::MIN_POSITIVE);
    let verdict = if ratio <= target { "pass" } else { "SHORT" };
    println!(
        "{what:<46} {:>10}   {other:<28} {:>10}   ratio {ratio:>5.2}   target ≤ {target:<4}  {verdict}",
        show(ours),
        show(theirs),
    );
}

/// Prints one quantity in MiB with its bound.
fn bound(what: &str, bytes: u64, target_mib: u64) {
    let mib = bytes as f64 / f64::from(1 << 20);
    let verdict = if mib <= target_mib as f64 {
        "pass"
    } else {
        "SHORT"
    };
    let (nothing, value) = ("", format!("{mib:.1} MiB"));
    println!(
        "{what:<46} {value:>10}   {nothing:<28} {nothing:>10}   {nothing:<11}   target ≤ {target_mib} MiB  {verdict}"
    );
}

fn show(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 0.1 => format!("{:.2} ms", seconds * 1e3),
        seconds => format!("{seconds:.2} s"),
    }
}

/// One thing that is measured, run as often as asked.
type Competitor<'a> = &'a dyn Fn() -> Result<Cost>;

/// Runs all competitors `times` times, in turn so that a busy moment of the machine hits each, and
/// returns the median cost of each.
fn medians(times: usize, competitors: &[Competitor<'_>]) -> Result<Vec<Cost>> {
    let mut costs = vec![Vec::new(); competitors.len()];
    for _ in 0..times {
        for (competitor, costs) in competitors.iter().zip(&mut costs) {
            costs.push(competitor()?);
        }
    }
    Ok(costs.iter().map(|costs| median(costs)).collect())
}
