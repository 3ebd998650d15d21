//! The page of a C file: all of its lines, section by section, and the Rust beside them.

use std::collections::{BTreeMap, BTreeSet};

use super::material::{CFile, Material};
use super::model::{CRow, Link, Page, Section, Stats};
use super::section::section;
use crate::parity::audit::{LineCount, Row};
use crate::parity::cpython::{Covered, short};
use crate::parity::index::Kind;
use crate::parity::render::percent;

/// Names on the pages, which have to be unique there.
pub(super) struct Anchors {
    /// By symbol of the index.
    pub(super) symbols: Vec<String>,
}

impl Anchors {
    pub(super) fn new(material: &Material) -> Self {
        let mut seen: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        let symbols = material
            .index
            .symbols
            .iter()
            .map(|symbol| {
                let count = seen.entry((&symbol.file, &symbol.name)).or_default();
                *count += 1;
                if *count == 1 { symbol.name.clone() } else { format!("{}-{count}", symbol.name) }
            })
            .collect();
        Self { symbols }
    }

    /// `lock.c.html#_PyMutex_LockTimed`
    pub(super) fn url(&self, material: &Material, symbol: usize) -> String {
        let file = &material.index.symbols[symbol].file;
        format!("{}#{}", page_url(file), self.symbols[symbol])
    }
}

/// `lock.c.html`; no two covered files share a name.
pub(super) fn page_url(path: &str) -> String {
    format!("{}.html", short(path))
}

pub(super) fn id_of_item(item: &str, path: &str, line: u32) -> String {
    let crate_name = path.strip_prefix("crates/").and_then(|path| path.split('/').next());
    format!("rust-{}-{}-{line}", crate_name.unwrap_or_default(), item.replace("::", "."))
}

/// C lines that are shown together, and the symbols among them.
pub(super) struct Group {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) symbols: Vec<usize>,
}

pub(super) fn page(material: &Material, anchors: &Anchors, covered: &Covered) -> Option<Page> {
    let file = material.c.get(covered.path)?;
    let mut blocks = 0;
    let mut used = BTreeSet::new();
    let mut sections = Vec::new();
    let mut next = 1;
    let end = file.raw.len() as u32;
    let declared = declared(material, anchors, covered.path);
    for group in groups(material, covered.path, file) {
        if covered.only.is_none() && next < group.first {
            sections.push(between(file, (next, group.first - 1), &declared));
        }
        sections.push(section(material, anchors, file, &group, &mut blocks, &mut used));
        next = group.last + 1;
    }
    if covered.only.is_none() && next <= end {
        sections.push(between(file, (next, end), &declared));
    }
    Some(Page {
        path: covered.path.to_owned(),
        name: short(covered.path).to_owned(),
        url: page_url(covered.path),
        partial: covered.only.is_some(),
        stats: stats(material, Some(covered.path)),
        sections,
    })
}

pub(super) fn stats(material: &Material, path: Option<&str>) -> Stats {
    let rows =
        material.audit.rows.iter().filter(|row| path.is_none_or(|path| row.symbol.file == path));
    let mut stats = Stats::default();
    let declared = material.audit.declared.iter().zip(&material.index.declarations);
    let declared = declared.filter(|(_, of)| path.is_none_or(|path| of.file == path));
    let counts = rows
        .inspect(|_| stats.symbols += 1)
        .map(|row| row.lines)
        .chain(declared.map(|(count, _)| *count))
        .fold(LineCount::default(), |sum, count| sum + count);
    stats.all = counts.all;
    stats.mirrored = counts.mirrored;
    stats.ledger = counts.ledger;
    stats.missing = counts.all - counts.accounted();
    stats.percent = percent(counts.accounted(), counts.all);
    stats
}

/// Neighbours that the same entry of the ledger explains away are shown as one.
fn groups(material: &Material, path: &str, file: &CFile) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let of_file =
        || material.audit.rows.iter().enumerate().filter(|(_, row)| row.symbol.file == path);
    for (at, row) in of_file() {
        let symbol = &row.symbol;
        let together = groups.last().is_some_and(|group| {
            symbol.first <= group.last || same_entry(&material.audit.rows[group.symbols[0]], row)
        });
        if let (true, Some(group)) = (together, groups.last_mut()) {
            group.last = group.last.max(symbol.last);
            group.symbols.push(at);
            continue;
        }
        // The comment above a symbol belongs to it.
        let start = groups.last().map_or(1, |group| group.last + 1);
        let mut first = symbol.first;
        while first > start && file.is_comment(first - 1) {
            first -= 1;
        }
        groups.push(Group { first, last: symbol.last, symbols: vec![at] });
    }
    groups
}

fn same_entry(one: &Row, other: &Row) -> bool {
    let entry = |row: &Row| match row.postings.as_slice() {
        [posting] if posting.whole && row.mirrors.is_empty() => Some(posting.at),
        _ => None,
    };
    entry(one).is_some() && entry(one) == entry(other)
}

impl CFile<'_> {
    pub(super) fn is_comment(&self, line: u32) -> bool {
        !self.raw[line as usize - 1].trim().is_empty() && self.text.line(line).trim().is_empty()
    }
}

/// Where the prototypes of a file lead, by line, and how their lines are accounted for.
struct Declared {
    links: BTreeMap<u32, Link>,
    states: BTreeMap<u32, &'static str>,
}

fn declared(material: &Material, anchors: &Anchors, path: &str) -> Declared {
    let mut declared = Declared { links: BTreeMap::new(), states: BTreeMap::new() };
    for (declaration, count) in material.index.declarations.iter().zip(&material.audit.declared) {
        if declaration.file != path {
            continue;
        }
        let state = if count.mirrored > 0 {
            "mirrored"
        } else if count.ledger > 0 {
            "ledger"
        } else {
            "missing"
        };
        declared.states.extend(declaration.lines.iter().map(|line| (line, state)));
        let named = |at: &usize| material.index.symbols[*at].name == declaration.name;
        let all = 0..material.index.symbols.len();
        let definition = all
            .clone()
            .find(|at| named(at) && material.index.symbols[*at].kind != Kind::Macro)
            .or_else(|| all.clone().find(named));
        if let (Some(at), Some(line)) = (definition, declaration.lines.iter().last()) {
            let symbol = &material.index.symbols[at];
            let link = Link {
                text: format!("{}:{}", short(&symbol.file), symbol.line),
                url: anchors.url(material, at),
            };
            declared.links.insert(line, link);
        }
    }
    declared
}

/// What is between the symbols: includes, conditionals, prototypes, comments.
fn between(file: &CFile, (first, last): (u32, u32), declared: &Declared) -> Section {
    let row = |number: u32| CRow {
        number,
        html: file.html_of(number),
        state: declared.states.get(&number).copied().unwrap_or_default(),
        blocks: Vec::new(),
        begins: false,
        gap: 0,
        defined: declared.links.get(&number).cloned(),
    };
    let blank = (first..=last).all(|line| file.raw[line as usize - 1].trim().is_empty());
    Section { rows: (first..=last).map(row).collect(), blank, ..Section::default() }
}

impl CFile<'_> {
    pub(super) fn html_of(&self, line: u32) -> String {
        self.html.get(line as usize - 1).cloned().unwrap_or_default()
    }
}
