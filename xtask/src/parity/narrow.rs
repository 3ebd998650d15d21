//! `--file` and `--symbol`: which part of the result to show.

use anyhow::{Result, bail};

use super::cpython::{COVERED, short};
use super::index::Index;
use super::problem::Problem;

/// What to show. It narrows the output and not the audit: the exit code speaks of everything.
pub(crate) struct Narrow {
    files: Vec<&'static str>,
    symbols: Vec<String>,
}

impl Narrow {
    pub(crate) fn new(index: &Index, files: &[String], symbols: &[String]) -> Result<Self> {
        let mut paths = Vec::new();
        for name in files {
            let ends = |path: &str| path == name || path.ends_with(&format!("/{name}"));
            // `lock.h` is the end of no `pycore_lock.h`, and of one path only.
            match COVERED.iter().find(|covered| ends(covered.path)) {
                Some(covered) => paths.push(covered.path),
                None => {
                    let names: Vec<&str> =
                        COVERED.iter().map(|covered| short(covered.path)).collect();
                    bail!("no covered C file is called {name:?}; they are {}", names.join(", "));
                }
            }
        }
        for name in symbols {
            if !index.symbols.iter().any(|symbol| symbol.name == *name) {
                bail!(
                    "CPython {} has no symbol {name:?} in the covered files{}",
                    index.version,
                    similar(index, name)
                );
            }
        }
        Ok(Self { files: paths, symbols: symbols.to_vec() })
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.files.is_empty() && self.symbols.is_empty()
    }

    pub(crate) fn shows(&self, file: &str, symbol: &str) -> bool {
        (self.files.is_empty() || self.files.contains(&file))
            && (self.symbols.is_empty() || self.symbols.iter().any(|name| name == symbol))
    }

    pub(crate) fn shows_problem(&self, problem: &Problem) -> bool {
        self.is_everything()
            || problem.about.as_ref().is_some_and(|(file, symbol)| self.shows(file, symbol))
    }
}

/// Symbols with the name in theirs, whatever the case: people forget the underscores.
fn similar(index: &Index, name: &str) -> String {
    let wanted = name.to_lowercase();
    let mut names: Vec<&str> = index
        .symbols
        .iter()
        .map(|symbol| symbol.name.as_str())
        .filter(|known| !wanted.is_empty() && known.to_lowercase().contains(&wanted))
        .collect();
    names.dedup();
    names.truncate(4);
    if names.is_empty() {
        "; see `cargo xtask parity`".to_owned()
    } else {
        format!("; did you mean {}?", names.join(", "))
    }
}
