//! `cargo xtask parity bless`: carries the numbers in anchors, markers and the ledger over to
//! another version of the C, and lists what a person has to read.

mod carry;
mod edit;
mod ledger;
mod rust;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Result, bail};

use super::cli::BlessArgs;
use super::cpython::Source;
use super::diff::{Change, differences};
use super::index::{self, Index, pairs};
use super::mirrors::Mirrors;
use super::problem::Problem;
use crate::Outcome;
use crate::workspace::{Workspace, write_whole};

use carry::Carrier;
use edit::Edited;

pub(crate) fn run(workspace: &Workspace, args: &BlessArgs) -> Result<Outcome> {
    let mirrors = Mirrors::read(workspace)?;
    match (&args.from, &args.to) {
        (Some(from), Some(to)) => carry_over(workspace, &mirrors, (from, to), args.dry_run),
        _ => refit(workspace, &mirrors, args.dry_run),
    }
}

/// Corrects the anchors by the committed index. Markers stay: without the text of both versions
/// nobody knows where their lines went.
fn refit(workspace: &Workspace, mirrors: &Mirrors, dry_run: bool) -> Result<Outcome> {
    let (files, count) = rust::refit(workspace, mirrors)?;
    let placed = |problem: &&Problem| {
        mirrors.targets.iter().any(|target| {
            let file = &mirrors.files[target.file];
            file.path == problem.path && file.anchors[target.anchor].at == problem.line
        })
    };
    let left: Vec<Problem> =
        mirrors.wrong.iter().filter(|problem| !placed(problem)).cloned().collect();
    write_files(workspace, &files, dry_run)?;
    let summary = format!(
        "{}: {} rewritten in {}, {} left\n",
        mirrors.index_path,
        anchors(count),
        amount(files.len(), "file"),
        left.len()
    );
    say(&left, &summary, dry_run)?;
    Ok(Outcome::of(!left.is_empty()))
}

fn carry_over(
    workspace: &Workspace,
    mirrors: &Mirrors,
    (from, to): (&Path, &Path),
    dry_run: bool,
) -> Result<Outcome> {
    let path = &mirrors.index_path;
    let new_source = Source::open(to)?;
    new_source.mention_missing();
    let new = index::build(&new_source)?;
    if new == mirrors.index {
        say(&[], &format!("nothing to do: {path} is {} already\n", to.display()), dry_run)?;
        return Ok(Outcome::Clean);
    }
    let old_source = Source::open(from)?;
    if index::build(&old_source)? != mirrors.index {
        bail!(
            "{}: not the source that {path} was made from; give CPython {} as --from",
            from.display(),
            mirrors.index.version
        );
    }
    // Anchors that do not fit would be moved from where they do not stand, as they would be if
    // half of this had been done already.
    if let Some(wrong) = mirrors.wrong.first() {
        bail!(
            "{wrong}; {} not fit {path}, so mend that first: see `cargo xtask parity --problems`",
            match mirrors.wrong.len() {
                1 => "this anchor does".to_owned(),
                several => format!("{several} anchors do"),
            }
        );
    }

    let sources = Some((&old_source, &new_source));
    let pairs = pairs(&mirrors.index, &new);
    let carrier = Carrier::new(&mirrors.index, &pairs, (&old_source, &new_source));
    let mut rust = rust::carry(workspace, mirrors, &carrier)?;
    let ledger = ledger::carry(workspace, &mirrors.index, &carrier)?;
    let mut left = std::mem::take(&mut rust.left);
    left.extend(ledger.left);
    left.extend(carrier.unmirrored());
    left.sort();
    left.dedup();

    let mut files = rust.files;
    files.extend(ledger.file);
    write_files(workspace, &files, dry_run)?;
    write_index(workspace, path, &new, dry_run)?;

    let mut summary = String::new();
    for difference in differences(&pairs, sources, mirrors) {
        let (Change::Changed | Change::Removed, Some(old)) =
            (difference.change, &difference.pair.old)
        else {
            continue;
        };
        // Writing to a string cannot fail.
        let _ = writeln!(summary, "read again: {}, once {}:L{}", old.name, old.file, old.line);
        for again in &difference.rust {
            let _ = writeln!(summary, "    {}:{} {}", again.path, again.line, again.item);
        }
    }
    let _ = writeln!(
        summary,
        "CPython {} -> {}: {}, {} and {} of the ledger rewritten in {}, {} to look at",
        mirrors.index.version,
        new.version,
        anchors(rust.anchors),
        amount(rust.markers, "marker"),
        amount(ledger.entries, "line range"),
        amount(files.len(), "file"),
        amount(left.len(), "place")
    );
    say(&left, &summary, dry_run)?;
    Ok(Outcome::of(!left.is_empty()))
}

fn write_files(workspace: &Workspace, files: &[Edited], dry_run: bool) -> Result<()> {
    for file in files.iter().filter(|_| !dry_run) {
        write_whole(&workspace.path(&file.path), &file.text)?;
    }
    Ok(())
}

/// Last, and the old one goes when the new one stands: as long as it is there, somebody can
/// start again from it.
fn write_index(workspace: &Workspace, old_path: &str, new: &Index, dry_run: bool) -> Result<()> {
    let path = format!("parity/cpython-{}.toml", new.version);
    if dry_run {
        return Ok(());
    }
    write_whole(&workspace.path(&path), &new.to_toml()?)?;
    if path != old_path {
        std::fs::remove_file(workspace.path(old_path))?;
    }
    Ok(())
}

fn say(left: &[Problem], summary: &str, dry_run: bool) -> Result<()> {
    let mut out = anstream::stdout().lock();
    for problem in left {
        writeln!(out, "{problem}")?;
    }
    out.write_all(summary.as_bytes())?;
    if dry_run {
        writeln!(out, "this was a dry run: nothing is written")?;
    }
    out.flush()?;
    Ok(())
}

fn anchors(count: usize) -> String {
    amount(count, "anchor")
}

fn amount(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
