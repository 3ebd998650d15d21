//! For people at a terminal: never wider than 120 columns, one block for each C file.

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ColumnConstraint, Table, Width, presets};

use super::covered;
use crate::parity::audit::{LineCount, Mirror, Row, Status};
use crate::parity::problem::Problem;

/// Heading and width of each column; with a space between them 120 in all.
const COLUMNS: [(&str, u16); 7] = [
    ("C symbol", 35),
    ("C", 4),
    ("3.14", 7),
    ("Rust item", 29),
    ("Rust place", 24),
    ("lines", 7),
    ("status", 8),
];

/// The rows, which are sorted by file.
pub(super) fn table(rows: &[&Row]) -> String {
    let mut text = String::new();
    for (at, rows) in rows.chunk_by(|a, b| a.symbol.file == b.symbol.file).enumerate() {
        if at > 0 {
            text.push('\n');
        }
        text.push_str(&heading(rows));
        for line in block(rows).trim_fmt().lines() {
            text.push_str(&paint(line));
            text.push('\n');
        }
    }
    text
}

fn heading(rows: &[&Row]) -> String {
    let bold = Style::new().bold();
    let lines = rows.iter().fold(LineCount::default(), |sum, row| sum + row.lines);
    let missing = rows.iter().filter(|row| row.status == Status::Missing).count();
    let missing = if missing == 0 { String::new() } else { format!(", {missing} missing") };
    format!(
        "{bold}{}{bold:#}: {} symbol{}{missing}, {}/{} lines\n",
        rows[0].symbol.file,
        rows.len(),
        if rows.len() == 1 { "" } else { "s" },
        lines.accounted(),
        lines.all
    )
}

fn block(rows: &[&Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(COLUMNS.map(|(heading, _)| heading));
    for row in rows {
        let symbol = [
            row.symbol.name.clone(),
            row.symbol.line.to_string(),
            row.seed.clone().unwrap_or_default(),
        ];
        let end = [covered(row), row.status.label().to_owned()];
        let mut mirrors = row.mirrors.iter();
        add(&mut table, symbol, mirrors.next(), end);
        for mirror in mirrors {
            add(&mut table, Default::default(), Some(mirror), Default::default());
        }
    }
    for (column, (_, width)) in table.column_iter_mut().zip(COLUMNS) {
        column
            .set_padding((0, 1))
            .set_constraint(ColumnConstraint::Absolute(Width::Fixed(width + 1)));
    }
    for at in [1, 2, 5] {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn add(table: &mut Table, symbol: [String; 3], mirror: Option<&Mirror>, end: [String; 2]) {
    let item = mirror.map(|mirror| mirror.item.clone()).unwrap_or_default();
    let place = mirror.map(short_place).unwrap_or_default();
    let cells = symbol.into_iter().chain([item, place]).chain(end);
    table.add_row(cells.zip(COLUMNS).map(|(cell, (_, width))| wrap(&cell, usize::from(width))));
}

/// `mutex.rs:57`; the crate is clear from the C file, except of the files that every crate has.
fn short_place(mirror: &Mirror) -> String {
    let file = match mirror.path.split_once("/src/") {
        Some((folder, file)) if file == "lib.rs" => {
            format!("{}/{file}", folder.strip_prefix("crates/").unwrap_or(folder))
        }
        Some((_, file)) => file.to_owned(),
        None => mirror.path.clone(),
    };
    format!("{file}:{}", mirror.line)
}

/// Cuts a long name into lines, behind one of its separators where there is one.
fn wrap(name: &str, width: usize) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let mut rest = name;
    // Names are ASCII; should one not be, it is left as it is.
    while rest.len() > width && rest.is_ascii() {
        let cut = rest[..width].rfind(['_', ':', '/']).map_or(width, |at| at + 1);
        lines.push(&rest[..cut]);
        rest = &rest[cut..];
    }
    lines.push(rest);
    lines.join("\n")
}

/// The status ends its line, and nothing else ends in these words.
fn paint(line: &str) -> String {
    for (status, colour) in [
        (Status::Mirrored, AnsiColor::Green),
        (Status::Ledger, AnsiColor::Yellow),
        (Status::Missing, AnsiColor::Red),
    ] {
        if let Some(start) = line.strip_suffix(status.label()) {
            let style = Style::new().fg_color(Some(colour.into()));
            return format!("{start}{style}{}{style:#}", status.label());
        }
    }
    line.to_owned()
}

/// The problems shown, and how many there are in all.
pub(super) fn problems(shown: &[&Problem], all: usize) -> String {
    let bold = Style::new().bold();
    let mut text = String::new();
    for problem in shown {
        text.push_str(&format!(
            "{bold}{}:{}{bold:#}: {}\n",
            problem.path, problem.line, problem.message
        ));
    }
    let count = |count: usize| match count {
        0 => "no problems".to_owned(),
        1 => "1 problem".to_owned(),
        several => format!("{several} problems"),
    };
    text.push_str(&match all - shown.len() {
        0 => count(all),
        elsewhere => format!("{} here, {} elsewhere", count(shown.len()), count(elsewhere)),
    });
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, wrap};

    #[test]
    fn fits_the_terminal() {
        let spaces = COLUMNS.len() as u16 - 1;
        assert_eq!(COLUMNS.iter().map(|(_, width)| width).sum::<u16>() + spaces, 120);
    }

    #[test]
    fn names_are_cut_behind_a_separator_and_lose_nothing() {
        assert_eq!(wrap("_PyRecursiveMutex_IsLocked", 20), "_PyRecursiveMutex_\nIsLocked");
        assert_eq!(wrap("abcdefghij", 4), "abcd\nefgh\nij");
        assert_eq!(wrap("short", 5), "short");
    }
}
