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
  cargo xtask parity --format markdown > table.md    for documents; json for tools

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

    /// Also ask for a marker or a ledger entry for every code line of a mirrored function.
    #[arg(long)]
    pub(crate) lines: bool,
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
