//! The command line of `cargo xtask parity`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Audits the Rust against CPython's C: what is mirrored where, what is missing, what moved.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Parity {
    #[command(subcommand)]
    pub(crate) command: Option<ParityCommand>,

    #[command(flatten)]
    pub(crate) audit: AuditArgs,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask parity                                 the whole table, totals and problems
  cargo xtask parity --problems                      only what is wrong, as path:line: message
  cargo xtask parity --symbol _PyMutex_LockTimed     one C symbol
  cargo xtask parity --file lock.c --file lock.h     two C files
  cargo xtask parity --cpython cpython-3.13.15.tar.xz
                                                     prove the committed index first
  cargo xtask parity --format json                   for tools; markdown for docs/parity-table.md
  cargo xtask parity diff --help                     what did a release change?
  cargo xtask parity report --help                   C and Rust side by side, to read

Exit code: 0 clean, 1 problems found, 2 the audit could not run.";

#[derive(Args, Debug)]
pub(crate) struct AuditArgs {
    /// First prove that the committed index is what this CPython source contains: a source
    /// folder or a release tarball (.tar.xz, .tgz, .tar).
    #[arg(long, value_name = "DIR|TARBALL")]
    pub(crate) cpython: Option<PathBuf>,

    /// How to show the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,

    /// Show only this C file: lock.c, or cpython/lock.h. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Vec<String>,

    /// Show only this C symbol. May be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) symbol: Vec<String>,

    /// Show only the problems, one line each.
    #[arg(long)]
    pub(crate) problems: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Markdown,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ParityCommand {
    Index(IndexArgs),
    Diff(DiffArgs),
    Bless(BlessArgs),
    Report(ReportArgs),
}

/// Writes the index of a CPython source: its symbols, without its text.
#[derive(Args, Debug)]
#[command(after_help = INDEX_EXAMPLES)]
pub(crate) struct IndexArgs {
    /// A CPython 3.13 or later: a source folder or a release tarball.
    #[arg(long, value_name = "DIR|TARBALL")]
    pub(crate) cpython: PathBuf,

    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

const INDEX_EXAMPLES: &str = "\
Examples:
  cargo xtask parity index --cpython cpython-3.13.15.tar.xz --out parity/cpython-3.13.15.toml
  cargo xtask parity index --cpython ~/src/cpython --out main.toml

The same source gives the same bytes.";

/// Says what changed between two versions of CPython, and which Rust to read again.
#[derive(Args, Debug)]
#[command(after_help = DIFF_EXAMPLES)]
pub(crate) struct DiffArgs {
    /// The earlier version: a source folder, a release tarball or an index (.toml).
    #[arg(long, value_name = "DIR|TARBALL|INDEX")]
    pub(crate) from: PathBuf,

    /// The later version.
    #[arg(long, value_name = "DIR|TARBALL|INDEX")]
    pub(crate) to: PathBuf,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  cargo xtask parity diff --from cpython-3.13.15.tar.xz --to cpython-3.13.16.tar.xz
                                                     with the C that changed
  cargo xtask parity diff --from parity/cpython-3.13.15.toml --to ~/src/cpython
                                                     without: an index has no text

A symbol is unchanged, moved (same text, other lines: comments and white space make no change),
changed, added or removed.

Exit code: 0 nothing changed but places, 1 something changed, was added or removed, 2 could not run.";

/// Carries the numbers in anchors, markers and the ledger over to another version of CPython.
///
/// Lines are followed through a diff of each symbol. What could not be placed is listed, and a
/// marker that has no place keeps its old numbers with a question mark, which the audit does not
/// let pass. Nothing but numbers and file names is rewritten, and a second run changes nothing.
///
/// Without sources it corrects the anchors by the committed index.
#[derive(Args, Debug)]
#[command(after_help = BLESS_EXAMPLES)]
pub(crate) struct BlessArgs {
    /// The source that the committed index was made from: a folder or a release tarball.
    #[arg(long, value_name = "DIR|TARBALL", requires = "to")]
    pub(crate) from: Option<PathBuf>,

    /// The source to go over to. Its index replaces the committed one.
    #[arg(long, value_name = "DIR|TARBALL", requires = "from")]
    pub(crate) to: Option<PathBuf>,

    /// Say what would be done and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

const BLESS_EXAMPLES: &str = "\
Examples:
  cargo xtask parity bless --from cpython-3.13.15.tar.xz --to cpython-3.13.16.tar.xz
                                                     a new release came out
  cargo xtask parity bless                           I mistyped a line number

docs/parity.md goes through it step by step.

Exit code: 0 all placed, 1 something is left to a person, 2 could not run.";

/// Writes a site that shows the C and the Rust side by side, to be opened from disk.
#[derive(Args, Debug)]
#[command(after_help = REPORT_EXAMPLES)]
pub(crate) struct ReportArgs {
    /// The source that the committed index was made from: a folder or a release tarball.
    #[arg(long, value_name = "DIR|TARBALL")]
    pub(crate) cpython: PathBuf,

    /// The folder to write: a new one, an empty one, or an earlier report.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

const REPORT_EXAMPLES: &str = "\
Examples:
  cargo xtask parity report --cpython cpython-3.13.15.tar.xz --out target/parity
  xdg-open target/parity/index.html

The pages contain CPython's text: do not commit them.

Exit code: 0 written, 1 written, and the audit has found problems, 2 could not run.";
