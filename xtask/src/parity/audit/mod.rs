//! Joins the index, the Rust sources and the ledger: what is mirrored where, what is missing,
//! what no longer fits.

mod coverage;
mod order;
mod resolve;

use super::deviations;
use super::index::{Declaration, Index, Kind, Symbol};
use super::ledger::{Ledger, Posting};
use super::lines::Lines;
use super::problem::Problem;
use super::rust::RustFile;
use super::seed::Seed;
use crate::workspace::Workspace;

pub(crate) use coverage::{Coverage, Placement, coverage};
pub(crate) use resolve::{Target, resolve};

/// The ledger's share of the code lines, in percent, that is too much.
const LEDGER_LIMIT: usize = 15;

pub(crate) struct Audit {
    /// One row for each symbol, in the index's order.
    pub(crate) rows: Vec<Row>,
    pub(crate) totals: Totals,
    pub(crate) problems: Vec<Problem>,
    pub(crate) targets: Vec<Target>,
    pub(crate) placements: Vec<Placement>,
    /// One for each declaration, in the index's order.
    pub(crate) declared: Vec<LineCount>,
}

pub(crate) struct Row {
    pub(crate) symbol: Symbol,
    pub(crate) seed: Option<String>,
    pub(crate) mirrors: Vec<Mirror>,
    pub(crate) status: Status,
    pub(crate) lines: LineCount,
    pub(crate) mirrored: Lines,
    pub(crate) ledgered: Lines,
    /// What the ledger says of the symbol or of some lines of it.
    pub(crate) postings: Vec<Posting>,
}

/// A Rust item that mirrors a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    pub(crate) item: String,
    pub(crate) path: String,
    pub(crate) line: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Mirrored,
    Ledger,
    Missing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineCount {
    pub(crate) all: usize,
    /// Covered by an anchor or a marker.
    pub(crate) mirrored: usize,
    pub(crate) ledger: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) symbols: usize,
    pub(crate) mirrored: usize,
    pub(crate) ledger: usize,
    pub(crate) missing: usize,
    pub(crate) lines: LineCount,
}

impl Status {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Mirrored => "mirrored",
            Self::Ledger => "ledger",
            Self::Missing => "MISSING",
        }
    }
}

impl LineCount {
    pub(crate) fn accounted(self) -> usize {
        self.mirrored + self.ledger
    }
}

impl std::ops::Add for LineCount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            all: self.all + other.all,
            mirrored: self.mirrored + other.mirrored,
            ledger: self.ledger + other.ledger,
        }
    }
}

pub(crate) fn audit(
    workspace: &Workspace,
    index: &Index,
    files: &[RustFile],
    ledger: &Ledger,
    seed: &Seed,
) -> Audit {
    let mut problems: Vec<Problem> = ledger.problems.clone();
    problems.extend(files.iter().flat_map(|file| file.malformed.iter().cloned()));
    problems.extend(deviations::check(workspace, files));

    let (targets, wrong) = resolve(index, files);
    problems.extend(wrong);
    let coverage = coverage(index, files, &targets);

    let rows: Vec<Row> = index
        .symbols
        .iter()
        .enumerate()
        .map(|(at, symbol)| row(at, symbol, index, files, &targets, &coverage, ledger, seed))
        .collect();

    for row in rows.iter().filter(|row| row.status == Status::Missing) {
        problems.push(missing(row));
    }
    problems.extend(stale(index, ledger, &rows, &coverage));
    problems.extend(coverage.problems.iter().cloned());
    problems.extend(order::check(index, files, &coverage.placements));
    problems.extend(unexplained(files));
    for row in rows.iter().filter(|row| row.status == Status::Mirrored) {
        problems.extend(uncovered(row));
    }
    let declared = declared(index, &rows);
    let totals = totals(&rows, &declared);
    problems.extend(too_much_ledger(totals.lines));
    problems.sort();
    problems.dedup();
    Audit { rows, totals, problems, targets, placements: coverage.placements, declared }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one join")]
fn row(
    at: usize,
    symbol: &Symbol,
    index: &Index,
    files: &[RustFile],
    targets: &[Target],
    coverage: &Coverage,
    ledger: &Ledger,
    seed: &Seed,
) -> Row {
    let mut mirrors: Vec<Mirror> = Vec::new();
    let mut members: Vec<&str> = Vec::new();
    let mut own = false;
    for target in targets.iter().filter(|target| target.symbol == at) {
        let file = &files[target.file];
        let item = &file.items[file.anchors[target.anchor].item];
        match &target.member {
            Some(member) => members.push(member),
            None => own = true,
        }
        let mirror = Mirror { item: item.name.clone(), path: file.path.clone(), line: item.line };
        if !mirrors.contains(&mirror) {
            mirrors.push(mirror);
        }
    }
    // An enum may be mirrored value by value.
    let all_members = !symbol.members.is_empty()
        && symbol.members.iter().all(|member| members.contains(&member.name.as_str()));
    let code = symbol.code();
    let postings = ledger.postings.iter().filter(|posting| posting.symbol == at);
    let in_ledger = postings.clone().any(|posting| posting.whole);
    let status = if own || all_members {
        Status::Mirrored
    } else if in_ledger {
        Status::Ledger
    } else {
        Status::Missing
    };
    let ledgered = coverage.ledgered(at, ledger);
    let mirrored = coverage.mirrored(at).minus(&ledgered);
    Row {
        symbol: symbol.clone(),
        seed: seed.line(index, symbol),
        mirrors,
        status,
        lines: LineCount { all: code.len(), mirrored: mirrored.len(), ledger: ledgered.len() },
        mirrored,
        ledgered,
        postings: postings.cloned().collect(),
    }
}

fn missing(row: &Row) -> Problem {
    let symbol = &row.symbol;
    let message = if row.mirrors.is_empty() {
        format!("{} is neither mirrored nor in {}", symbol.name, Ledger::path())
    } else {
        format!("{} is mirrored in part only: anchor it, or all of its members", symbol.name)
    };
    Problem::new(&symbol.file, symbol.line, message).about(&symbol.file, &symbol.name)
}

/// Postings for what has a Rust counterpart by now.
fn stale<'a>(
    index: &'a Index,
    ledger: &'a Ledger,
    rows: &'a [Row],
    coverage: &'a Coverage,
) -> impl Iterator<Item = Problem> + 'a {
    ledger.postings.iter().filter_map(move |posting| {
        let symbol = &index.symbols[posting.symbol];
        let row = &rows[posting.symbol];
        let message = if posting.whole && row.status == Status::Mirrored {
            let mirror = row.mirrors.first()?;
            format!(
                "stale: {} is mirrored by {} at {}:{}",
                symbol.name, mirror.item, mirror.path, mirror.line
            )
        } else if !posting.lines.is_empty()
            && posting.lines.minus(coverage.marked(posting.symbol)).is_empty()
        {
            format!("stale: markers cover lines {} of {}", posting.lines, symbol.name)
        } else {
            return None;
        };
        Some(Problem::new(Ledger::path(), posting.at, message).about(&symbol.file, &symbol.name))
    })
}

