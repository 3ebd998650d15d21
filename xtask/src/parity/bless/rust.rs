//! Anchors and markers in the Rust sources.

use std::collections::BTreeMap;

use anyhow::Result;

use super::carry::{Carrier, range_text};
use super::edit::{Edited, Edits};
use crate::parity::audit::Target;
use crate::parity::cpython::short;
use crate::parity::index::Symbol;
use crate::parity::mirrors::Mirrors;
use crate::parity::problem::Problem;
use crate::parity::rust::marker_parts;
use crate::workspace::Workspace;

#[derive(Default)]
pub(super) struct Blessed {
    pub(super) files: Vec<Edited>,
    /// How many of each were rewritten.
    pub(super) anchors: usize,
    pub(super) markers: usize,
    pub(super) left: Vec<Problem>,
}

/// Anchors with the numbers of the committed index, and how many had others.
pub(super) fn refit(workspace: &Workspace, mirrors: &Mirrors) -> Result<(Vec<Edited>, usize)> {
    let mut sheets = Sheets::new(workspace, mirrors);
    let mut count = 0;
    for target in &mirrors.targets {
        let symbol = &mirrors.index.symbols[target.symbol];
        if let Some(line) = line_of(symbol, target.member.as_deref()) {
            count += usize::from(sheets.anchor(target, &symbol.file, line)?);
        }
    }
    Ok((sheets.finish(), count))
}

/// Anchors and markers with the numbers of the other version.
pub(super) fn carry(
    workspace: &Workspace,
    mirrors: &Mirrors,
    carrier: &Carrier,
) -> Result<Blessed> {
    let mut sheets = Sheets::new(workspace, mirrors);
    let mut blessed = Blessed::default();
    for target in &mirrors.targets {
        let new = carrier.fate(target.symbol).and_then(|fate| fate.new.symbol);
        let line = new.and_then(|new| line_of(new, target.member.as_deref()));
        if let (Some(new), Some(line)) = (new, line) {
            blessed.anchors += usize::from(sheets.anchor(target, &new.file, line)?);
        } else {
            let file = &mirrors.files[target.file];
            let anchor = &file.anchors[target.anchor];
            let message = format!("{} is gone in {}", anchor.symbol, carrier.version());
            blessed.left.push(Problem::new(&file.path, anchor.at, message));
        }
    }
    blessed.markers = markers(mirrors, carrier, &mut sheets, &mut blessed.left)?;
    for astray in &mirrors.astray {
        let message = format!("not touched, it did not fit before: {}", astray.message);
        blessed.left.push(Problem::new(&astray.path, astray.line, message));
    }
    blessed.files = sheets.finish();
    Ok(blessed)
}

fn markers(
    mirrors: &Mirrors,
    carrier: &Carrier,
    sheets: &mut Sheets,
    left: &mut Vec<Problem>,
) -> Result<usize> {
    let mut rewritten: BTreeMap<(usize, usize), bool> = BTreeMap::new();
    for placement in &mirrors.placements {
        let file = &mirrors.files[placement.file];
        let marker = &file.markers[placement.marker];
        let range = marker.ranges[placement.range];
        let symbol = &mirrors.index.symbols[placement.symbol];
        let numbers = (range.first, range.last);
        let carried = carrier.carry(&[placement.symbol], numbers);
        let with = if carried.ranges.is_empty() {
            let message = format!(
                "{} of {}: not placed, these lines have changed or are gone",
                range_text(numbers),
                symbol.name
            );
            left.push(Problem::new(&file.path, marker.at, message));
            format!("{}?", range_text(numbers))
        } else {
            let ranges: Vec<String> = carried.ranges.iter().copied().map(range_text).collect();
            let ranges = ranges.join(", ");
            if !carried.lost.is_empty() {
                let lost: Vec<String> = carried.lost.ranges().into_iter().map(range_text).collect();
                let message = format!(
                    "{} of {} changed or gone; the marker keeps the rest, now {ranges}",
                    lost.join(", "),
                    symbol.name
                );
                left.push(Problem::new(&file.path, marker.at, message));
            }
            ranges
        };
        let new_file = carrier.fate(placement.symbol).map(|fate| fate.new.file);
        let sheet = sheets.open(placement.file)?;
        let Some(parts) = marker_parts(sheet.line(marker.at)) else { continue };
        let changed = rewritten.entry((placement.file, placement.marker)).or_default();
        *changed |= sheet.replace(marker.at, parts.ranges[placement.range].clone(), &with);
        // Written as a path or as a name alone, and so it stays.
        if let (Some(columns), Some(new_file)) = (parts.file, new_file)
            && new_file != symbol.file
        {
            let named = marker.file.as_deref().unwrap_or_default();
            let name = if named.contains('/') { new_file } else { short(new_file) };
            *changed |= sheet.replace(marker.at, columns, name);
        }
    }
    Ok(rewritten.into_values().filter(|changed| *changed).count())
}

/// The line that an anchor to the symbol, or to a member of it, gives.
fn line_of(symbol: &Symbol, member: Option<&str>) -> Option<u32> {
    match member {
        None => Some(symbol.line),
        Some(name) => {
            symbol.members.iter().find(|member| member.name == name).map(|member| member.line)
        }
    }
}

/// The Rust files that have been opened for editing.
struct Sheets<'a> {
    workspace: &'a Workspace,
    mirrors: &'a Mirrors,
    open: BTreeMap<usize, Edits>,
}

impl<'a> Sheets<'a> {
    fn new(workspace: &'a Workspace, mirrors: &'a Mirrors) -> Self {
        Self { workspace, mirrors, open: BTreeMap::new() }
    }

    fn open(&mut self, file: usize) -> Result<&mut Edits> {
        use std::collections::btree_map::Entry;
        Ok(match self.open.entry(file) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let path = &self.mirrors.files[file].path;
                entry.insert(Edits::open(self.workspace, path)?)
            }
        })
    }

    /// Gives an anchor its file and line; says whether it had others.
    fn anchor(&mut self, target: &Target, new_file: &str, new_line: u32) -> Result<bool> {
        let anchor = &self.mirrors.files[target.file].anchors[target.anchor];
        let sheet = self.open(target.file)?;
        let old = format!("CPython: {}:L{} {}", anchor.file, anchor.line, anchor.symbol);
        let new = format!("CPython: {new_file}:L{new_line} {}", anchor.symbol);
        // It was read from this line.
        let Some(start) = sheet.line(anchor.at).find(&old) else { return Ok(false) };
        Ok(sheet.replace(anchor.at, start..start + old.len(), &new))
    }

    fn finish(self) -> Vec<Edited> {
        self.open.into_values().filter_map(Edits::finish).collect()
    }
}
