//! Which Rust lines stand for which C lines: the blocks that the page joins.

use super::material::Material;
use crate::parity::lines::Lines;

/// A Rust item that mirrors a symbol, cut into blocks.
pub(super) struct Plan {
    /// Index into the Rust files, and into that file's items.
    pub(super) file: usize,
    pub(super) item: usize,
    /// Outer blocks before the blocks inside them.
    pub(super) blocks: Vec<Block>,
    /// Whether markers, or members with anchors of their own, say more than the anchor does.
    pub(super) detailed: bool,
}

/// C lines and the Rust lines, first and last, that stand for them.
pub(super) struct Block {
    pub(super) c: Lines,
    pub(super) rust: (u32, u32),
}

impl Plan {
    /// The block of a Rust line: the last, and so the innermost, that holds it.
    pub(super) fn block_at(&self, line: u32) -> Option<usize> {
        self.blocks.iter().rposition(|block| (block.rust.0..=block.rust.1).contains(&line))
    }

    /// The first C line that a marker gives, for sorting.
    pub(super) fn starts_at(&self) -> u32 {
        let detailed = self.blocks.iter().skip(1).filter_map(|block| block.c.first()).min();
        detailed.or_else(|| self.blocks.first()?.c.first()).unwrap_or(0)
    }
}

/// Every item that mirrors the symbol, those first that say most.
pub(super) fn plans(material: &Material, symbol: usize) -> Vec<Plan> {
    let mut items: Vec<(usize, usize)> = Vec::new();
    let targets = || material.audit.targets.iter().filter(move |target| target.symbol == symbol);
    for target in targets() {
        let at = (target.file, material.files[target.file].anchors[target.anchor].item);
        if !items.contains(&at) {
            items.push(at);
        }
    }
    // A field inside a struct that is here too is a block of it.
    let outer: Vec<(usize, usize)> = items
        .iter()
        .copied()
        .filter(|(file, item)| !items.iter().any(|other| holds(material, *other, (*file, *item))))
        .collect();
    let mut plans: Vec<Plan> =
        outer.into_iter().map(|(file, item)| plan(material, symbol, file, item)).collect();
    plans.sort_by_key(|plan| {
        let path = &material.files[plan.file].path;
        // What exports the layers under their C names comes after the layers.
        let facade = path.starts_with("crates/capi/");
        (facade, !plan.detailed, plan.starts_at(), path.clone(), plan.item)
    });
    plans
}

fn holds(material: &Material, outer: (usize, usize), inner: (usize, usize)) -> bool {
    let span = |(file, item): (usize, usize)| {
        let item = &material.files[file].items[item];
        (item.first, item.last)
    };
    let ((first, last), (start, end)) = (span(outer), span(inner));
    outer.0 == inner.0 && outer != inner && first <= start && end <= last
}

fn plan(material: &Material, symbol: usize, file: usize, item: usize) -> Plan {
    let rust = &material.files[file];
    let found = &material.index.symbols[symbol];
    let span = &rust.items[item];
    let raw = &material.rust[file].raw;
    let end = last_code(raw, span.line, span.last);

    let own_markers = rust.markers.iter().filter(|marker| rust.mirroring(marker.at) == Some(item));
    let marks: Vec<u32> = own_markers.map(|marker| marker.at).collect();
    // A marker holds until the next one, whatever that is about.
    let until = |at: u32| marks.iter().find(|next| **next > at).map_or(end, |next| next - 1);

    let whole: Lines = (found.first..=found.last).collect();
    let mut own = false;
    let mut members = Vec::new();
    for target in &material.audit.targets {
        let at = rust_item(material, target);
        if target.symbol != symbol || at.0 != file {
            continue;
        }
        match &target.member {
            None if at == (file, item) => own = true,
            Some(name) => {
                let lines: Lines = found
                    .members
                    .iter()
                    .filter(|member| member.name == *name)
                    .map(|member| member.line)
                    .collect();
                let inner = &rust.items[at.1];
                if at == (file, item) || holds(material, (file, item), at) {
                    let end = last_code(raw, inner.line, inner.last);
                    members.push(Block { c: lines, rust: (inner.line, end) });
                }
            }
            None => {}
        }
    }
    let mut blocks = Vec::new();
    if own {
        let c = if found.body.is_empty() { whole } else { found.head.clone() };
        let last = if found.body.is_empty() { end } else { until(span.line) };
        blocks.push(Block { c, rust: (span.line, last) });
    }
    let alone = !own;
    let mut detailed = !members.is_empty() && !alone;
    blocks.extend(members);
    for (at, marker) in rust.markers.iter().enumerate() {
        let c = material
            .audit
            .placements
            .iter()
            .filter(|placed| {
                (placed.file, placed.marker, placed.item, placed.symbol) == (file, at, item, symbol)
            })
            .fold(Lines::default(), |lines, placed| {
                lines.union(&marker.ranges[placed.range].lines())
            });
        if !c.is_empty() {
            detailed = true;
            blocks.push(Block { c, rust: (marker.at, until(marker.at)) });
        }
    }
    Plan { file, item, blocks, detailed }
}

fn rust_item(material: &Material, target: &crate::parity::audit::Target) -> (usize, usize) {
    (target.file, material.files[target.file].anchors[target.anchor].item)
}

/// The last line that is more than a closing bracket; not before `first`.
fn last_code(raw: &[String], first: u32, last: u32) -> u32 {
    let is_closing = |line: &u32| {
        let text = raw.get(*line as usize - 1).map_or("", |line| line.trim());
        text.chars().all(|c| matches!(c, '}' | ')' | ']' | ';' | ','))
    };
    (first..=last).rev().find(|line| !is_closing(line)).unwrap_or(first)
}
