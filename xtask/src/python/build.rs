//! The wheel and the source distribution.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::environment::Environment;
use super::interpreter::Interpreter;
use super::work::{Work, emptied, only};
use crate::cpython::command::{run, say};

/// The wheel for an interpreter: for one with a GIL it is for all of them from 3.11.
pub(crate) fn wheel(work: &Work, interpreter: &Interpreter) -> Result<PathBuf> {
    let folder = work.wheels(interpreter);
    if interpreter.is_the_first() {
        let tools = Environment::tools(work, interpreter)?;
        emptied(folder.clone())?;
        let mut command = work.command(tools.program("maturin"));
        command.current_dir(&work.package);
        command.args(["build", "--release", "--locked"]);
        if !interpreter.is_free_threaded {
            command.args(["--features", "abi3"]);
        }
        command.arg("--interpreter").arg(&interpreter.path).arg("--out").arg(&folder);
        let log = work.log(interpreter, "wheel")?;
        run(&format!("{}: maturin build", interpreter.name), &mut command, &log, None)?;
    }
    let wheel = only(&folder, ".whl")?;
    say(&format!("{}: {}", interpreter.name, wheel.display()));
    Ok(wheel)
}

/// The source distribution builds without a network, by what cargo has and from its lock file.
pub(crate) fn check_sdist(work: &Work, interpreter: &Interpreter) -> Result<()> {
    let tools = Environment::tools(work, interpreter)?;
    let folder = emptied(work.folder(interpreter, "sdist"))?;
    let mut command = work.command(tools.program("maturin"));
    command.current_dir(&work.package).arg("sdist").arg("--out").arg(&folder);
    let log = work.log(interpreter, "sdist")?;
    run(&format!("{}: maturin sdist", interpreter.name), &mut command, &log, None)?;

    let sdist = only(&folder, ".tar.gz")?;
    let built = work.folder(interpreter, "sdist-wheel");
    let mut command = tools.pip(work);
    command.args(["--no-cache-dir", "wheel", "--no-index", "--no-deps", "--no-build-isolation"]);
    command.arg("--wheel-dir").arg(emptied(built.clone())?).arg(&sdist);
    command.env("PATH", tools.path());
    command.env("CARGO_NET_OFFLINE", "true");
    // Optimised it is the same, and takes twice as long.
    command.env("MATURIN_PEP517_ARGS", "--profile dev --locked");
    let log = work.log(interpreter, "sdist-wheel")?;
    let title = format!("{}: pip wheel of the sdist, offline", interpreter.name);
    run(&title, &mut command, &log, None)?;
    only(&built, ".whl").map(drop).context("the sdist")
}
