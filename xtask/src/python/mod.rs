//! `cargo xtask python`: the Python package, built, installed into an environment of its own, and
//! tested there.

mod build;
pub(crate) mod cli;
mod environment;
mod interpreter;
mod test;
mod work;

use anyhow::Result;

use crate::Outcome;
use crate::workspace::Workspace;
use cli::{Python, PythonCommand};
use work::Work;

pub(crate) fn run(workspace: &Workspace, python: &Python) -> Result<Outcome> {
    let work = Work::open(workspace, python)?;
    let interpreters = interpreter::find(workspace, python)?;
    let mut outcomes = Vec::new();
    for interpreter in &interpreters {
        let wheel = build::wheel(&work, interpreter)?;
        if interpreter.is_the_first() {
            build::check_sdist(&work, interpreter)?;
        }
        if let PythonCommand::Test(args) = &python.command {
            outcomes.push(test::run(&work, interpreter, &wheel, args)?);
        }
    }
    Ok(Outcome::of(outcomes.contains(&Outcome::Problems)))
}
