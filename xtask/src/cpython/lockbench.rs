//! CPython's own lock benchmark, with both interpreters in turns.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::cli::LockbenchArgs;
use super::command::{output, progress, say};
use super::work::{Variant, Work};
use super::{build, plot};
use crate::Outcome;
use crate::workspace::Workspace;

/// Runs lockbench's own main, without the half of it that measures pthread's locks.
const DRIVER: &str = "\
import sys
sys.path.insert(0, sys.argv[1])
import lockbench
measure = lockbench.benchmark_locks
def only_pymutex(threads, use_pymutex, length):
    return measure(threads, True, length) if use_pymutex else (0.0, [1])
lockbench.benchmark_locks = only_pymutex
lockbench.CRITICAL_SECTION_LENGTH = int(sys.argv[2])
lockbench.main()
";

/// What a round runs: the baseline twice, for the noise.
const ORDER: [(Series, Variant); 4] = [
    (Series::Baseline, Variant::Baseline),
    (Series::Rust, Variant::Rust),
    (Series::Again, Variant::Baseline),
    (Series::Faithful, Variant::Faithful),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Series {
    Baseline,
    Rust,
    Again,
    Faithful,
}

/// One line of lockbench's table.
#[derive(Clone, Copy, Debug, Serialize)]
struct Sample {
    kilohertz: f64,
    fairness: f64,
}

/// A cell of the matrix: a section length and a number of threads.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) section: u32,
    pub(super) threads: u32,
    /// Medians, in thousands of acquisitions a second.
    pub(super) baseline: f64,
    pub(super) rust: f64,
    pub(super) baseline_again: f64,
    /// Ours, waiting as C does.
    pub(super) faithful: f64,
    /// Ours over the baseline's, and the baseline's second run over its first.
    pub(super) ratio: f64,
    pub(super) noise: f64,
    pub(super) baseline_fairness: f64,
    pub(super) rust_fairness: f64,
    pub(super) faithful_fairness: f64,
    samples: BTreeMap<Series, Vec<Sample>>,
}

pub(crate) fn run(workspace: &Workspace, work: &Work, args: &LockbenchArgs) -> Result<Outcome> {
    build::with_pysync(workspace, work, Variant::Faithful)?;
    let mut samples: BTreeMap<(u32, u32), BTreeMap<Series, Vec<Sample>>> = BTreeMap::new();
    for round in 1..=args.rounds {
        for &section in &args.sections {
            // Each takes each place in turn: a machine that warms up slows down the later ones.
            let mut order = ORDER;
            order.rotate_left(round % ORDER.len());
            for (series, variant) in order {
                progress(&format!(
                    "lockbench: round {round} of {}, section {section}, {}",
                    args.rounds,
                    variant.name()
                ));
                for (threads, sample) in measure(work, variant, section)? {
                    let cell = samples.entry((section, threads)).or_default();
                    cell.entry(series).or_default().push(sample);
                }
            }
        }
    }
    let rows: Vec<Row> = samples.into_iter().map(row).collect();
    say(&format!(
        "\nlockbench, medians of {} rounds, kHz\n{}",
        args.rounds,
        table(&rows).trim_fmt()
    ));

    let json = work.report("lockbench", "json")?;
    fs::write(&json, serde_json::to_string_pretty(&rows)?)?;
    let svg = work.report("lockbench", "svg")?;
    plot::draw(&svg, &rows)?;
    say(&format!("in {} and {}", json.display(), svg.display()));
    Ok(Outcome::Clean)
}

fn measure(work: &Work, variant: Variant, section: u32) -> Result<Vec<(u32, Sample)>> {
    let mut command = work.command(work.python(variant), variant);
    command
        .args(["-c", DRIVER])
        .arg(work.source().join("Tools/lockbench"))
        .arg(section.to_string());
    let samples: Vec<_> = output(&mut command)?.lines().filter_map(sample).collect();
    if samples.is_empty() {
        bail!("lockbench.py printed no line for PyMutex");
    }
    Ok(samples)
}

/// `PyMutex   2   31331   0.99`.
fn sample(line: &str) -> Option<(u32, Sample)> {
    let mut words = line.split_whitespace();
    if words.next()? != "PyMutex" {
        return None;
    }
    let threads = words.next()?.parse().ok()?;
    let kilohertz = words.next()?.parse().ok()?;
    let fairness = words.next()?.parse().ok()?;
    Some((threads, Sample { kilohertz, fairness }))
}

fn row(((section, threads), samples): ((u32, u32), BTreeMap<Series, Vec<Sample>>)) -> Row {
    let of = |series, value: fn(&Sample) -> f64| {
        median(samples.get(&series).map(Vec::as_slice).unwrap_or_default(), value)
    };
    let rate = |sample: &Sample| sample.kilohertz;
    let fairness = |sample: &Sample| sample.fairness;
    let (baseline, rust, again) =
        (of(Series::Baseline, rate), of(Series::Rust, rate), of(Series::Again, rate));
    // Against both runs of the baseline, so that a drift of the machine hits neither side.
    let reference = (baseline + again) / 2.0;
    Row {
        section,
        threads,
        baseline,
        rust,
        baseline_again: again,
        faithful: of(Series::Faithful, rate),
        ratio: rust / reference,
        noise: again / baseline,
        baseline_fairness: of(Series::Baseline, fairness),
        rust_fairness: of(Series::Rust, fairness),
        faithful_fairness: of(Series::Faithful, fairness),
        samples,
    }
}

fn median(samples: &[Sample], value: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "section", "threads", "baseline", "again", "rust", "ratio", "noise", "faithful", "Jain C",
        "ours", "faithful",
    ]);
    for row in rows {
        table.add_row([
            row.section.to_string(),
            row.threads.to_string(),
            format!("{:.0}", row.baseline),
            format!("{:.0}", row.baseline_again),
            format!("{:.0}", row.rust),
            format!("{:.2}", row.ratio),
            format!("{:.2}", row.noise),
            format!("{:.0}", row.faithful),
            format!("{:.2}", row.baseline_fairness),
            format!("{:.2}", row.rust_fairness),
            format!("{:.2}", row.faithful_fairness),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
        column.set_padding((0, 2));
    }
    table
}

/// The rows of one section length, by threads.
pub(super) fn of_section(rows: &[Row], section: u32) -> Result<Vec<&Row>> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.section == section).collect();
    rows.first().context("no such section")?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::{Sample, median, sample};

    #[test]
    fn reads_lockbenchs_table() {
        let (threads, sample) =
            sample("PyMutex             10                46220                0.82").unwrap();
        assert_eq!((threads, sample.kilohertz, sample.fairness), (10, 46220.0, 0.82));
        assert!(super::sample("PyThread_type_lock  1   2   1.00").is_none());
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let samples = [4.0, 1.0, 3.0, 2.0].map(|kilohertz| Sample { kilohertz, fairness: 1.0 });
        assert_eq!(median(&samples, |sample| sample.kilohertz), 2.5);
        assert_eq!(median(&samples[..3], |sample| sample.kilohertz), 3.0);
    }
}
