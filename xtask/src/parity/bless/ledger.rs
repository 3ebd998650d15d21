//! Line numbers in the ledger.

use anyhow::Result;
use serde::Deserialize;
use toml::Spanned;

use super::carry::{Carrier, range_text};
use super::edit::{Edited, Edits};
use crate::parity::index::Index;
use crate::parity::ledger::Ledger;
use crate::parity::problem::Problem;
use crate::parity::toml_file;
use crate::workspace::{Workspace, line_of};

/// An entry as far as it has numbers.
#[derive(Deserialize)]
struct Entry {
    file: Spanned<String>,
    symbols: Vec<String>,
    lines: Option<Spanned<String>>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    entry: Vec<Spanned<Entry>>,
}

pub(super) struct Blessed {
    pub(super) file: Option<Edited>,
    /// How many line ranges were rewritten.
    pub(super) entries: usize,
    pub(super) left: Vec<Problem>,
}

pub(super) fn carry(workspace: &Workspace, index: &Index, carrier: &Carrier) -> Result<Blessed> {
    let path = Ledger::path();
    // The audit has its own reading of it, with more to say about mistakes.
    Ledger::read(workspace, index)?;
    let (text, file): (String, File) = toml_file::read(workspace, path, "restore it from git")?;
    let mut edits = Edits::new(path, text.clone());
    let mut blessed = Blessed { file: None, entries: 0, left: Vec::new() };
    for entry in file.entry {
        let at = line_of(&text, entry.span().start);
        let mut complain = |message: String| {
            blessed.left.push(Problem::new(path, at, message));
        };
        let entry = entry.into_inner();
        let old_file = entry.file.get_ref();
        let symbols: Vec<usize> = (0..index.symbols.len())
            .filter(|at| {
                let symbol = &index.symbols[*at];
                symbol.file == *old_file && entry.symbols.contains(&symbol.name)
            })
            .collect();
        for gone in symbols.iter().filter(|symbol| carrier.fate(**symbol).is_none()) {
            let name = &index.symbols[*gone].name;
            complain(format!("{name} is gone in {}", carrier.version()));
        }
        let mut files: Vec<&str> = symbols
            .iter()
            .filter_map(|symbol| carrier.fate(*symbol))
            .map(|fate| fate.new.file)
            .collect();
        files.sort_unstable();
        files.dedup();
        match files.as_slice() {
            [new] if new != old_file => {
                edits.replace_bytes(inside(&text, &entry.file), new);
            }
            [] | [_] => {}
            _ => complain(format!(
                "its symbols are in {} in {}; make an entry for each",
                files.join(" and "),
                carrier.version()
            )),
        }
        let Some(lines) = &entry.lines else { continue };
        let mut parts: Vec<String> = Vec::new();
        for part in lines.get_ref().split_ascii_whitespace() {
            // The audit has read it: these are numbers.
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Ok(first), Ok(last)) = (first.parse(), last.parse()) else { continue };
            let carried = carrier.carry(&symbols, (first, last));
            if !carried.lost.is_empty() || carried.ranges.is_empty() {
                complain(format!(
                    "{} of {old_file}: {}changed or gone, and dropped from the entry",
                    range_text((first, last)),
                    if carried.ranges.is_empty() { "" } else { "in part " }
                ));
            }
            parts.extend(carried.ranges.iter().map(|range| range_text(*range).replace('L', "")));
        }
        if edits.replace_bytes(inside(&text, lines), &parts.join(" ")) {
            blessed.entries += 1;
        }
    }
    blessed.file = edits.finish();
    Ok(blessed)
}

/// The bytes between the quotes.
fn inside<T>(text: &str, value: &Spanned<T>) -> std::ops::Range<usize> {
    let span = value.span();
    let raw = &text[span.clone()];
    let quote = raw.len() - raw.trim_start_matches(['"', '\'']).len();
    span.start + quote..span.end - quote
}
