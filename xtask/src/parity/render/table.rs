//! For people at a terminal: never wider than 120 columns.

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ContentArrangement, Table, TableStyle};

use super::{c_place, covered, rust_place};
use crate::parity::audit::{Row, Status};
use crate::parity::problem::Problem;

const WIDTH: u16 = 120;

pub(super) fn table(rows: &[&Row]) -> String {
    let mut table = Table::new();
    table
        .load_style(TableStyle::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header(["C symbol", "C place", "3.14", "Rust item", "Rust place", "lines", "status"]);
    for row in rows {
        let mut mirrors = row.mirrors.iter();
        let first = mirrors.next();
        table.add_row([
            row.symbol.name.clone(),
            c_place(row),
            row.seed.clone().unwrap_or_default(),
            first.map(|mirror| mirror.item.clone()).unwrap_or_default(),
            first.map(rust_place).unwrap_or_default(),
            covered(row),
            row.status.label().to_owned(),
        ]);
        for mirror in mirrors {
            let nothing = String::new;
            let place = rust_place(mirror);
            table.add_row([nothing(), nothing(), nothing(), mirror.item.clone(), place, nothing(), nothing()]);
        }
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        // Where a long name is cut: at its underscores, and paths at their slashes.
        column.set_delimiter(if matches!(at, 1 | 4) { '/' } else { '_' });
        if matches!(at, 2 | 5) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.trim_fmt();
    text.lines().map(|line| format!("{}\n", paint(line))).collect()
}

/// The status ends its line, and nothing else ends in these words.
fn paint(line: &str) -> String {
    let colour = |status: Status| match status {
        Status::Mirrored => AnsiColor::Green,
        Status::Ledger => AnsiColor::Yellow,
        Status::Missing => AnsiColor::Red,
    };
    for status in [Status::Mirrored, Status::Ledger, Status::Missing] {
        if let Some(start) = line.strip_suffix(status.label()) {
            let style = Style::new().fg_color(Some(colour(status).into()));
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
        text.push_str(&format!("{bold}{}:{}{bold:#}: {}\n", problem.path, problem.line, problem.message));
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
