//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

const USAGE: &str = "usage: transfers [--dot] [--svg FILE] [--transfers N, of each thread]";

pub(crate) struct Args {
    /// Print the picture for Graphviz, and nothing else.
    pub(crate) dot: bool,
    /// Write the picture to this file.
    pub(crate) svg: Option<PathBuf>,
    /// How many transfers each thread makes.
    pub(crate) each: usize,
}

impl Args {
    pub(crate) fn parse_or_exit() -> Self {
        Self::parse(std::env::args_os().skip(1))
            .unwrap_or_else(|error| exit(&format!("{error}; {USAGE}")))
    }

    fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut parsed = Self { dot: false, svg: None, each: 500 };
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--dot") => parsed.dot = true,
                Some("--svg") => {
                    parsed.svg = Some(args.next().ok_or("--svg needs a file")?.into());
                }
                Some("--transfers") => {
                    let number = args.next().ok_or("--transfers needs a number")?;
                    let parse = |number: &str| number.parse().ok().filter(|it| *it > 0);
                    parsed.each = number
                        .to_str()
                        .and_then(parse)
                        .ok_or_else(|| format!("--transfers {number:?}: not a number above 0"))?;
                }
                _ => return Err(format!("unknown argument {arg:?}")),
            }
        }
        Ok(parsed)
    }
}

/// Says in one line what is wrong.
pub(crate) fn exit(error: &str) -> ! {
    eprintln!("transfers: {error}");
    std::process::exit(2)
}
