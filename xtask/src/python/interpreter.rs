//! Which Python to build for.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cli::Python;
use crate::cpython::command::output;
use crate::workspace::Workspace;

/// The oldest Python that has all the package needs.
const OLDEST: (u32, u32) = (3, 11);

/// Prints what [`Interpreter`] holds, and fails if the interpreter cannot make an environment.
const PROGRAM: &str = "\
import ensurepip, sys, sysconfig, venv
print(*sys.version_info[:2], int(bool(sysconfig.get_config_var('Py_GIL_DISABLED'))))";

/// A Python.
#[derive(Debug)]
pub(crate) struct Interpreter {
    pub(crate) path: PathBuf,
    pub(crate) is_free_threaded: bool,
    /// What its folder is called: its version, and what is special about it.
    pub(crate) name: String,
    /// The folder of the interpreter whose wheel it can use too.
    pub(crate) wheel_of: Option<String>,
}

impl Interpreter {
    /// Whether it builds the wheel.
    pub(crate) fn is_the_first(&self) -> bool {
        self.wheel_of.is_none()
    }

    fn ask(path: &Path, suffix: &str) -> Result<Self> {
        let shown = path.display();
        let answer = output(Command::new(path).args(["-c", PROGRAM])).with_context(|| {
            format!("missing: a Python that can make environments; {shown} cannot (Debian: python3-venv)")
        })?;
        let numbers: Vec<u32> =
            answer.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let &[major, minor, free_threaded] = numbers.as_slice() else {
            bail!("{shown}: does not tell its version but {answer:?}");
        };
        if (major, minor) < OLDEST {
            let (oldest_major, oldest_minor) = OLDEST;
            bail!(
                "missing: Python {oldest_major}.{oldest_minor} or later; {shown} is {major}.{minor}, \
                 give another --python"
            );
        }
        let is_free_threaded = free_threaded == 1;
        let letter = if is_free_threaded { "t" } else { "" };
        let name = format!("{major}.{minor}{letter}{suffix}");
        Ok(Self { path: path.to_owned(), is_free_threaded, name, wheel_of: None })
    }
}

/// Those that the command line names.
pub(crate) fn find(workspace: &Workspace, python: &Python) -> Result<Vec<Interpreter>> {
    if python.free_threaded {
        let folder = python.cpython.clone().unwrap_or_else(|| workspace.path("target/cpython"));
        return free_threaded(&folder);
    }
    let given = python.python.as_deref().unwrap_or(Path::new("python3"));
    let Some(path) = which(given) else {
        bail!(
            "missing: {}; install Python {}.{} or later (Debian: python3 python3-venv), or give --python",
            given.display(),
            OLDEST.0,
            OLDEST.1
        );
    };
    Ok(vec![Interpreter::ask(&path, "")?])
}

/// The ones that `cargo xtask cpython build` has built.
fn free_threaded(folder: &Path) -> Result<Vec<Interpreter>> {
    let baseline = folder.join("baseline/python");
    if !baseline.is_file() {
        bail!(
            "missing: the free-threaded CPython in {}; make it with cargo xtask cpython build, or give \
             --cpython",
            folder.display()
        );
    }
    let mut found = vec![Interpreter::ask(&baseline.canonicalize()?, "")?];
    let with_pysync = folder.join("rust/python");
    if with_pysync.is_file() {
        let mut interpreter = Interpreter::ask(&with_pysync.canonicalize()?, "-pysync")?;
        // They differ in their objects and not in their interface.
        interpreter.wheel_of = Some(found[0].name.clone());
        found.push(interpreter);
    }
    Ok(found)
}

/// The program that a shell would run. Not resolved: the name tells an environment who it is.
fn which(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| std::path::absolute(program).ok()).flatten();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
