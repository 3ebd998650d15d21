//! `cargo xtask mutants`: breaks one line at a time and sees whether a model or a test notices.
//!
//! `ci/mutants.toml` lists the mutants: what to change, and what must fail. They are applied to
//! a copy of the workspace, so that an interrupted run leaves nothing broken behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;

use crate::Outcome;
use crate::workspace::Workspace;

mod record;

const LIST: &str = "ci/mutants.toml";

/// Many a broken lock hangs, and need not do so for longer than that, in seconds.
const WATCHDOG: &str = "20";

/// The platform that ThreadSanitizer is run on here; its runtime is part of that target.
const HOST: &str = "x86_64-unknown-linux-gnu";

/// Breaks the locks one line at a time, on a copy, and checks that a model or a test fails.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Mutants {
    /// Only the mutants whose name contains one of these.
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Name the mutants without running them.
    #[arg(long)]
    list: bool,

    /// Only those whose tests belong to a package that has changed since they were all killed.
    #[arg(long)]
    changed: bool,

    /// Record the packages whose mutants were all killed, for `--changed`.
    #[arg(long)]
    record: bool,

    /// Not those whose tests belong to this package.
    #[arg(long, value_name = "PACKAGE")]
    except: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask mutants                 all of them; minutes
  cargo xtask mutants seq-lock        those of the sequence lock
  cargo xtask mutants --list          what there is
  cargo xtask mutants --changed       those that a change since the last record may have let live

Exit code: 0 all killed, 1 one survived, 2 could not run (a line to break has moved, say).";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutant: Vec<Mutant>,
}

/// One change and what must notice it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    name: String,
    file: String,
    /// The change is made at the first `find` after this text, which occurs once.
    after: String,
    find: String,
    replace: String,
    killed_by: Killer,
}

