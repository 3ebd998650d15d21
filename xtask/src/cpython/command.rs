//! Runs a tool: its output into a log, a line of progress while it works, and one line if it
//! fails.

use std::fs::{self, File};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Runs `command` and fails if it does. `count` makes of its log what to show as progress.
pub(crate) fn run(
    title: &str,
    command: &mut Command,
    log: &Path,
    count: Option<fn(&str) -> String>,
) -> Result<()> {
    let started = Instant::now();
    let mut child = spawn(command, log)?;
    let mut shown = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(50));
        let every = Duration::from_secs(if std::io::stderr().is_terminal() { 2 } else { 60 });
        if shown.elapsed() > every {
            shown = Instant::now();
            let text = fs::read_to_string(log).unwrap_or_default();
            let done = count.map(|count| count(&text)).unwrap_or_default();
            heartbeat(&format!("{title} {} {done}", seconds(started.elapsed())));
        }
    };
    clear_progress();
    if !status.success() {
        bail!("{title}: {}; the whole log: {}", reason(status, log), log.display());
    }
    say(&format!("{title:<44} {}", seconds(started.elapsed())));
    Ok(())
}

/// What became of a command that has a time limit.
pub(crate) enum Ended {
    Exit(ExitStatus),
    TimedOut,
}

/// Runs `command` for `limit` at the most.
pub(crate) fn run_limited(command: &mut Command, log: &Path, limit: Duration) -> Result<Ended> {
    let started = Instant::now();
    let mut child = spawn(command, log)?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::Exit(status));
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(Ended::TimedOut);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What `command` prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().with_context(|| shown.clone())?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{shown}: {}: {}", output.status, errors.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn spawn(command: &mut Command, log: &Path) -> Result<Child> {
    let out = File::create(log).with_context(|| log.display().to_string())?;
    let err = out.try_clone()?;
    let shown = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().with_context(|| shown)
}

/// The first line of the log that explains the failure.
fn reason(status: ExitStatus, log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let explains = |line: &&str| line.contains("error:") || line.contains("rror ");
    let line = text.lines().find(explains).or_else(|| text.lines().last()).unwrap_or("no output");
    format!("{status}: {}", line.trim())
}

/// A line that stays.
pub(crate) fn say(line: &str) {
    clear_progress();
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// A line that the next one replaces; for a terminal only.
pub(crate) fn progress(line: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{line}");
    }
}

/// A sign of life from a tool that takes long; in a log, once a minute.
fn heartbeat(line: &str) {
    if std::io::stderr().is_terminal() {
        progress(line);
    } else {
        eprintln!("{line}");
    }
}

fn clear_progress() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

pub(crate) fn seconds(took: Duration) -> String {
    let secs = took.as_secs();
    match secs {
        0..10 => format!("{:.1} s", took.as_secs_f64()),
        10..60 => format!("{secs} s"),
        _ => format!("{} min {:02} s", secs / 60, secs % 60),
    }
}
