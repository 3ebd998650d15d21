//! For documents in `docs/`: links go to the Rust sources.

use std::fmt::Write;

use super::{c_place, covered, rust_place, totals};
use crate::parity::audit::{Audit, Mirror, Row};
use crate::parity::index::Index;

pub(super) fn markdown(index: &Index, audit: &Audit, rows: &[&Row]) -> String {
    let mut text = String::from(
        "| C symbol | C place | 3.14 | Rust item | Rust place | lines | status |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let items: Vec<String> =
            row.mirrors.iter().map(|mirror| format!("`{}`", mirror.item)).collect();
        let places: Vec<String> = row.mirrors.iter().map(link).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} | {} |",
            row.symbol.name,
            c_place(row),
            row.seed.as_deref().unwrap_or_default(),
            items.join("<br>"),
            places.join("<br>"),
            covered(row),
            row.status.label(),
        );
    }
    text.push('\n');
    for line in totals(index, audit).lines() {
        let _ = writeln!(text, "{line}  ");
    }
    text
}

fn link(mirror: &Mirror) -> String {
    format!("[{}](../{}#L{})", rust_place(mirror), mirror.path, mirror.line)
}
