//! The workspace's own commands: the parity audit, the CI steps, the drop-in, the Python package.

mod ci;
mod cpython;
mod mutants;
mod parity;
mod python;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The workspace's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Cli {
    /// The workspace to work on (default: the one that cargo runs us in).
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true)]
    root: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask parity              which Rust is this C, which C is this Rust, what is missing
  cargo xtask parity --help       everything the audit can do
  cargo xtask ci                  every CI step, in order
  cargo xtask ci fmt clippy       these two
  cargo xtask mutants             would a wrong line be caught?
  cargo xtask cpython all         a real CPython with our locks in it, tested and measured
  cargo xtask python test         the Python package: built, installed and tested";

#[derive(Subcommand)]
enum Command {
    Parity(parity::cli::Parity),
    Ci(ci::Ci),
    Cpython(cpython::cli::Cpython),
    Mutants(mutants::Mutants),
    Python(python::cli::Python),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = Workspace::open(cli.root).and_then(|workspace| match cli.command {
        Command::Parity(command) => parity::run(&workspace, command),
        Command::Ci(command) => ci::run(&workspace, &command),
        Command::Cpython(command) => cpython::run(&workspace, &command),
        Command::Mutants(command) => mutants::run(&workspace, &command),
        Command::Python(command) => python::run(&workspace, &command),
    });
    match outcome {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Problems) => ExitCode::from(1),
        Err(error) => {
            // A reader that went away (`| head`) is no failure of ours.
            if is_broken_pipe(&error) {
                return ExitCode::SUCCESS;
            }
            anstream::eprintln!("error: {}", one_line(&error));
            ExitCode::from(2)
        }
    }
}

/// What a command that could run has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Clean,
    Problems,
}

impl Outcome {
    fn of(problems: bool) -> Self {
        if problems { Self::Problems } else { Self::Clean }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Some libraries explain themselves over several lines; scripts read the first one only.
fn one_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
