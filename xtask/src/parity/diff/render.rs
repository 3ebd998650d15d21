//! The difference for people at a terminal: what moved in short, what changed line by line.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use similar::{Algorithm, ChangeTag, DiffOp, capture_diff_slices, group_diff_ops};

use super::{Change, Difference, Entry};
use crate::parity::cpython::Source;

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

pub(super) fn render(
    title: &str,
    differences: &[Difference],
    sources: Option<(&Source, &Source)>,
) -> String {
    let of = |change: Change| differences.iter().filter(move |found| found.change == change);
    let mut text = String::new();
    section(&mut text, "Moved", moved(of(Change::Moved)));
    section(&mut text, "Added", listed(of(Change::Added)));
    section(&mut text, "Removed", listed(of(Change::Removed)));
    section(
        &mut text,
        "Changed",
        of(Change::Changed).map(|found| changed(found, sources)).collect(),
    );
    let count = |change| of(change).count();
    let _ = writeln!(
        text,
        "{title}: {} unchanged, {} moved, {} changed, {} added, {} removed",
        count(Change::Unchanged),
        count(Change::Moved),
        count(Change::Changed),
        count(Change::Added),
        count(Change::Removed),
    );
    text
}

fn section(text: &mut String, heading: &str, body: String) {
    if !body.is_empty() {
        let bold = Style::new().bold();
        let _ = writeln!(text, "{bold}{heading}{bold:#}\n{body}");
    }
}

/// `_PyMutex_Lock`, or `_PyMutex_Lock (declaration)`.
fn label(entry: &Entry) -> String {
    match entry.symbol {
        Some(_) => entry.name.to_owned(),
        None => format!("{} (declaration)", entry.name),
    }
}

/// One paragraph for all that moved together.
fn moved<'a>(found: impl Iterator<Item = &'a Difference<'a>>) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    let mut at: BTreeMap<String, usize> = BTreeMap::new();
    for difference in found {
        let (Some(old), Some(new)) = (&difference.pair.old, &difference.pair.new) else { continue };
        let heading = if old.file != new.file {
            format!("{} -> {}", old.file, new.file)
        } else if i64::from(new.last) - i64::from(old.last)
            == i64::from(new.first) - i64::from(old.first)
            && new.line != old.line
        {
            format!("{} {:+}", new.file, i64::from(new.line) - i64::from(old.line))
        } else {
            format!("{} inside", new.file)
        };
        let place = *at.entry(heading.clone()).or_insert_with(|| {
            groups.push((heading, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(format!("{} L{}", label(new), new.line));
    }
    let mut text = String::new();
    for (heading, entries) in groups {
        let _ = writeln!(text, "  {heading}:");
        let mut line = String::from("   ");
        for (number, entry) in entries.iter().enumerate() {
            let comma = if number + 1 < entries.len() { "," } else { "" };
            if line.len() + entry.len() + 2 > 118 {
                let _ = writeln!(text, "{line}");
                line = String::from("   ");
            }
            let _ = write!(line, " {entry}{comma}");
        }
        let _ = writeln!(text, "{line}");
    }
    text
}

fn listed<'a>(found: impl Iterator<Item = &'a Difference<'a>>) -> String {
    let mut text = String::new();
    for difference in found {
        if let Some(entry) = difference.pair.entry() {
            let _ = writeln!(text, "  {}:{} {}", entry.file, entry.line, label(entry));
            text.push_str(&read_again(difference));
        }
    }
    text
}

fn changed(difference: &Difference, sources: Option<(&Source, &Source)>) -> String {
    let (Some(old), Some(new)) = (&difference.pair.old, &difference.pair.new) else {
        return String::new();
    };
    let bold = Style::new().bold();
    let from = if old.file == new.file && old.line == new.line {
        String::new()
    } else if old.file == new.file {
        format!(" (was at L{})", old.line)
    } else {
        format!(" (was at {}:{})", old.file, old.line)
    };
    let mut text = format!("  {bold}{}:{} {}{bold:#}{from}\n", new.file, new.line, label(new));
    let texts =
        sources.and_then(|(from, to)| Some((from.files.get(old.file)?, to.files.get(new.file)?)));
    match texts {
        Some((from, to)) => text.push_str(&c_diff((old, from), (new, to))),
        None => {
            let (was, is) = difference.pair.lines();
            let _ = writeln!(
                text,
                "    {} code lines, {} before; give the sources to see them",
                is.len(),
                was.len()
            );
        }
    }
    text.push_str(&read_again(difference));
    text
}

fn read_again(difference: &Difference) -> String {
    let mut text = String::new();
    for (number, again) in difference.rust.iter().enumerate() {
        let lead = if number == 0 { "read again:" } else { "           " };
        let _ = writeln!(text, "    {lead} {again}");
    }
    text
}

/// Old line, new line, sign and text. Lines that differ in white space only are the same.
fn c_diff((old, from): (&Entry, &str), (new, to): (&Entry, &str)) -> String {
    let lines = |entry: &Entry, text: &str| -> Vec<String> {
        let count = (entry.last - entry.first) as usize + 1;
        text.lines().skip(entry.first as usize - 1).take(count).map(str::to_owned).collect()
    };
    let (was, is) = (lines(old, from), lines(new, to));
    let key = |lines: &[String]| -> Vec<String> {
        lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let ops = capture_diff_slices(Algorithm::Patience, &key(&was), &key(&is));
    let mut text = String::new();
    for (number, group) in group_diff_ops(ops, CONTEXT).into_iter().enumerate() {
        if number > 0 {
            text.push_str("              ...\n");
        }
        for op in group {
            hunk(&mut text, op, (old.first, &was), (new.first, &is));
        }
    }
    text
}

fn hunk(text: &mut String, op: DiffOp, (old, was): (u32, &[String]), (new, is): (u32, &[String])) {
    for change in op.iter_changes(was, is) {
        let number = |first: u32, at: Option<usize>| {
            at.map_or(String::new(), |at| (first + at as u32).to_string())
        };
        let (sign, colour) = match change.tag() {
            ChangeTag::Delete => ("-", Some(AnsiColor::Red)),
            ChangeTag::Insert => ("+", Some(AnsiColor::Green)),
            ChangeTag::Equal => (" ", None),
        };
        let style = Style::new().fg_color(colour.map(Into::into));
        let line = format!(
            "    {:>4} {:>4} {sign} {}",
            number(old, change.old_index()),
            number(new, change.new_index()),
            change.value_ref()
        );
        let _ = writeln!(text, "{style}{}{style:#}", line.trim_end());
    }
}