/// One run of one test target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
struct Killer {
    tool: Tool,
    package: String,
    /// The test target; for a model it is the tool's name.
    #[serde(default)]
    target: Option<String>,
    /// The tests of it to run.
    tests: String,
    /// The package's features, as cargo takes them.
    #[serde(default)]
    features: String,
    /// One more cfg, besides the tool's own.
    #[serde(default)]
    cfg: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tool {
    Loom,
    Shuttle,
    Test,
    /// A test under ThreadSanitizer; skipped without a nightly toolchain.
    Tsan,
}

pub(crate) fn run(workspace: &Workspace, command: &Mutants) -> Result<Outcome> {
    let list: List = toml::from_str(&workspace.read(LIST)?).context(LIST)?;
    let mut chosen: Vec<&Mutant> = list
        .mutant
        .iter()
        .filter(|mutant| {
            command.names.is_empty() || command.names.iter().any(|name| mutant.name.contains(name))
        })
        .collect();
    if chosen.is_empty() {
        bail!("no mutant is called that; `cargo xtask mutants --list` names them");
    }
    for package in &command.except {
        if !list.mutant.iter().any(|mutant| mutant.killed_by.package == *package) {
            bail!("--except {package}: no mutant belongs to that package");
        }
        println!("{package}: left out");
    }
    chosen.retain(|mutant| !command.except.contains(&mutant.killed_by.package));
    let before = record::hashes(workspace, &list)?;
    if command.changed {
        let unchanged = record::unchanged(workspace, &before)?;
        for package in &unchanged {
            println!("{package}: unchanged since all its mutants were killed");
        }
        chosen.retain(|mutant| !unchanged.contains(&mutant.killed_by.package));
    }
    // All of them before the first: a line that has moved is to be seen at once.
    let broken: Vec<String> =
        chosen.iter().map(|mutant| mutant.apply(workspace)).collect::<Result<_>>()?;
    if command.list {
        for mutant in chosen {
            println!("{:<44} {}", mutant.name, mutant.killed_by);
        }
        return Ok(Outcome::Clean);
    }

    let (chosen, skipped): (Vec<_>, Vec<_>) = chosen
        .into_iter()
        .zip(&broken)
        .partition(|(mutant, _)| mutant.killed_by.tool.is_installed());
    for (mutant, _) in &skipped {
        println!("{:<44} skipped: no nightly toolchain is installed", mutant.name);
    }

    // Models in one copy, tests in another, side by side: a copy's time goes into building one
    // crate after the other.
    let (models, tests): (Vec<_>, Vec<_>) =
        chosen.iter().copied().partition(|(mutant, _)| mutant.killed_by.tool.is_checker());
    // If one half cannot be run, the other is not to go on for an hour.
    let has_failed = AtomicBool::new(false);
    let half = |copy, chosen: &_| {
        let survivors = survivors(workspace, copy, chosen, &has_failed);
        survivors.inspect_err(|_| has_failed.store(true, Relaxed))
    };
    let survivors = thread::scope(|scope| {
        let models = scope.spawn(|| half("models", &models));
        let tests = half("tests", &tests);
        let mut survivors = models.join().expect("it does not panic")?;
        survivors.extend(tests?);
        anyhow::Ok(survivors)
    })?;
    println!(
        "{} mutants: {} killed, {} survived, {} skipped",
        chosen.len() + skipped.len(),
        chosen.len() - survivors.len(),
        survivors.len(),
        skipped.len()
    );
    if command.record {
        let killed = |mutant: &Mutant| {
            chosen.iter().any(|(chosen, _)| chosen.name == mutant.name)
                && !survivors.contains(&mutant.name)
        };
        record::add(workspace, &list, before, killed)?;
    }
    Ok(Outcome::of(!survivors.is_empty()))
}

/// Makes each change in a copy of the workspace; names those that no test has noticed. Ends early if another
/// run `has_failed`.
fn survivors(
    workspace: &Workspace,
    copy: &str,
    chosen: &[(&Mutant, &String)],
    has_failed: &AtomicBool,
) -> Result<Vec<String>> {
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let scratch = Scratch::make(workspace, copy)?;
    // A test that fails anyway would kill everything.
    for killer in chosen.iter().map(|(mutant, _)| &mutant.killed_by).collect::<BTreeSet<_>>() {
        if has_failed.load(Relaxed) {
            break;
        }
        if !scratch.has_tests(killer)? {
            bail!("{killer}: no test has such a name");
        }
        if scratch.run(killer, None)? != Verdict::Survived {
            bail!("{killer}: fails without any mutant");
        }
    }

    let mut survivors = Vec::new();
    for (mutant, broken) in chosen {
        if has_failed.load(Relaxed) {
            break;
        }
        let started = Instant::now();
        let path = scratch.tree.join(&mutant.file);
        let original = fs::read_to_string(&path)?;
        fs::write(&path, broken)?;
        let verdict = scratch.run(&mutant.killed_by, Some(WATCHDOG));
        fs::write(&path, original)?;
        let verdict = verdict?;
        if verdict == Verdict::Survived {
            survivors.push(mutant.name.clone());
        }
        let seconds = started.elapsed().as_secs_f64();
        println!("{:<44} {verdict:<9} {seconds:5.1} s  {}", mutant.name, mutant.killed_by);
    }
    Ok(survivors)
}

impl Mutant {
    /// The text of the file with the change in it.
    fn apply(&self, workspace: &Workspace) -> Result<String> {
        let text = workspace.read(&self.file)?;
        let problem = |what: &str, part: &str| {
            anyhow::anyhow!("{LIST}: mutant {:?}: {what} in {}: {part:?}", self.name, self.file)
        };
        let mut places = text.match_indices(&self.after);
        let (start, _) = places.next().ok_or_else(|| problem("not found", &self.after))?;
        if places.next().is_some() {
            return Err(problem("found more than once", &self.after));
        }
        let at = text[start..].find(&self.find).ok_or_else(|| problem("not found", &self.find))?;
        let (before, rest) = text.split_at(start + at);
        Ok(format!("{before}{}{}", self.replace, &rest[self.find.len()..]))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// A test failed.
    Killed,
    /// A test did not end.
    Hung,
    Survived,
}

/// A copy of the workspace to break.
struct Scratch {
    tree: PathBuf,
    target: PathBuf,
}

impl Scratch {
    fn make(workspace: &Workspace, copy: &str) -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| workspace.path("target"), |dir| workspace.path(PathBuf::from(dir)))
            .join("mutants")
            .join(copy);
        let tree = target.join("tree");
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(workspace.root())
            .output()
            .context("git ls-files: is this a git checkout?")?;
        let mut copies = BTreeSet::new();
        for file in listed.stdout.split(|byte| *byte == 0).filter(|file| !file.is_empty()) {
            let file = Path::new(std::str::from_utf8(file)?);
            let copy = tree.join(file);
            copy_if_changed(&workspace.path(file), &copy)
                .with_context(|| format!("{}: cannot copy it", file.display()))?;
            if workspace.path(file).exists() {
                copies.insert(copy);
            }
        }
        remove_others(&tree, &copies)
            .with_context(|| format!("{}: cannot remove what is no copy", tree.display()))?;
        Ok(Self { tree, target })
    }

