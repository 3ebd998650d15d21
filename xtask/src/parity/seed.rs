//! The citations of the Go port that this project started from: symbols with the line numbers
//! of the 3.14 branch.

use anyhow::Result;
use serde::Deserialize;

use super::cpython::short;
use super::index::{Index, Symbol};
use super::toml_file;
use crate::workspace::Workspace;

const PATH: &str = "parity/seed-3.14.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seed {
    #[serde(default, rename = "citation")]
    citations: Vec<Citation>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Citation {
    symbol: String,
    file: String,
    /// One citation has none.
    line: Option<u32>,
    /// What the Go port calls it; for the reader.
    #[serde(rename = "go")]
    _go: String,
}

impl Seed {
    pub(crate) fn read(workspace: &Workspace) -> Result<Self> {
        Ok(toml_file::read(workspace, PATH, "restore it from git")?.1)
    }

    /// The seed's line of a symbol: `53`, or `lock.c:635` where it stands in another file there.
    pub(crate) fn line(&self, index: &Index, symbol: &Symbol) -> Option<String> {
        let mut named = self.citations.iter().filter(|citation| citation.symbol == symbol.name);
        if let Some(here) = named.clone().find(|citation| citation.file == symbol.file) {
            return here.line.map(|line| line.to_string());
        }
        // 3.14 moved it, unless the seed means another symbol of that name.
        let elsewhere = named.next()?;
        let other = index
            .symbols
            .iter()
            .any(|other| other.name == symbol.name && other.file == elsewhere.file);
        if other {
            return None;
        }
        elsewhere.line.map(|line| format!("{}:{line}", short(&elsewhere.file)))
    }
}
