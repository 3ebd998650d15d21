//! Which Rust stands for a symbol: what somebody has to read again when it changes.

use anyhow::Result;

use super::audit::{Placement, Target, coverage, resolve};
use super::index::{Entry, Index};
use super::lines::Lines;
use super::problem::Problem;
use super::rust::{self, RustFile};
use crate::workspace::Workspace;

/// The Rust sources joined with the committed index.
pub(crate) struct Mirrors {
    pub(crate) index_path: String,
    pub(crate) index: Index,
    pub(crate) files: Vec<RustFile>,
    pub(crate) targets: Vec<Target>,
    pub(crate) placements: Vec<Placement>,
    /// Anchors that do not fit the index.
    pub(crate) wrong: Vec<Problem>,
    /// Markers that do not.
    pub(crate) astray: Vec<Problem>,
}

/// An item to read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadAgain {
    pub(crate) path: String,
    pub(crate) line: u32,
    pub(crate) item: String,
    /// Lines of the markers for the C lines in question, where these are known.
    pub(crate) markers: Vec<u32>,
}

impl Mirrors {
    pub(crate) fn read(workspace: &Workspace) -> Result<Self> {
        let (index_path, index) = Index::committed(workspace)?;
        let files = rust::scan(workspace)?;
        let (targets, wrong) = resolve(&index, &files);
        let coverage = coverage(&index, &files, &targets);
        Ok(Self {
            index_path,
            index,
            files,
            targets,
            placements: coverage.placements,
            wrong,
            astray: coverage.problems,
        })
    }

    /// The items that mirror `old`, or members of it, with the markers that are about `lines`.
    pub(crate) fn of(&self, old: &Entry, lines: &Lines) -> Vec<ReadAgain> {
        let named = |exact: bool| {
            self.targets.iter().filter(move |target| {
                let symbol = &self.index.symbols[target.symbol];
                symbol.name == old.name && (!exact || symbol.file == old.file)
            })
        };
        // A version that is not the pinned one may have it elsewhere.
        let exact = named(true).next().is_some();
        let mut found: Vec<ReadAgain> = Vec::new();
        for target in named(exact) {
            let file = &self.files[target.file];
            let at = file.anchors[target.anchor].item;
            let item = &file.items[at];
            let pinned = self.pins(&self.index.symbols[target.symbol], old);
            let markers = self
                .placements
                .iter()
                .filter(|placement| {
                    pinned
                        && (placement.file, placement.item, placement.symbol)
                            == (target.file, at, target.symbol)
                })
                .map(|placement| &file.markers[placement.marker])
                .filter(|marker| {
                    marker.ranges.iter().any(|range| !range.lines().and(lines).is_empty())
                })
                .map(|marker| marker.at);
            let mut again = ReadAgain {
                path: file.path.clone(),
                line: item.line,
                item: item.name.clone(),
                markers: markers.collect(),
            };
            again.markers.dedup();
            if !found.contains(&again) {
                found.push(again);
            }
        }
        found
    }

    /// Whether `old` is what the committed index has, so that its line numbers are the markers'.
    fn pins(&self, symbol: &super::index::Symbol, old: &Entry) -> bool {
        (&*symbol.file, &*symbol.hash, symbol.first) == (old.file, old.hash, old.first)
    }
}

impl std::fmt::Display for ReadAgain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} {}", self.path, self.line, self.item)?;
        match self.markers.as_slice() {
            [] => Ok(()),
            [one] => write!(f, ", marker at {one}"),
            several => {
                let lines: Vec<String> = several.iter().map(u32::to_string).collect();
                write!(f, ", markers at {}", lines.join(", "))
            }
        }
    }
}
