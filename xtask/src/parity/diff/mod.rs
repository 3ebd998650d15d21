//! `cargo xtask parity diff`: what a version of CPython changed, and which Rust to read again.

mod render;

use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail};

use super::cli::DiffArgs;
use super::cpython::Source;
use super::index::{self, Entry, Index, Pair, Text, pairs};
use super::line_map::LineMap;
use super::lines::Lines;
use super::mirrors::{Mirrors, ReadAgain};
use super::toml_file;
use crate::Outcome;
use crate::workspace::Workspace;

/// A source, or an index of one.
struct Side {
    index: Index,
    source: Option<Source>,
}

/// A symbol in either version or both, and what became of it.
pub(crate) struct Difference<'a> {
    pub(crate) pair: &'a Pair<'a>,
    pub(crate) change: Change,
    /// The Rust to read again, if it changed or went.
    pub(crate) rust: Vec<ReadAgain>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Unchanged,
    /// The same text on other lines or in another file.
    Moved,
    Changed,
    Added,
    Removed,
}

pub(crate) fn run(workspace: &Workspace, args: &DiffArgs) -> Result<Outcome> {
    let from = Side::open(&args.from)?;
    let to = Side::open(&args.to)?;
    let mirrors = Mirrors::read(workspace)?;
    let pairs = pairs(&from.index, &to.index);
    let sources = from.source.as_ref().zip(to.source.as_ref());
    let differences = differences(&pairs, sources, &mirrors);

    let title = format!("CPython {} -> {}", from.index.version, to.index.version);
    let mut out = anstream::stdout().lock();
    out.write_all(render::render(&title, &differences, sources).as_bytes())?;
    out.flush()?;
    let changed =
        |difference: &Difference| !matches!(difference.change, Change::Unchanged | Change::Moved);
    Ok(Outcome::of(differences.iter().any(changed)))
}

impl Side {
    fn open(path: &Path) -> Result<Self> {
        if path.extension().is_some_and(|extension| extension == "toml") {
            if !path.is_file() {
                bail!("{}: no such file; give an index or a CPython source", path.display());
            }
            let advice = "give an index that `cargo xtask parity index` wrote";
            return Ok(Self { index: toml_file::read_path(path, advice)?, source: None });
        }
        let source = Source::open(path)?;
        source.mention_missing();
        Ok(Self { index: index::build(&source)?, source: Some(source) })
    }
}

pub(crate) fn differences<'a>(
    pairs: &'a [Pair<'a>],
    sources: Option<(&Source, &Source)>,
    mirrors: &Mirrors,
) -> Vec<Difference<'a>> {
    pairs
        .iter()
        .map(|pair| {
            let change = pair.change();
            let rust = match (change, &pair.old) {
                (Change::Changed, Some(old)) => {
                    let lines = line_map(pair, sources).map(|map| map.touched());
                    mirrors.of(old, &lines.unwrap_or_default())
                }
                (Change::Removed, Some(old)) => mirrors.of(old, &old.code),
                _ => Vec::new(),
            };
            Difference { pair, change, rust }
        })
        .collect()
}

/// Where the lines of a pair went, if both texts are there.
pub(crate) fn line_map(pair: &Pair, sources: Option<(&Source, &Source)>) -> Option<LineMap> {
    let (from, to) = sources?;
    let (old, new) = (pair.old.as_ref()?, pair.new.as_ref()?);
    let old_text = Text::new(from.files.get(old.file)?);
    let new_text = Text::new(to.files.get(new.file)?);
    Some(LineMap::new((old, &old_text), (new, &new_text)))
}

impl Pair<'_> {
    pub(crate) fn change(&self) -> Change {
        match (&self.old, &self.new) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(old), Some(new)) if old.hash != new.hash => Change::Changed,
            (Some(old), Some(new)) if old.stands_where(new) => Change::Unchanged,
            _ => Change::Moved,
        }
    }

    /// The entry, as far as possible the new one.
    fn entry(&self) -> Option<&Entry<'_>> {
        self.new.as_ref().or(self.old.as_ref())
    }

    fn lines(&self) -> (Lines, Lines) {
        let code = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry.code.clone());
        (code(&self.old).unwrap_or_default(), code(&self.new).unwrap_or_default())
    }
}
