//! The command line of `cargo xtask cpython`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Builds a free-threaded CPython 3.13 with pysync in place of lock.o, parking_lot.o and
/// critical_section.o, and compares it with one that has its own.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Cpython {
    #[command(subcommand)]
    pub(crate) command: CpythonCommand,

    /// CPython's source: a folder that has not been configured, or a release tarball. Only the
    /// first run needs it.
    #[arg(long, global = true, value_name = "DIR|TARBALL")]
    pub(crate) source: Option<PathBuf>,

    /// Where to build and to leave results; about 2 GB (default: target/cpython).
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,

    /// How much to do at once (default: the number of processors).
    #[arg(long, global = true, value_name = "N")]
    pub(crate) jobs: Option<usize>,

    /// Both interpreters with their assertions, and pysync with its own.
    #[arg(long, global = true)]
    pub(crate) pydebug: bool,

    /// Both under a sanitizer of the C compiler's. Ours too, if a nightly Rust is installed.
    #[arg(long, global = true, value_enum, value_name = "WHICH")]
    pub(crate) sanitize: Option<Sanitizer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sanitizer {
    /// AddressSanitizer.
    Address,
    /// ThreadSanitizer, with CPython's own suppressions.
    Thread,
}

impl Sanitizer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Thread => "thread",
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask cpython all --source cpython-3.13.15.tar.xz --work /tmp/cpython
                                    from nothing to the last table
  cargo xtask cpython build         the two interpreters, and the proof of what is in them
  cargo xtask cpython test          CPython's own tests, ours against its own
  cargo xtask cpython test --only test_thread --only test_free_threading
  cargo xtask cpython lockbench     CPython's own lock benchmark
  cargo xtask cpython test --pydebug --only test_free_threading
  cargo xtask cpython test --sanitize thread --only test_thread

Every command builds what is missing first, and takes up where an interrupted one stopped.
Results are in the work folder, under report/.

Exit code: 0 ours is as good, 1 something fails only in ours, 2 could not run.";

#[derive(Subcommand, Debug)]
pub(crate) enum CpythonCommand {
    /// Unpack, configure, build both, and prove which locks are in which.
    Build,
    /// Run CPython's tests with both and compare them test by test.
    Test(TestArgs),
    /// Fork, signal, shut down and crowd both until something gives.
    Robust(RobustArgs),
    /// Run Tools/lockbench/lockbench.py with both in turns.
    Lockbench(LockbenchArgs),
    /// All of these.
    All(AllArgs),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct TestArgs {
    /// How often to run the internal tests of the locks and sections.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) internal: usize,

    /// Of the other tests only this module. May be given several times.
    #[arg(long, value_name = "MODULE")]
    pub(crate) only: Vec<String>,

    /// The whole test suite instead of the modules that lean on the locks.
    #[arg(long, conflicts_with = "only")]
    pub(crate) full: bool,

    /// How often to repeat a module in both if a test of it fails only in ours.
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) repeat: usize,

    /// Forget earlier results.
    #[arg(long)]
    pub(crate) fresh: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RobustArgs {
    /// How often to run each scenario.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) times: usize,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct LockbenchArgs {
    /// How many rounds; each runs CPython's own locks, ours, CPython's again, and ours as they are
    /// without deviation D10.
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,

    /// Lengths of the critical section.
    #[arg(long, value_delimiter = ',', default_value = "1,20,100", value_name = "N,...")]
    pub(crate) sections: Vec<u32>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct AllArgs {
    #[command(flatten)]
    pub(crate) test: TestArgs,
    #[command(flatten)]
    pub(crate) robust: RobustArgs,
    #[command(flatten)]
    pub(crate) lockbench: LockbenchArgs,
}
