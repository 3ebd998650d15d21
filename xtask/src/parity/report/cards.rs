//! What stands on the right: Rust items and entries of the ledger.

use std::collections::BTreeSet;

use super::blocks::Plan;
use super::highlight::escape;
use super::material::Material;
use super::model::{Card, DeviationNote, RustRow};
use super::page::{Group, id_of_item, page_url};
use super::prose;
use crate::parity::deviations::Deviation;
use crate::parity::index::Kind;
use crate::parity::ledger::Posting;
use crate::parity::lines::Lines;
use crate::parity::rust::Marker;

/// A card, and the C lines of its blocks.
pub(super) struct Made {
    pub(super) card: Card,
    pub(super) blocks: Vec<(u32, Lines)>,
    pub(super) detailed: bool,
}

/// Of each card the smallest block that holds the line: an outer block is what its inner blocks
/// leave of it.
pub(super) fn blocks_at(cards: &[Made], line: u32) -> Vec<u32> {
    cards
        .iter()
        .filter_map(|made| {
            let around = made.blocks.iter().filter(|(_, lines)| lines.contains(line));
            around.min_by_key(|(_, lines)| lines.len()).map(|(id, _)| *id)
        })
        .collect()
}

pub(super) fn rust_card(
    material: &Material,
    plan: Plan,
    blocks: &mut u32,
    used: &mut BTreeSet<String>,
) -> Made {
    let file = &material.files[plan.file];
    let item = &file.items[plan.item];
    let ids: Vec<u32> = plan
        .blocks
        .iter()
        .map(|_| {
            *blocks += 1;
            *blocks
        })
        .collect();
    let mut rows: Vec<RustRow> = Vec::new();
    let mut begun = BTreeSet::new();
    let indent = indentation(&material.rust[plan.file].raw, (item.first, item.last));
    for number in item.first..=item.last {
        let at = plan.block_at(number);
        let block = at.map(|at| ids[at]);
        let mut row = RustRow {
            number,
            html: rust_html(material, plan.file, number, indent),
            block,
            begins: block.is_some_and(|block| begun.insert(block)),
            to: at.and_then(|at| plan.blocks[at].c.first()),
            ..RustRow::default()
        };
        let raw = material.rust[plan.file].raw[number as usize - 1].trim();
        // Documentation is one row; the rest of it is a click away.
        if raw.starts_with("///")
            && let Some(last) =
                rows.last_mut().filter(|last| last.is_documentation(material, plan.file))
        {
            row.block = None;
            last.folded.push(row);
            continue;
        }
        rows.push(row);
    }
    note_deviations(material, &plan, &mut rows);
    let mut id = id_of_item(&item.name, &file.path, item.line);
    while !used.insert(id.clone()) {
        id.push('+');
    }
    Made {
        detailed: plan.detailed,
        blocks: ids.into_iter().zip(plan.blocks).map(|(id, block)| (id, block.c)).collect(),
        card: Card {
            id,
            kind: "rust",
            title: item.name.clone(),
            place: format!("{}:{}", file.path, span((item.line, item.last))),
            open: true,
            gap: 0,
            rows,
            reason: None,
            block: None,
            to: None,
        },
    }
}

fn span((first, last): (u32, u32)) -> String {
    if first == last { first.to_string() } else { format!("{first}\u{2013}{last}") }
}

impl RustRow {
    fn is_documentation(&self, material: &Material, file: usize) -> bool {
        material.rust[file].raw[self.number as usize - 1].trim_start().starts_with("///")
    }
}

/// What all lines of an item are indented by.
fn indentation(raw: &[String], (first, last): (u32, u32)) -> usize {
    raw[first as usize - 1..last as usize]
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start_matches(' ').len())
        .min()
        .unwrap_or(0)
}

/// A marker's numbers are links; all else is as the highlighter says.
fn rust_html(material: &Material, file: usize, line: u32, indent: usize) -> String {
    let found = material.files[file].markers.iter().enumerate().find(|(_, m)| m.at == line);
    let text = &material.rust[file];
    if let Some((at, marker)) = found {
        let raw = &text.raw[line as usize - 1];
        let lead = raw.len() - raw.trim_start_matches(' ').len();
        let spaces = " ".repeat(lead.saturating_sub(indent));
        return format!("{spaces}{}", marker_html(material, file, at, marker));
    }
    dedent(text.html.get(line as usize - 1).map_or("", String::as_str), indent)
}

