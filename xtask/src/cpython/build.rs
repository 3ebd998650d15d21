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

    with_pysync(workspace, work, Variant::Rust)?;
    proof::prove(work)
}

/// An interpreter that is the baseline but for our objects.
pub(crate) fn with_pysync(workspace: &Workspace, work: &Work, variant: Variant) -> Result<()> {
    let folder = work.folder(variant);
    if !folder.exists() {
        copy(work, variant)?;
    }
    let built = Stamp::new(&folder, "built");
    let objects = graft::objects(workspace, work, variant)?;
    if graft::install(&objects, &folder)? || !built.is_set() {
        make(work, variant)?;
        built.set()?;
    }
    Ok(())
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
fn copy(work: &Work, variant: Variant) -> Result<()> {
    let folder = work.folder(variant);
    let partial = folder.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| partial.display().to_string())?;
    }
    let mut command = Command::new("cp");
    // What is in the folder: it may be a link, and make would then write to what it leads to.
    command.arg("-a").arg(work.folder(Variant::Baseline).join(".")).arg(&partial);
    let what = format!("{}: copy of baseline", variant.name());
    run_tool(&what, &mut command, &work.log("copy"), None)?;
    // What it says of the baseline does not hold for the copy yet.
    fs::remove_file(partial.join(".pysync-built"))?;
    fs::rename(&partial, &folder).with_context(|| folder.display().to_string())
}
