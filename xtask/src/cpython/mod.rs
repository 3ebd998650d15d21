//! `cargo xtask cpython`: a real free-threaded CPython with pysync in place of three of its
//! objects, beside one without, judged by CPython's own tests and its own lock benchmark.

mod build;
pub(crate) mod cli;
pub(crate) mod command;
mod graft;
mod lockbench;
mod need;
mod plot;
mod proof;
mod robust;
mod source;
mod tests;
mod work;

use anyhow::Result;

use crate::Outcome;
use crate::workspace::Workspace;
use cli::{Cpython, CpythonCommand};
use work::Work;

pub(crate) fn run(workspace: &Workspace, cpython: &Cpython) -> Result<Outcome> {
    let work = Work::open(workspace, cpython)?;
    build::run(workspace, &work, cpython.source.as_deref())?;
    Ok(match &cpython.command {
        CpythonCommand::Build => Outcome::Clean,
        CpythonCommand::Test(args) => tests::run(&work, args)?,
        CpythonCommand::Robust(args) => robust::run(&work, args)?,
        CpythonCommand::Lockbench(args) => lockbench::run(workspace, &work, args)?,
        CpythonCommand::All(args) => {
            let outcomes = [
                tests::run(&work, &args.test)?,
                robust::run(&work, &args.robust)?,
                lockbench::run(workspace, &work, &args.lockbench)?,
            ];
            Outcome::of(outcomes.contains(&Outcome::Problems))
        }
    })
}
