//! What the templates get to see.

use serde::Serialize;

/// Symbols and code lines of a file or of all.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Stats {
    pub(super) symbols: usize,
    pub(super) all: usize,
    pub(super) mirrored: usize,
    pub(super) ledger: usize,
    pub(super) missing: usize,
    /// Of the lines, rounded down.
    pub(super) percent: String,
}

/// The page of a C file.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    /// `Python/lock.c`
    pub(super) path: String,
    /// `lock.c`
    pub(super) name: String,
    pub(super) url: String,
    /// Whether only one symbol of the file counts.
    pub(super) partial: bool,
    pub(super) stats: Stats,
    pub(super) sections: Vec<Section>,
}

/// Some C lines and what stands for them: a symbol, a few that go together, or what is between.
#[derive(Debug, Default, Serialize)]
pub(super) struct Section {
    pub(super) symbols: Vec<SymbolHead>,
    pub(super) rows: Vec<CRow>,
    pub(super) cards: Vec<Card>,
    /// Nothing but empty lines.
    pub(super) blank: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct SymbolHead {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) first: u32,
    pub(super) last: u32,
    /// The line in the seed's version.
    pub(super) seed: Option<String>,
    pub(super) status: &'static str,
    pub(super) accounted: usize,
    pub(super) all: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct CRow {
    pub(super) number: u32,
    pub(super) html: String,
    /// `mirrored`, `ledger`, `missing`, or nothing for what is no code.
    pub(super) state: &'static str,
    /// Blocks that hold it, at most one for each card.
    pub(super) blocks: Vec<u32>,
    /// Whether a block begins here.
    pub(super) begins: bool,
    /// Blank rows before it.
    pub(super) gap: u32,
    /// Of a prototype: where the definition is.
    pub(super) defined: Option<Link>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Link {
    pub(super) text: String,
    pub(super) url: String,
}

/// A Rust item, or an entry of the ledger.
#[derive(Debug, Serialize)]
pub(super) struct Card {
    pub(super) id: String,
    /// `rust` or `ledger`
    pub(super) kind: &'static str,
    /// The item's name, or what the entry is about.
    pub(super) title: String,
    /// `crates/lock/src/mutex.rs:272-366`
    pub(super) place: String,
    pub(super) open: bool,
    pub(super) gap: u32,
    pub(super) rows: Vec<RustRow>,
    /// Of the ledger.
    pub(super) reason: Option<String>,
    pub(super) block: Option<u32>,
    /// The first C line.
    pub(super) to: Option<u32>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct RustRow {
    pub(super) number: u32,
    pub(super) html: String,
    pub(super) block: Option<u32>,
    pub(super) begins: bool,
    /// The first C line of the block.
    pub(super) to: Option<u32>,
    pub(super) gap: u32,
    /// Rows that are folded away behind this one.
    pub(super) folded: Vec<RustRow>,
    /// A deviation to show below this row.
    pub(super) deviation: Option<DeviationNote>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct DeviationNote {
    pub(super) id: String,
    pub(super) title: String,
    /// HTML.
    pub(super) text: String,
}

/// A row of the overview's table.
#[derive(Debug, Serialize)]
pub(super) struct OverviewRow {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) kind: String,
    pub(super) status: &'static str,
    pub(super) accounted: usize,
    pub(super) all: usize,
    pub(super) items: Vec<Link>,
    /// HTML.
    pub(super) reasons: Vec<String>,
    pub(super) deviations: Vec<String>,
}

/// An entry of the deviations' page.
#[derive(Debug, Serialize)]
pub(super) struct DeviationPage {
    #[serde(flatten)]
    pub(super) note: DeviationNote,
    pub(super) places: Vec<Link>,
}
