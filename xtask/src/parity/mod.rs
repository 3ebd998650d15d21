//! `cargo xtask parity`: which Rust is this C, which C is this Rust, is anything missing, has
//! anything moved.

mod audit;
mod bless;
pub(crate) mod cli;
pub(crate) mod cpython;
mod deviations;
mod diff;
mod index;
mod ledger;
mod line_map;
mod lines;
mod mirrors;
mod narrow;
mod problem;
mod render;
mod report;
mod rust;
mod seed;
mod toml_file;

use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail};

use crate::Outcome;
use crate::workspace::{Workspace, write_whole};
use cli::{AuditArgs, IndexArgs, Parity, ParityCommand};
use cpython::Source;
use index::Index;
use ledger::Ledger;
use narrow::Narrow;
use seed::Seed;

pub(crate) fn run(workspace: &Workspace, command: Parity) -> Result<Outcome> {
    match command.command {
        None => run_audit(workspace, &command.audit),
        Some(ParityCommand::Index(args)) => write_index(&args),
        Some(ParityCommand::Diff(args)) => diff::run(workspace, &args),
        Some(ParityCommand::Bless(args)) => bless::run(workspace, &args),
        Some(ParityCommand::Report(args)) => report::run(workspace, &args),
    }
}

fn run_audit(workspace: &Workspace, args: &AuditArgs) -> Result<Outcome> {
    let (index_path, index) = Index::committed(workspace)?;
    let narrow = Narrow::new(&index, &args.file, &args.symbol)?;
    let drift = match &args.cpython {
        Some(path) => {
            let source = Source::open(path)?;
            assert_pinned(&index_path, &index, path, &source)?;
            index::drift(&index_path, &index, &index::build(&source)?)
        }
        None => Vec::new(),
    };
    let seed = Seed::read(workspace)?;
    let ledger = Ledger::read(workspace, &index)?;
    let files = rust::scan(workspace)?;
    let mut audit = audit::audit(workspace, &index, &files, &ledger, &seed);
    audit.problems.splice(0..0, drift);

    render::render(&index, &audit, &narrow, args)?;
    Ok(Outcome::of(!audit.problems.is_empty()))
}

fn assert_pinned(index_path: &str, index: &Index, path: &Path, source: &Source) -> Result<()> {
    if source.version.text != index.version {
        bail!(
            "{}: this is CPython {}, and {index_path} pins {}; give that release",
            path.display(),
            source.version,
            index.version
        );
    }
    Ok(())
}

fn write_index(args: &IndexArgs) -> Result<Outcome> {
    let source = Source::open(&args.cpython)?;
    source.mention_missing();
    let index = index::build(&source)?;
    write_whole(&args.out, &index.to_toml()?)?;
    writeln!(
        anstream::stdout(),
        "{}: CPython {}, {} symbols",
        args.out.display(),
        index.version,
        index.symbols.len()
    )?;
    Ok(Outcome::Clean)
}
