//! `cargo xtask ci`: runs the scripts of `ci/` one after another and says how each went.
//!
//! A step is a script that also runs by itself. It exits 0 when it is happy, and when it cannot
//! run here (no nightly, say) it exits 0 after a last line that begins with `skipped`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};

use crate::Outcome;
use crate::workspace::Workspace;

/// Every step, in the order in which `cargo xtask ci` runs them: what fails soonest goes first.
const STEPS: [&str; 19] = [
    "fmt",
    "clippy",
    "doc",
    "msrv",
    "dependents",
    "package",
    "targets",
    "test",
    "robust",
    "parity",
    "site",
    "loom",
    "shuttle",
    "sanitize",
    "miri",
    "bench",
    "cpython",
    "python",
    "mutants",
];

/// Runs the CI steps, each a script of `ci/`: all of them, or the named ones in the given order.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Ci {
    /// The steps to run (default: all of them).
    #[arg(value_name = "STEP")]
    steps: Vec<String>,

    /// Run the remaining steps after one has failed.
    #[arg(long)]
    keep_going: bool,
}

const EXAMPLES: &str = "\
Steps: fmt clippy doc msrv dependents package targets test robust parity site loom shuttle sanitize
miri bench cpython python mutants; each is the script ci/STEP.sh.

Examples:
  cargo xtask ci                     all of them, until one fails
  cargo xtask ci --keep-going        the same, whatever fails
  cargo xtask ci fmt clippy doc      before a commit

Exit code: 0 all ok or skipped, 1 a step failed, 2 could not run.";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Failed,
    Skipped,
    NotRun,
}

struct Run {
    step: String,
    verdict: Verdict,
    took: Duration,
}

pub(crate) fn run(workspace: &Workspace, ci: &Ci) -> Result<Outcome> {
    let steps: Vec<&str> = if ci.steps.is_empty() {
        STEPS.to_vec()
    } else {
        ci.steps.iter().map(String::as_str).collect()
    };
    // Before the first step and not in the middle of an hour's work.
    for step in &steps {
        if !STEPS.contains(step) {
            bail!("no CI step is called {step:?}; the steps are {}", STEPS.join(", "));
        }
        if !workspace.path(script(step)).is_file() {
            bail!("{}: no such script; the step {step} is that file", script(step));
        }
    }

    let mut runs: Vec<Run> = Vec::new();
    for step in steps {
        let stop = !ci.keep_going && runs.iter().any(|run| run.verdict == Verdict::Failed);
        runs.push(if stop {
            Run { step: step.to_owned(), verdict: Verdict::NotRun, took: Duration::ZERO }
        } else {
            writeln!(anstream::stdout(), "==> {step}")?;
            run_step(workspace, step)?
        });
    }
    writeln!(anstream::stdout(), "\n{}", summary(&runs).trim_fmt())?;
    Ok(Outcome::of(runs.iter().any(|run| run.verdict == Verdict::Failed)))
}

fn script(step: &str) -> String {
    format!("ci/{step}.sh")
}

/// Runs one script. Its output goes straight through; we only remember the last line.
fn run_step(workspace: &Workspace, step: &str) -> Result<Run> {
    let started = Instant::now();
    let mut child = Command::new("bash")
        .arg(script(step))
        .current_dir(workspace.root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{}: cannot start bash", script(step)))?;

    let mut last_line = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            let mut out = std::io::stdout().lock();
            out.write_all(&line)?;
            out.flush()?;
            if !line.trim_ascii().is_empty() {
                last_line.clone_from(&line);
            }
            line.clear();
        }
    }
    let status = child.wait().with_context(|| script(step))?;

    let verdict = if !status.success() {
        Verdict::Failed
    } else if last_line.trim_ascii_start().starts_with(b"skipped") {
        Verdict::Skipped
    } else {
        Verdict::Ok
    };
    Ok(Run { step: step.to_owned(), verdict, took: started.elapsed() })
}

fn summary(runs: &[Run]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["step", "seconds", "result"]);
    for run in runs {
        let seconds = match run.verdict {
            Verdict::NotRun => String::new(),
            _ => format!("{:.1}", run.took.as_secs_f64()),
        };
        table.add_row([run.step.clone(), seconds, run.verdict.label()]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

impl Verdict {
    /// Coloured; `anstream` drops the colours where they are not wanted.
    fn label(self) -> String {
        let (word, colour) = match self {
            Self::Ok => ("ok", AnsiColor::Green),
            Self::Failed => ("FAILED", AnsiColor::Red),
            Self::Skipped => ("skipped", AnsiColor::Yellow),
            Self::NotRun => ("not run", AnsiColor::BrightBlack),
        };
        let style = Style::new().fg_color(Some(colour.into()));
        format!("{style}{word}{style:#}")
    }
}