fn uncovered(row: &Row) -> Vec<Problem> {
    let symbol = &row.symbol;
    let lines = symbol.code().minus(&row.mirrored).minus(&row.ledgered);
    lines
        .ranges()
        .into_iter()
        .map(|(first, last)| {
            let range =
                if first == last { format!("L{first}") } else { format!("L{first}-L{last}") };
            let message = format!("{range} of {}: no marker and no ledger entry", symbol.name);
            Problem::new(&symbol.file, first, message).about(&symbol.file, &symbol.name)
        })
        .collect()
}

/// A ledger that explains away much of the C is no port.
fn too_much_ledger(lines: LineCount) -> Option<Problem> {
    (lines.ledger * 100 >= lines.all * LEDGER_LIMIT && lines.ledger > 0).then(|| {
        let message = format!(
            "the ledger accounts for {} of {} code lines; it has to stay under {LEDGER_LIMIT} %",
            lines.ledger, lines.all
        );
        Problem::new(Ledger::path(), 1, message)
    })
}

/// Markers whose reason is empty. A bare marker, without a colon, promises none.
fn unexplained(files: &[RustFile]) -> impl Iterator<Item = Problem> + '_ {
    files.iter().flat_map(|file| {
        let silent = file.markers.iter().filter(|marker| marker.why.as_deref() == Some(""));
        silent.map(|marker| {
            let message = "this marker gives no reason; write `// L95-L102: why`, or `// L95-L102` \
                           where there is none to give";
            Problem::new(&file.path, marker.at, message)
        })
    })
}

fn totals(rows: &[Row], declared: &[LineCount]) -> Totals {
    let mut totals = Totals { symbols: rows.len(), ..Totals::default() };
    for row in rows {
        match row.status {
            Status::Mirrored => totals.mirrored += 1,
            Status::Ledger => totals.ledger += 1,
            Status::Missing => totals.missing += 1,
        }
        totals.lines = totals.lines + row.lines;
    }
    totals.lines = declared.iter().fold(totals.lines, |sum, count| sum + *count);
    totals
}

/// A declaration is accounted for with its definition.
fn declared(index: &Index, rows: &[Row]) -> Vec<LineCount> {
    let count = |declaration: &Declaration| {
        let all = declaration.lines.len();
        let mut count = LineCount { all, ..LineCount::default() };
        match definition(rows, &declaration.name).map(|row| row.status) {
            Some(Status::Mirrored) => count.mirrored = all,
            Some(Status::Ledger) => count.ledger = all,
            Some(Status::Missing) | None => {}
        }
        count
    };
    index.declarations.iter().map(count).collect()
}

/// What a prototype announces; a macro of the same name only redirects to it.
fn definition<'a>(rows: &'a [Row], name: &str) -> Option<&'a Row> {
    let named = || rows.iter().filter(|row| row.symbol.name == name);
    named().find(|row| row.symbol.kind != Kind::Macro).or_else(|| named().next())
}
