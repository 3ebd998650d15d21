//! For tools: everything, in one object.

use anyhow::Result;
use serde_json::{Value, json};

use crate::parity::audit::{Audit, LineCount, Row};
use crate::parity::index::Index;
use crate::parity::problem::Problem;

pub(super) fn json(
    index: &Index,
    audit: &Audit,
    rows: &[&Row],
    problems: &[&Problem],
) -> Result<String> {
    let totals = audit.totals;
    let value = json!({
        "cpython": index.version,
        "totals": {
            "symbols": totals.symbols,
            "mirrored": totals.mirrored,
            "ledger": totals.ledger,
            "missing": totals.missing,
            "lines": count(totals.lines),
            "problems": audit.problems.len(),
        },
        "symbols": rows.iter().map(|row| symbol(row)).collect::<Vec<_>>(),
        "problems": problems,
    });
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

fn symbol(row: &Row) -> Value {
    let symbol = &row.symbol;
    let mirrors: Vec<Value> = row
        .mirrors
        .iter()
        .map(|mirror| json!({ "item": mirror.item, "path": mirror.path, "line": mirror.line }))
        .collect();
    json!({
        "symbol": symbol.name,
        "kind": symbol.kind,
        "file": symbol.file,
        "line": symbol.line,
        "first": symbol.first,
        "last": symbol.last,
        "seed_3_14": row.seed,
        "rust": mirrors,
        "lines": count(row.lines),
        "status": row.status.label().to_lowercase(),
        "reasons": row.postings.iter().map(|posting| &posting.reason).collect::<Vec<_>>(),
    })
}

fn count(lines: LineCount) -> Value {
    json!({ "all": lines.all, "mirrored": lines.mirrored, "ledger": lines.ledger })
}
