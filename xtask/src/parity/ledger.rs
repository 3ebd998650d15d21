//! The ledger: what has no Rust counterpart, and why.
//!
//! ```toml
//! [[entry]]
//! file = "Python/parking_lot.c"
//! symbols = ["_PySemaphore_Init"]
//! lines = "57-67"            # without it: the whole of each symbol
//! reason = "…"
//! ```

use anyhow::Result;
use serde::Deserialize;
use toml::Spanned;

use super::cpython::is_covered;
use super::index::Index;
use super::lines::Lines;
use super::problem::Problem;
use super::toml_file;
use crate::workspace::{Workspace, line_of};

const PATH: &str = "parity/ledger.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    entry: Vec<Spanned<RawEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    file: String,
    symbols: Vec<String>,
    lines: Option<Lines>,
    reason: String,
}

/// One symbol of one entry.
#[derive(Clone, Debug)]
pub(crate) struct Posting {
    /// Where the entry stands in the ledger.
    pub(crate) at: u32,
    /// Index of the symbol in [`Index::symbols`].
    pub(crate) symbol: usize,
    /// The code lines it accounts for.
    pub(crate) lines: Lines,
    /// Whether it accounts for the whole symbol.
    pub(crate) whole: bool,
    pub(crate) reason: String,
}

/// What the ledger accounts for, and what is wrong with it by itself.
pub(crate) struct Ledger {
    pub(crate) postings: Vec<Posting>,
    pub(crate) problems: Vec<Problem>,
}

impl Ledger {
    pub(crate) fn read(workspace: &Workspace, index: &Index) -> Result<Self> {
        let (text, file): (String, File) =
            toml_file::read(workspace, PATH, "its first lines say what an entry looks like")?;
        let mut ledger = Self { postings: Vec::new(), problems: Vec::new() };
        for entry in file.entry {
            let at = line_of(&text, entry.span().start);
            ledger.post(index, at, entry.into_inner());
        }
        Ok(ledger)
    }

    fn post(&mut self, index: &Index, at: u32, entry: RawEntry) {
        let file = &entry.file;
        if entry.reason.trim().is_empty() {
            self.complain(at, "this entry gives no reason");
        }
        if !is_covered(file) {
            return self.complain(at, format!("{file} is not one of the covered files"));
        }
        let mut left = entry.lines.clone();
        let complaints = self.problems.len();
        let mut accounts = false;
        for name in &entry.symbols {
            let mut named = false;
            for (symbol, found) in index.symbols.iter().enumerate() {
                if found.file != *file || found.name != *name {
                    continue;
                }
                named = true;
                let code = found.code();
                let lines =
                    entry.lines.as_ref().map_or_else(|| code.clone(), |lines| lines.and(&code));
                if let Some(left) = &mut left {
                    *left = left.minus(&(found.first..=found.last).collect());
                }
                if lines.is_empty() && entry.lines.is_some() {
                    continue;
                }
                accounts = true;
                let twice = self.postings.iter().find(|posting| {
                    posting.symbol == symbol
                        && (!posting.lines.and(&lines).is_empty() || posting.lines == lines)
                });
                if let Some(twice) = twice {
                    let first = twice.at;
                    self.complain(at, format!("{name} is in the ledger already, at line {first}"));
                    continue;
                }
                let whole = lines == code;
                self.postings.push(Posting {
                    at,
                    symbol,
                    lines,
                    whole,
                    reason: entry.reason.clone(),
                });
            }
            if !named {
                self.complain(
                    at,
                    format!("stale: there is no {name} in {file} of CPython {}", index.version),
                );
                left = None;
            }
        }
        if let Some(left) = left.filter(|left| !left.is_empty()) {
            let names = entry.symbols.join(", ");
            self.complain(at, format!("stale: lines {left} of {file} are not in {names}"));
        }
        if !accounts && self.problems.len() == complaints {
            self.complain(at, "this entry accounts for no code line");
        }
    }

    fn complain(&mut self, at: u32, message: impl Into<String>) {
        self.problems.push(Problem::new(PATH, at, message));
    }

    pub(crate) fn path() -> &'static str {
        PATH
    }
}