    /// Whether there are tests of that name. None of them would notice no mutant.
    fn has_tests(&self, killer: &Killer) -> Result<bool> {
        let listed = self.cargo(killer).args(["--", "--list", &killer.tests]).output()?;
        let listed_tests = String::from_utf8_lossy(&listed.stdout);
        // What does not compile is told when it is run.
        Ok(!listed.status.success() || listed_tests.lines().any(|line| line.ends_with(": test")))
    }

    /// Builds the killer's tests, which must succeed, and runs them. A `watchdog`, in seconds, ends each that
    /// hangs before its own does.
    fn run(&self, killer: &Killer, watchdog: Option<&str>) -> Result<Verdict> {
        let built = self.cargo(killer).arg("--no-run").output()?;
        if !built.status.success() {
            let errors = String::from_utf8_lossy(&built.stderr);
            bail!("{killer}: does not compile: {}", errors.trim());
        }
        let mut tests = self.cargo(killer);
        tests.args(["--", &killer.tests]);
        if let Some(seconds) = watchdog {
            tests.env("PYSYNC_WATCHDOG", seconds);
        }
        let mut child = tests.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            match child.try_wait()? {
                Some(status) if status.success() => return Ok(Verdict::Survived),
                Some(_) => return Ok(Verdict::Killed),
                None if Instant::now() > deadline => {
                    child.kill()?;
                    child.wait()?;
                    return Ok(Verdict::Hung);
                }
                None => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn cargo(&self, killer: &Killer) -> Command {
        let mut cargo = Command::new("cargo");
        // `cargo xtask` runs under the pinned toolchain and says so to its children.
        cargo
            .current_dir(&self.tree)
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("RUSTUP_TOOLCHAIN");
        if killer.tool == Tool::Tsan {
            cargo.arg("+nightly");
        }
        cargo.args(["test", "--package", &killer.package, "--test", killer.target()]);
        cargo.args(["--features", &killer.features]);
        let kind = killer.cfg.as_deref().unwrap_or(killer.tool.name());
        cargo.env("CARGO_TARGET_DIR", self.target.join(kind));
        killer.prepare(&mut cargo, &self.tree);
        cargo
    }
}

/// Unchanged files keep their time stamps, so that cargo rebuilds nothing for them.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    // Listed by git but deleted in the work tree.
    let Ok(contents) = fs::read(from) else { return Ok(()) };
    if fs::read(to).is_ok_and(|old| old == contents) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(to, contents)?;
    Ok(())
}

/// Removes the files below `folder` that an earlier run has copied and that are gone since.
fn remove_others(folder: &Path, copies: &BTreeSet<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_others(&entry.path(), copies)?;
        } else if !copies.contains(&entry.path()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl Killer {
    fn target(&self) -> &str {
        self.target.as_deref().unwrap_or(self.tool.name())
    }

    /// What cargo needs to be told, and to find in its environment.
    fn prepare(&self, cargo: &mut Command, tree: &Path) {
        let mut flags: Vec<String> = self.cfg.iter().map(|cfg| format!("--cfg {cfg}")).collect();
        match self.tool {
            Tool::Loom | Tool::Shuttle => {
                flags.push(format!("--cfg pysync_{}", self.tool.name()));
                cargo.arg("--release");
                if std::env::var_os("LOOM_MAX_PREEMPTIONS").is_none() {
                    cargo.env("LOOM_MAX_PREEMPTIONS", "3");
                }
            }
            Tool::Test => {}
            Tool::Tsan => {
                flags.push("-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer".into());
                let suppressions = tree.join("ci/tsan.supp");
                cargo.args(["--target", HOST]);
                cargo.env("TSAN_OPTIONS", format!("suppressions={}", suppressions.display()));
            }
        }
        if !flags.is_empty() {
            cargo.env("RUSTFLAGS", flags.join(" "));
        }
    }
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Loom => "loom",
            Self::Shuttle => "shuttle",
            Self::Test => "test",
            Self::Tsan => "tsan",
        }
    }

    fn is_checker(self) -> bool {
        matches!(self, Self::Loom | Self::Shuttle)
    }

    fn is_installed(self) -> bool {
        let nightly = || {
            let version = Command::new("cargo").args(["+nightly", "--version"]).output();
            version.is_ok_and(|output| output.status.success())
        };
        self != Self::Tsan || nightly()
    }
}

impl std::fmt::Display for Killer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tool = self.tool.name();
        write!(f, "{tool} {} {} {}", self.package, self.target(), self.tests)?;
        self.cfg.iter().try_for_each(|cfg| write!(f, " --cfg {cfg}"))
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Killed => "killed",
            Self::Hung => "hung",
            Self::Survived => "SURVIVED",
        })
    }
}