/// Without its first spaces, which may stand inside a tag.
fn dedent(html: &str, mut spaces: usize) -> String {
    let mut out = String::with_capacity(html.len());
    let mut in_tag = false;
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' => in_tag = false,
            ' ' if !in_tag && spaces > 0 => {
                spaces -= 1;
                continue;
            }
            _ if !in_tag => spaces = 0,
            _ => {}
        }
        out.push(c);
    }
    out
}

fn marker_html(material: &Material, file: usize, at: usize, marker: &Marker) -> String {
    let mut html = String::from("<span class=\"c\">// ");
    for (number, range) in marker.ranges.iter().enumerate() {
        if number > 0 {
            html.push_str(", ");
        }
        let placed = material
            .audit
            .placements
            .iter()
            .find(|placed| (placed.file, placed.marker, placed.range) == (file, at, number));
        match placed {
            Some(placed) => {
                let page = page_url(&material.index.symbols[placed.symbol].file);
                html.push_str(&format!("<a href=\"{page}#L{}\">{range}</a>", range.first));
            }
            None => html.push_str(&range.to_string()),
        }
    }
    if let Some(why) = &marker.why {
        let order = if marker.out_of_order { "out of order: " } else { "" };
        let why = escape(&format!("{order}{why}"));
        html.push_str(&format!("<span class=\"why\">: {why}</span>"));
    }
    html.push_str("</span>");
    html
}

/// Below the comment that names it.
fn note_deviations(material: &Material, plan: &Plan, rows: &mut [RustRow]) {
    let raw = &material.rust[plan.file].raw;
    let is_comment = |line: u32| raw[line as usize - 1].trim_start().starts_with("//");
    for tag in &material.files[plan.file].tags {
        let Some(start) = rows.iter().position(|row| row.number == tag.at) else { continue };
        let Some(deviation) = material.deviation(&tag.id) else { continue };
        let more = rows[start + 1..].iter().take_while(|row| is_comment(row.number)).count();
        let at = if is_comment(tag.at) { start + more } else { start };
        rows[at].deviation = Some(note(deviation));
    }
}

pub(super) fn note(deviation: &Deviation) -> DeviationNote {
    DeviationNote {
        id: deviation.id.clone(),
        title: prose::inline(&deviation.title),
        text: prose::markdown(&deviation.text),
    }
}

/// Items that only forward to one that says more are closed, where there is one.
pub(super) fn open_some(material: &Material, group: &Group, cards: &mut [Made]) {
    let is_function = group.symbols.iter().any(|at| {
        let kind = material.index.symbols[*at].kind;
        matches!(kind, Kind::Function | Kind::StaticFunction | Kind::StaticInline)
    });
    let some_say_more = cards.iter().any(|made| made.detailed);
    for (at, made) in cards.iter_mut().enumerate() {
        let opens = if some_say_more { made.detailed } else { at == 0 };
        made.card.open = opens || !is_function;
    }
}

pub(super) fn ledger_card(
    material: &Material,
    group: &Group,
    symbol: usize,
    posting: &Posting,
    blocks: &mut u32,
) -> Made {
    *blocks += 1;
    let found = &material.index.symbols[symbol];
    let lines: Lines = if posting.whole {
        let all = group.symbols.iter().map(|at| &material.index.symbols[*at]);
        all.flat_map(|symbol| symbol.first..=symbol.last).collect()
    } else {
        posting.lines.clone()
    };
    let title = match (posting.whole, group.symbols.len()) {
        (true, 1) => "In the ledger".to_owned(),
        (true, several) => format!("In the ledger: these {several}"),
        (false, _) => {
            let parts: Vec<String> = posting
                .lines
                .ranges()
                .into_iter()
                .map(|(first, last)| {
                    if first == last {
                        format!("L{first}")
                    } else {
                        format!("L{first}\u{2013}L{last}")
                    }
                })
                .collect();
            format!("In the ledger: {}", parts.join(", "))
        }
    };
    Made {
        detailed: false,
        card: Card {
            id: format!("ledger-{}-{blocks}", posting.at),
            kind: "ledger",
            title,
            place: found.name.clone(),
            open: true,
            gap: 0,
            rows: Vec::new(),
            reason: Some(prose::inline(&posting.reason)),
            block: Some(*blocks),
            to: lines.first(),
        },
        blocks: vec![(*blocks, lines)],
    }
}

#[cfg(test)]
mod tests {
    use super::dedent;

    #[test]
    fn dedents_through_tags_and_no_further() {
        assert_eq!(dedent("    a  b", 4), "a  b");
        assert_eq!(dedent("<i class=\"c d\">    a</i>", 2), "<i class=\"c d\">  a</i>");
        assert_eq!(dedent("  <i>  </i>  a b", 8), "<i></i>a b");
    }
}
