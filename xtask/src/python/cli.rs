//! The command line of `cargo xtask python`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Builds the Python package of crates/python, and tests what was built as a user would install it.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Python {
    #[command(subcommand)]
    pub(crate) command: PythonCommand,

    /// The Python to build for, 3.11 or later (default: the python3 of the PATH).
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "free_threaded")]
    pub(crate) python: Option<PathBuf>,

    /// The free-threaded CPython that `cargo xtask cpython build` makes, as it is and with our locks
    /// in it.
    #[arg(long, global = true)]
    pub(crate) free_threaded: bool,

    /// Where `cargo xtask cpython` has built (default: target/cpython).
    #[arg(long, global = true, value_name = "DIR", requires = "free_threaded")]
    pub(crate) cpython: Option<PathBuf>,

    /// Where to build and to leave results; about 1 GB (default: target/python).
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask python test                       build, install into a new environment, test
  cargo xtask python test --python python3.13
  cargo xtask python test --free-threaded       on CPython's locks and on ours
  cargo xtask python test -- -k mutex           with arguments for pytest, and pytest only
  cargo xtask python build                      the wheel and the source distribution

The tools come from the package index, in the versions that crates/python/pyproject.toml names. Wheels,
environments and logs are in the work folder, in one folder for each Python.

Exit code: 0 all good, 1 a test fails, 2 could not run.";

#[derive(Subcommand, Debug)]
pub(crate) enum PythonCommand {
    /// The wheel, and the source distribution, which must build offline from its lock file.
    Build,
    /// The wheel in a new environment: its tests, the README, the examples, and the types.
    Test(TestArgs),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct TestArgs {
    /// Run nothing but pytest, with these arguments.
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) pytest: Vec<String>,
}
