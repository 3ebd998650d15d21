//! Which C lines the anchors and markers account for.

use super::resolve::Target;
use crate::parity::cpython::short;
use crate::parity::index::{Index, Symbol};
use crate::parity::ledger::Ledger;
use crate::parity::lines::Lines;
use crate::parity::problem::Problem;
use crate::parity::rust::{Marker, Range, RustFile};

pub(crate) struct Coverage {
    /// By symbol: what its anchors cover by themselves.
    anchored: Vec<Lines>,
    /// By symbol: what markers say.
    marked: Vec<Lines>,
    /// Which symbol each range of each marker is about, file by file and from top to bottom.
    pub(crate) placements: Vec<Placement>,
    /// Markers that belong to nothing or cover nothing.
    pub(crate) problems: Vec<Problem>,
}

/// One range of a marker, and the symbol whose lines it names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    /// Index into the Rust files, into that file's markers, and into that marker's ranges.
    pub(crate) file: usize,
    pub(crate) marker: usize,
    pub(crate) range: usize,
    /// Index into that file's items: the anchored one that the marker stands in.
    pub(crate) item: usize,
    /// Index into [`Index::symbols`].
    pub(crate) symbol: usize,
}

impl Coverage {
    pub(super) fn marked(&self, symbol: usize) -> &Lines {
        &self.marked[symbol]
    }

    pub(super) fn mirrored(&self, symbol: usize) -> Lines {
        self.anchored[symbol].union(&self.marked[symbol])
    }

    /// A marker speaks of certain lines and outweighs the ledger; an anchor speaks of the whole
    /// and does not.
    pub(super) fn ledgered(&self, symbol: usize, ledger: &Ledger) -> Lines {
        ledger
            .postings
            .iter()
            .filter(|posting| posting.symbol == symbol)
            .fold(Lines::default(), |lines, posting| lines.union(&posting.lines))
            .minus(&self.marked[symbol])
    }
}

pub(crate) fn coverage(index: &Index, files: &[RustFile], targets: &[Target]) -> Coverage {
    let mut coverage = Coverage {
        anchored: vec![Lines::default(); index.symbols.len()],
        marked: vec![Lines::default(); index.symbols.len()],
        placements: Vec::new(),
        problems: Vec::new(),
    };
    for target in targets {
        let symbol = &index.symbols[target.symbol];
        let anchored = &mut coverage.anchored[target.symbol];
        match &target.member {
            None => *anchored = anchored.union(&symbol.head),
            Some(name) => {
                let member = symbol.members.iter().filter(|member| member.name == *name);
                member.for_each(|member| anchored.insert(member.line));
                let named = |line: u32| symbol.members.iter().any(|member| member.line == line);
                if symbol.members.iter().all(|member| anchored.contains(member.line)) {
                    // With the last value the enum is whole: its other lines name no value.
                    symbol
                        .head
                        .iter()
                        .filter(|line| !named(*line))
                        .for_each(|line| anchored.insert(line));
                }
            }
        }
    }
    for (file, rust) in files.iter().enumerate() {
        for (at, marker) in rust.markers.iter().enumerate() {
            for (number, range) in marker.ranges.iter().enumerate() {
                let placed = match rust.mirroring(marker.at) {
                    Some(item) => place(index, files, targets, (file, item), marker, *range)
                        .map(|symbol| (item, symbol)),
                    None => Err("this marker stands in no item with an anchor".to_owned()),
                };
                match placed.and_then(|(item, symbol)| {
                    coverage.mark(&index.symbols[symbol], symbol, *range)?;
                    Ok((item, symbol))
                }) {
                    Ok((item, symbol)) => coverage.placements.push(Placement {
                        file,
                        marker: at,
                        range: number,
                        item,
                        symbol,
                    }),
                    Err(message) => {
                        coverage.problems.push(Problem::new(&rust.path, marker.at, message));
                    }
                }
            }
        }
    }
    coverage
}

impl Coverage {
    fn mark(&mut self, symbol: &Symbol, at: usize, range: Range) -> Result<(), String> {
        let code = range.lines().and(&symbol.code());
        if code.is_empty() {
            return Err(format!("{range} of {} is no code", symbol.name));
        }
        self.marked[at] = self.marked[at].union(&code);
        Ok(())
    }
}

/// The symbol that one range of a marker is about: the one, among those that the item around it
/// mirrors, whose lines these are.
fn place(
    index: &Index,
    files: &[RustFile],
    targets: &[Target],
    (file, item): (usize, usize),
    marker: &Marker,
    range: Range,
) -> Result<usize, String> {
    let rust = &files[file];
    if range.unplaced {
        return Err(format!(
            "{range} are lines of an earlier version that `bless` could not place; read the C again"
        ));
    }
    let mut mirrored: Vec<usize> = targets
        .iter()
        .filter(|target| target.file == file && rust.anchors[target.anchor].item == item)
        .map(|target| target.symbol)
        .collect();
    mirrored.sort_unstable();
    mirrored.dedup();
    if let Some(named) = &marker.file {
        mirrored.retain(|at| {
            index.symbols[*at].file == *named || short(&index.symbols[*at].file) == named
        });
    }
    let holds = |at: &usize| {
        let symbol = &index.symbols[*at];
        symbol.first <= range.first && range.last <= symbol.last
    };
    let fitting: Vec<usize> = mirrored.iter().copied().filter(holds).collect();
    match fitting.as_slice() {
        [at] => Ok(*at),
        [] => Err(format!(
            "marker outside of its function: {} mirrors {}",
            rust.items[item].name,
            spans(index, &mirrored)
        )),
        several => Err(format!(
            "these lines could be any of {}; write the file before them, as in `// lock.h:L45: …`",
            spans(index, several)
        )),
    }
}

fn spans(index: &Index, symbols: &[usize]) -> String {
    if symbols.is_empty() {
        return "nothing there".to_owned();
    }
    let spans = symbols.iter().map(|at| {
        let symbol = &index.symbols[*at];
        format!("{} ({}:L{}-L{})", symbol.name, short(&symbol.file), symbol.first, symbol.last)
    });
    spans.collect::<Vec<_>>().join(", ")
}
