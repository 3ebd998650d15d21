//! `cargo xtask parity`: which Rust is this C, which C is this Rust, is anything missing, has
//! anything moved.

mod audit;
pub(crate) mod cli;
mod cpython;
mod deviations;
mod index;
mod ledger;
mod lines;
mod narrow;
mod problem;
mod render;
mod rust;
mod seed;
mod toml_file;

use std::io::Write;

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
    }
}

fn run_audit(workspace: &Workspace, args: &AuditArgs) -> Result<Outcome> {
    let (index_path, index) = Index::committed(workspace)?;
    let narrow = Narrow::new(&index, &args.file, &args.symbol)?;
    let drift = match &args.cpython {
        Some(path) => {
            let source = Source::open(path)?;
            if source.version.to_string() != index.version {
                bail!(
                    "{}: this is CPython {}, and {index_path} pins {}; give that release",
                    path.display(),
                    source.version,
                    index.version
                );
            }
            index::drift(&index_path, &index, &index::build(&source)?)
        }
        None => Vec::new(),
    };
    let seed = Seed::read(workspace)?;
    let ledger = Ledger::read(workspace, &index)?;
    let files = rust::scan(workspace)?;
    let mut audit = audit::audit(workspace, &index, &files, ledger, &seed, args.lines);
    audit.problems.splice(0..0, drift);

    render::render(&index, &audit, &narrow, args)?;
    Ok(Outcome::of(!audit.problems.is_empty()))
}

fn write_index(args: &IndexArgs) -> Result<Outcome> {
    let index = index::build(&Source::open(&args.cpython)?)?;
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
