//! For `docs/parity-table.md`: links go to the Rust sources, without line numbers, so that the
//! table is out of date when something is mirrored elsewhere and not with every edit.

use std::fmt::Write;

use super::{covered, totals};
use crate::parity::audit::{Audit, Mirror, Row};
use crate::parity::index::Index;

pub(super) fn markdown(index: &Index, audit: &Audit, rows: &[&Row]) -> String {
    let mut text = format!(
        "# CPython {}, symbol by symbol\n\n\
         Written by `cargo xtask parity --format markdown > docs/parity-table.md`; \
         [parity.md](parity.md) says what it means.\n\n",
        index.version
    );
    // Writing to a string cannot fail.
    for line in totals(index, audit).lines() {
        let _ = writeln!(text, "- {line}");
    }
    for rows in rows.chunk_by(|a, b| a.symbol.file == b.symbol.file) {
        let _ = write!(
            text,
            "\n## {}\n\n\
             | C symbol | line | in 3.14 | Rust | lines | status |\n\
             |---|--:|--:|---|--:|---|\n",
            rows[0].symbol.file
        );
        for row in rows {
            let items: Vec<String> = row.mirrors.iter().map(item).collect();
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} | {} |",
                row.symbol.name,
                row.symbol.line,
                row.seed.as_deref().unwrap_or_default(),
                items.join("<br>"),
                covered(row),
                row.status.label(),
            );
        }
    }
    text
}

/// ``[`Mutex::lock`](../crates/lock/src/mutex.rs)``
fn item(mirror: &Mirror) -> String {
    format!("[`{}`](../{})", mirror.item, mirror.path)
}
