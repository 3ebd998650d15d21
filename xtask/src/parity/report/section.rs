//! One section of a page: C rows, the cards beside them, and how they line up.

use std::collections::BTreeSet;

use super::blocks::plans;
use super::cards::{Made, blocks_at, ledger_card, open_some, rust_card};
use super::layout::{self, Left, Right};
use super::material::{CFile, Material};
use super::model::{CRow, Section, SymbolHead};
use super::page::{Anchors, Group};
use crate::parity::audit::Status;
use crate::parity::index::Kind;

pub(super) fn section(
    material: &Material,
    anchors: &Anchors,
    file: &CFile,
    group: &Group,
    blocks: &mut u32,
    used: &mut BTreeSet<String>,
) -> Section {
    let mut cards: Vec<Made> = Vec::new();
    for symbol in &group.symbols {
        for plan in plans(material, *symbol) {
            cards.push(rust_card(material, plan, blocks, used));
        }
    }
    open_some(material, group, &mut cards);
    for (at, symbol) in group.symbols.iter().enumerate() {
        for posting in &material.audit.rows[*symbol].postings {
            // The entry that made this group is shown once.
            if at == 0 || !posting.whole {
                cards.push(ledger_card(material, group, *symbol, posting, blocks));
            }
        }
    }

    let mut rows: Vec<CRow> = (group.first..=group.last)
        .map(|number| CRow {
            number,
            html: file.html_of(number),
            state: state(material, group, number),
            blocks: blocks_at(&cards, number),
            begins: false,
            gap: 0,
            defined: None,
        })
        .collect();
    let mut begun = BTreeSet::new();
    for row in &mut rows {
        let new = row.blocks.iter().filter(|block| begun.insert(**block));
        row.begins = new.count() > 0;
    }
    align(file, &mut rows, &mut cards);
    Section {
        symbols: group.symbols.iter().map(|at| head(material, anchors, *at)).collect(),
        rows,
        cards: cards.into_iter().map(|made| made.card).collect(),
        blank: false,
    }
}

fn head(material: &Material, anchors: &Anchors, at: usize) -> SymbolHead {
    let row = &material.audit.rows[at];
    SymbolHead {
        id: anchors.symbols[at].clone(),
        name: row.symbol.name.clone(),
        kind: kind_label(row.symbol.kind).to_owned(),
        first: row.symbol.first,
        last: row.symbol.last,
        seed: row.seed.clone(),
        status: status_word(row.status),
        accounted: row.lines.accounted(),
        all: row.lines.all,
    }
}

pub(super) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Mirrored => "mirrored",
        Status::Ledger => "ledger",
        Status::Missing => "missing",
    }
}

pub(super) fn kind_label(kind: Kind) -> &'static str {
    match kind {
        Kind::Function => "function",
        Kind::StaticFunction => "static function",
        Kind::StaticInline => "static inline",
        Kind::Struct => "struct",
        Kind::Enum => "enum",
        Kind::Macro => "macro",
        Kind::Table => "table",
        Kind::Constant => "constant",
        Kind::Typedef => "typedef",
        Kind::Assertion => "assertion",
        Kind::Declaration => "declaration",
        Kind::Other => "other",
    }
}

fn state(material: &Material, group: &Group, line: u32) -> &'static str {
    let of_group = || group.symbols.iter().map(|at| &material.audit.rows[*at]);
    if of_group().any(|row| row.mirrored.contains(line)) {
        "mirrored"
    } else if of_group().any(|row| row.ledgered.contains(line)) {
        "ledger"
    } else if of_group().any(|row| row.symbol.code().contains(line)) {
        "missing"
    } else {
        ""
    }
}

fn align(file: &CFile, rows: &mut [CRow], cards: &mut [Made]) {
    let left: Vec<Left> = rows
        .iter()
        .map(|row| Left { leads: row.blocks.is_empty() && file.is_comment(row.number) })
        .collect();
    let begins = |block: u32| rows.iter().position(|row| row.blocks.contains(&block));
    let right: Vec<Right> = cards
        .iter()
        .map(|made| {
            let mut joints = Vec::new();
            let mut height = 0;
            for row in made.card.rows.iter().filter(|_| made.card.open) {
                if let (true, Some(to)) = (row.begins, row.block.and_then(begins)) {
                    joints.push((height, to));
                }
                height += 1 + u32::from(row.deviation.is_some());
            }
            if let (Some(block), Some(reason)) = (made.card.block, &made.card.reason) {
                joints.extend(begins(block).map(|to| (0, to)));
                // As far as one can tell without laying it out.
                height = 1 + reason.len() as u32 / 70;
            }
            Right { rows: height, joints, whole: made.card.block.is_some() }
        })
        .collect();
    let gaps = layout::align(&left, &right);
    for (row, gap) in rows.iter_mut().zip(gaps.left) {
        row.gap = gap;
    }
    let begins: BTreeSet<u32> = rows.iter().flat_map(|row| row.blocks.clone()).collect();
    for ((made, gap), joints) in cards.iter_mut().zip(gaps.cards).zip(gaps.joints) {
        made.card.gap = gap;
        let starts: Vec<usize> = (0..made.card.rows.len())
            .filter(|row| {
                let row = &made.card.rows[*row];
                row.begins && row.block.is_some_and(|block| begins.contains(&block))
            })
            .collect();
        for (start, gap) in starts.into_iter().zip(joints) {
            // Attributes stay with their item.
            let rows = &mut made.card.rows;
            let attributes =
                rows[..start].iter().rev().take_while(|row| row.html.contains("#[")).count();
            rows[start - attributes].gap += gap;
        }
    }
}
