//! From the lines of one version to those of the other, symbol by symbol.

use crate::parity::cpython::Source;
use crate::parity::diff::line_map;
use crate::parity::index::{Entry, Index, Kind, Pair, Symbol};
use crate::parity::line_map::LineMap;
use crate::parity::lines::Lines;
use crate::parity::problem::Problem;

pub(super) struct Carrier<'a> {
    /// By symbol of the old index; `None` if it is gone.
    fates: Vec<Option<Fate<'a>>>,
    version: &'a str,
}

/// What became of a symbol.
pub(super) struct Fate<'a> {
    pub(super) new: &'a Entry<'a>,
    map: LineMap,
}

/// What became of some lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Carried {
    /// Where they are, first and last; empty if they are nowhere.
    pub(super) ranges: Vec<(u32, u32)>,
    /// Those that are nowhere.
    pub(super) lost: Lines,
}

impl<'a> Carrier<'a> {
    pub(super) fn new(
        old: &Index,
        pairs: &'a [Pair<'a>],
        sources: (&'a Source, &'a Source),
    ) -> Self {
        let fate = |symbol: &Symbol| {
            let pair = pairs.iter().find(|pair| {
                let entry = pair.old.as_ref().and_then(|old| old.symbol);
                entry.is_some_and(|entry| std::ptr::eq(entry, symbol))
            })?;
            Some(Fate { new: pair.new.as_ref()?, map: line_map(pair, Some(sources))? })
        };
        Self { fates: old.symbols.iter().map(fate).collect(), version: &sources.1.version.text }
    }

    pub(super) fn fate(&self, symbol: usize) -> Option<&Fate<'a>> {
        self.fates[symbol].as_ref()
    }

    pub(super) fn version(&self) -> &str {
        self.version
    }

    /// Where the lines `first..=last` of these symbols are now. What is new between them belongs
    /// to nobody: the ranges leave it out, so that the audit asks for it.
    pub(super) fn carry(&self, symbols: &[usize], (first, last): (u32, u32)) -> Carried {
        let lines: Lines = (first..=last).collect();
        let mut there = Lines::default();
        let mut code = Lines::default();
        let mut bounds: Option<(u32, u32)> = None;
        let mut carried = Carried::default();
        for fate in symbols.iter().filter_map(|symbol| self.fate(*symbol)) {
            let (found, lost) = fate.map.carry(&lines);
            there = there.union(&found);
            carried.lost = carried.lost.union(&lost);
            code = code.union(&fate.new.code);
            let (low, high) = bounds.unwrap_or((fate.new.first, fate.new.last));
            bounds = Some((low.min(fate.new.first), high.max(fate.new.last)));
        }
        let (Some(bounds), false) = (bounds, there.is_empty()) else { return carried };
        let mut in_run = false;
        for line in code.iter() {
            match (there.contains(line), in_run, carried.ranges.last_mut()) {
                (true, true, Some(run)) => run.1 = line,
                (true, ..) => carried.ranges.push((line, line)),
                _ => {}
            }
            in_run = there.contains(line);
        }
        // Comments and braces at either end stay in.
        let old_code = self.old_code(symbols, &lines);
        if let (Some(low), Some(high)) = (old_code.first(), old_code.iter().last()) {
            if let Some(run) = carried.ranges.first_mut() {
                let room = run.0 - bounds.0;
                let lead = (1..=room.min(low - first)).take_while(|by| !code.contains(run.0 - by));
                run.0 -= lead.last().unwrap_or(0);
            }
            if let Some(run) = carried.ranges.last_mut() {
                let room = bounds.1 - run.1;
                let tail = (1..=room.min(last - high)).take_while(|by| !code.contains(run.1 + by));
                run.1 += tail.last().unwrap_or(0);
            }
        }
        carried
    }

    fn old_code(&self, symbols: &[usize], lines: &Lines) -> Lines {
        symbols
            .iter()
            .filter_map(|symbol| self.fate(*symbol))
            .fold(Lines::default(), |code, fate| code.union(&fate.map.old_code(lines)))
    }

    /// New code in the bodies of functions, which no marker can be about yet.
    pub(super) fn unmirrored(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for fate in self.fates.iter().flatten() {
            let Some(symbol) = fate.new.symbol else { continue };
            if !matches!(symbol.kind, Kind::Function | Kind::StaticFunction | Kind::StaticInline) {
                continue;
            }
            for (first, last) in fate.map.added().and(&symbol.body).ranges() {
                let message = format!(
                    "new in {}: {} of {}",
                    self.version,
                    range_text((first, last)),
                    symbol.name
                );
                problems.push(Problem::new(&symbol.file, first, message));
            }
        }
        problems
    }
}

/// `L95-L102`
pub(super) fn range_text((first, last): (u32, u32)) -> String {
    if first == last { format!("L{first}") } else { format!("L{first}-L{last}") }
}
