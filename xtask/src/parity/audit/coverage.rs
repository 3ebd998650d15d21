//! Which C lines the anchors and markers account for.

use super::resolve::Target;
use crate::parity::cpython::short;
use crate::parity::index::Index;
use crate::parity::ledger::Ledger;
use crate::parity::lines::Lines;
use crate::parity::problem::Problem;
use crate::parity::rust::{Marker, RustFile};

pub(super) struct Coverage {
    /// By symbol: what its anchors cover by themselves.
    anchored: Vec<Lines>,
    /// By symbol: what markers say.
    marked: Vec<Lines>,
    /// Markers that belong to nothing.
    pub(super) problems: Vec<Problem>,
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

pub(super) fn coverage(index: &Index, files: &[RustFile], targets: &[Target]) -> Coverage {
    let mut coverage = Coverage {
        anchored: vec![Lines::default(); index.symbols.len()],
        marked: vec![Lines::default(); index.symbols.len()],
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
        for marker in &rust.markers {
            for (first, last) in marker.ranges.iter().copied() {
                match place(index, files, targets, file, marker, (first, last)) {
                    Ok(symbol) => {
                        let lines: Lines = (first..=last).collect();
                        let code = lines.and(&index.symbols[symbol].code());
                        coverage.marked[symbol] = coverage.marked[symbol].union(&code);
                    }
                    Err(message) => {
                        let problem = Problem::new(&rust.path, marker.at, message);
                        coverage.problems.push(problem);
                    }
                }
            }
        }
    }
    coverage
}

/// The symbol that one range of a marker is about: the one, among those that the innermost anchored item
/// around it mirrors, whose lines these are.
fn place(
    index: &Index,
    files: &[RustFile],
    targets: &[Target],
    file: usize,
    marker: &Marker,
    (first, last): (u32, u32),
) -> Result<usize, String> {
    let rust = &files[file];
    let Some(item) = rust.enclosing(marker.at).find(|item| rust.anchors_of(*item).next().is_some())
    else {
        return Err("this marker stands in no item with an anchor".to_owned());
    };
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
        symbol.first <= first && last <= symbol.last
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
