//! `cargo xtask parity report`: a static site with the C on the left and the Rust on the right.
//!
//! It contains CPython's text, so it is generated and never committed.

mod blocks;
mod cards;
mod folder;
mod highlight;
mod layout;
mod material;
mod model;
mod page;
mod prose;
mod section;
mod site;

use std::io::Write;

use anyhow::{Result, bail};

use super::audit;
use super::cli::ReportArgs;
use super::cpython::Source;
use super::index::{self, Index};
use super::ledger::Ledger;
use super::rust;
use super::seed::Seed;
use crate::Outcome;
use crate::workspace::Workspace;

use material::Material;

pub(crate) fn run(workspace: &Workspace, args: &ReportArgs) -> Result<Outcome> {
    let (index_path, index) = Index::committed(workspace)?;
    let source = Source::open(&args.cpython)?;
    super::assert_pinned(&index_path, &index, &args.cpython, &source)?;
    let drift = index::drift(&index_path, &index, &index::build(&source)?);
    if let Some(first) = drift.first() {
        bail!(
            "{}: not the source that {index_path} was made from: {first}{}",
            args.cpython.display(),
            match drift.len() - 1 {
                0 => String::new(),
                more => format!(", and {more} more; see `cargo xtask parity --cpython`"),
            }
        );
    }
    let seed = Seed::read(workspace)?;
    let ledger = Ledger::read(workspace, &index)?;
    let files = rust::scan(workspace)?;
    let audit = audit::audit(workspace, &index, &files, &ledger, &seed);
    let material = Material::read(workspace, &index, &source, &files, &audit)?;
    let site = site::build(&material)?;
    folder::write(&args.out, &site)?;

    let problems = match audit.problems.len() {
        0 => String::new(),
        1 => "; 1 problem, on the first page".to_owned(),
        several => format!("; {several} problems, on the first page"),
    };
    writeln!(
        anstream::stdout(),
        "{}: {} pages{problems}",
        args.out.join("index.html").display(),
        site::page_count(&site)
    )?;
    Ok(Outcome::of(!audit.problems.is_empty()))
}
