//! Both interpreters: configured once, built side by side.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::cli::Sanitizer;
use super::command::{run as run_tool, say};
use super::work::{Stamp, Variant, Work};
use super::{graft, need, proof, source};
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, work: &Work, given: Option<&Path>) -> Result<()> {
    let baseline = work.folder(Variant::Baseline);
    need::check(work, !baseline.exists())?;
    let version = source::prepare(work, given)?;
    say(&format!("CPython {version} in {}", work.root.display()));

    configure(work, &baseline)?;
    if !Stamp::new(&baseline, "built").is_set() {
        make(work, Variant::Baseline)?;
        Stamp::new(&baseline, "built").set()?;
    }

    let rust = work.folder(Variant::Rust);
    if !rust.exists() {
        copy(&baseline, &rust, work)?;
    }
    let built = Stamp::new(&rust, "built");
    let objects = graft::objects(workspace, work)?;
    if graft::install(&objects, &rust)? || !built.is_set() {
        make(work, Variant::Rust)?;
        built.set()?;
    }
    proof::prove(work)
}

fn configure(work: &Work, baseline: &Path) -> Result<()> {
    let configured = Stamp::new(baseline, "configured");
    if configured.is_set() {
        return Ok(());
    }
    fs::create_dir_all(baseline).with_context(|| baseline.display().to_string())?;
    // By a relative path, so that a copy of the folder beside it works as well.
    let mut command = work.command("../source/configure", Variant::Baseline);
    command.arg("--disable-gil");
    if work.debug {
        command.arg("--with-pydebug");
    }
    if let Some(sanitizer) = work.sanitizer {
        command.arg(format!("--with-{}-sanitizer", sanitizer.name()));
    }
    run_tool("baseline: configure --disable-gil", &mut command, &work.log("configure"), None)?;
    configured.set()
}

fn make(work: &Work, variant: Variant) -> Result<()> {
    let name = variant.name();
    let mut command = work.command("make", variant);
    command.arg(format!("-j{}", work.jobs));
    if work.sanitizer == Some(Sanitizer::Thread) {
        // The build runs the interpreter; what it may report there is not what is looked for.
        command.env("TSAN_OPTIONS", "report_bugs=0");
    }
    let compiled = |log: &str| {
        let count = log.lines().filter(|line| line.contains(" -c ")).count();
        format!("({count} files compiled)")
    };
    run_tool(
        &format!("{name}: make"),
        &mut command,
        &work.log(&format!("make-{name}")),
        Some(compiled),
    )
}

/// Copies the finished baseline, with its time stamps, so that make has next to nothing to do.
fn copy(baseline: &Path, rust: &Path, work: &Work) -> Result<()> {
    let partial = rust.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| partial.display().to_string())?;
    }
    let mut command = Command::new("cp");
    // What is in the folder: it may be a link, and make would then write to what it leads to.
    command.arg("-a").arg(baseline.join(".")).arg(&partial);
    run_tool("rust: copy of baseline", &mut command, &work.log("copy"), None)?;
    // What it says of the baseline does not hold for the copy yet.
    fs::remove_file(partial.join(".pysync-built"))?;
    fs::rename(&partial, rust).with_context(|| rust.display().to_string())
}
