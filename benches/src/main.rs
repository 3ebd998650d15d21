//! `lockbench`: locks under contention beside their peers. `lockbench --help` says how.

mod cli;
mod family;
mod harness;
mod model;
mod mutex;
mod report;
mod runner;
mod stats;
mod work;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use cli::{Cli, FamilyName, Matrix};
use model::{Machine, Report, SCHEMA};
use runner::{Plan, Progress};

/// What all measurements of a run may take together if nothing else is said.
const QUICK: Duration = Duration::from_secs(50);
/// A window of `--full`.
const FULL_WINDOW: Duration = Duration::from_millis(200);
/// Threads to start and join, and the warm-up, which is a tenth of the window.
const START: Duration = Duration::from_millis(1);
const WARM_UP: f64 = 1.1;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // --help, which is no error.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            let message = error.render().to_string();
            let first = message.lines().next().unwrap_or("").trim_start_matches("error: ");
            eprintln!("lockbench: {first}; try --help");
            return ExitCode::from(2);
        }
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lockbench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    // Whatever can be wrong with the arguments is found before a minute's or an hour's work.
    let matrix = cli.matrix()?;
    let old = cli.compare.as_deref().map(report::compare::read).transpose()?;
    for path in [&cli.json, &cli.html, &cli.trace].into_iter().flatten() {
        writable(path)?;
    }
    if let Some(path) = &cli.trace {
        return write(path, &family::boc::trace::page(matrix.threads_or(&[2])[0])?);
    }
    if let Some(dir) = &cli.libpython {
        let from = mutex::libpython::load(dir)?;
        eprintln!("lockbench: PyMutex comes from {from}");
    }
    let mut machine = Machine::here();
    if machine.load.0 > 0.5 {
        eprintln!("lockbench: the load average is {}; others are at work here", machine.load.0);
    }

    let plans: Vec<Plan> =
        cli.families().iter().flat_map(|&family| plans(family, cli, &matrix)).collect();
    let runs: usize = plans.iter().map(|plan| plan.runs(cli.rounds)).sum();
    let window = cli.window.unwrap_or_else(|| window(cli, runs));
    let mut progress = Progress::new(runs);
    let families =
        plans.iter().map(|plan| runner::run(plan, cli.rounds, window, &mut progress)).collect();
    progress.finish();
    machine.load.1 = model::load();

    let report = Report {
        schema: SCHEMA.to_owned(),
        machine,
        rounds: cli.rounds,
        window_ms: window.as_secs_f64() * 1000.0,
        unit_ns: work::unit_ns(),
        families,
    };
    show(cli, &report, old.as_ref())
}

fn plans(family: FamilyName, cli: &Cli, matrix: &Matrix) -> Vec<Plan> {
    vec![match family {
        FamilyName::Mutex => mutex::plan(matrix),
        FamilyName::Rwlock => family::rw_lock::plan(matrix),
        FamilyName::Seqlock => family::seq_lock::plan(matrix),
        FamilyName::Wake => family::wake::plan(matrix),
        FamilyName::PingPong => family::ping_pong::plan(),
        FamilyName::Bucket => family::bucket::plan(cli.full),
        FamilyName::Cond => family::cond::plan(matrix, cli.full),
        FamilyName::Buffer => family::buffer::plan(),
        FamilyName::Semaphore => family::semaphore::plan(matrix),
        FamilyName::Timeout => family::timeout::plan(),
        FamilyName::Memory => family::memory::plan(),
        FamilyName::Robust => return family::robust::plans(matrix, cli.full),
        FamilyName::Queues => return family::queues::plans(cli.full),
        FamilyName::Boc => return family::boc::plans(matrix, cli.full, cli.verona.as_deref()),
        FamilyName::Counts => return family::counts::plans(matrix),
        FamilyName::Deadlock => return family::deadlock::plans(matrix, cli.full),
        // What it stands for is in the list already.
        FamilyName::All => return Vec::new(),
    }]
}

/// The longest window with which the run stays within its time.
fn window(cli: &Cli, runs: usize) -> Duration {
    if cli.full {
        return FULL_WINDOW;
    }
    let each = QUICK / u32::try_from(runs.max(1)).unwrap_or(u32::MAX);
    each.saturating_sub(START).div_f64(WARM_UP).clamp(Duration::from_millis(1), FULL_WINDOW)
}

fn show(cli: &Cli, report: &Report, old: Option<&Report>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let machine = &report.machine;
    writeln!(
        out,
        "{}, {} cores; medians of {} rounds of {:.0} ms; a unit of work is {:.2} ns",
        machine.cpu, machine.cores, report.rounds, report.window_ms, report.unit_ns
    )?;
    for family in &report.families {
        writeln!(out, "\n{}", report::table::render(family, &cli.show).trim_end())?;
    }
    if let Some(path) = &cli.json {
        write(path, &serde_json::to_string_pretty(report)?)?;
    }
    if let Some(path) = &cli.html {
        write(path, &report::html::render(report)?)?;
    }
    if let Some(old) = old {
        write!(out, "\n{}", report::compare::render(old, report))?;
    }
    Ok(())
}

/// Whether the file can be written later; what it holds stays until then.
fn writable(path: &Path) -> Result<()> {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    file.map(drop).with_context(|| format!("{}: cannot be written", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("{}: cannot be written", path.display()))
}
