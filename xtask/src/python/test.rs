//! What was built, in an environment without anything else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::cli::TestArgs;
use super::environment::Environment;
use super::interpreter::Interpreter;
use super::work::Work;
use crate::Outcome;
use crate::cpython::command::{Ended, run_limited, say, seconds};

/// A hang.
const LIMIT: Duration = Duration::from_secs(600);

/// Runs the examples in the docstrings of each module.
const DOCTESTS: &str = "\
import doctest, importlib, pkgutil, sys, pysync
names = [module.name for module in pkgutil.walk_packages(pysync.__path__, 'pysync.')]
results = [doctest.testmod(importlib.import_module(name)) for name in ['pysync', *names]]
print(sum(result.attempted for result in results), 'examples in', len(results), 'modules')
sys.exit(any(result.failed for result in results))";

/// Runs the checks of one interpreter.
struct Checks<'a> {
    work: &'a Work,
    interpreter: &'a Interpreter,
    problems: bool,
}

pub(crate) fn run(
    work: &Work,
    interpreter: &Interpreter,
    wheel: &Path,
    args: &TestArgs,
) -> Result<Outcome> {
    let installed = Environment::create(work, interpreter, "installed")?;
    installed.install_wheel(work, interpreter, wheel)?;
    // The package has no dependencies, and what tests it comes after it.
    let mut tools = work.groups.test.clone();
    if args.pytest.is_empty() {
        tools.extend(work.groups.examples.iter().cloned());
    }
    let checks_types = !interpreter.is_free_threaded && args.pytest.is_empty();
    if checks_types {
        tools.extend(work.groups.types.iter().cloned());
    }
    installed.install(work, interpreter, &tools)?;

    let python = installed.python();
    let mut checks = Checks { work, interpreter, problems: false };
    let mut pytest = checks.python(&python);
    pytest.args(["-X", "faulthandler", "-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    pytest.args(["--timeout", "300"]).args(&args.pytest).arg(work.package.join("tests"));
    checks.run("pytest", &mut pytest)?;
    if !args.pytest.is_empty() {
        return Ok(Outcome::of(checks.problems));
    }

    let upstream = work.package.join("tests/upstream/run.py");
    if upstream.exists() {
        checks.run("bocpy's tests", checks.python(&python).arg(upstream))?;
    }
    checks.run("docstrings", checks.python(&python).args(["-c", DOCTESTS]))?;
    for example in examples(&work.package.join("examples"))? {
        let name = example.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        checks.run(&format!("example {name}"), checks.python(&python).arg(&example))?;
    }
    if checks_types {
        // In the folder of the stubs, so that it is they that are checked.
        let mut mypy = checks.python(&python);
        mypy.args(["-m", "mypy", "--strict", "--no-incremental", "--package", "pysync"]);
        mypy.current_dir(work.package.join("python"));
        checks.run("mypy", &mut mypy)?;
        let mut stubtest = checks.python(&python);
        stubtest.args(["-m", "mypy.stubtest", "pysync"]);
        let allowed = work.package.join("stubtest.txt");
        if allowed.exists() {
            stubtest.arg("--allowlist").arg(allowed);
        }
        checks.run("stubtest", &mut stubtest)?;
    }
    Ok(Outcome::of(checks.problems))
}

/// The scripts in a folder, by name.
fn examples(folder: &Path) -> Result<Vec<PathBuf>> {
    let shown = || folder.display().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(shown)? {
        let path = entry.with_context(shown)?.path();
        if path.extension().is_some_and(|extension| extension == "py") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

impl Checks<'_> {
    fn python(&self, python: &Path) -> Command {
        let mut command = self.work.command(python);
        // The tests are in a checkout, which stays as it is.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Runs one of them, and says in a line how it went.
    fn run(&mut self, title: &str, command: &mut Command) -> Result<()> {
        let log = self.work.log(self.interpreter, &title.replace([' ', '\''], "-"))?;
        let started = Instant::now();
        let ended = run_limited(command, &log, LIMIT)?;
        let said = fs::read(&log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        let how = match ended {
            Ended::Exit(status) if status.success() => {
                lines.last().map_or("ok", |line| line.trim()).trim_matches('=').trim().to_owned()
            }
            Ended::Exit(status) => format!("FAILED, {status}"),
            Ended::TimedOut => format!("FAILED, not done in {}", seconds(LIMIT)),
        };
        let took = seconds(started.elapsed());
        say(&format!("{:<24} {took:>8}  {how}", format!("{}: {title}", self.interpreter.name)));
        if how.starts_with("FAILED") {
            self.problems = true;
            for line in &lines[lines.len().saturating_sub(40)..] {
                say(&format!("    {line}"));
            }
            say(&format!("    the whole log: {}", log.display()));
        }
        Ok(())
    }
}
