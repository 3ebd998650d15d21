//! The result, for people, tools and documents.

mod json;
mod markdown;
mod table;

use std::io::Write;

use anyhow::Result;

use super::audit::{Audit, Row};
use super::cli::{AuditArgs, Format};
use super::index::Index;
use super::narrow::Narrow;
use super::problem::Problem;

pub(crate) fn render(
    index: &Index,
    audit: &Audit,
    narrow: &Narrow,
    args: &AuditArgs,
) -> Result<()> {
    let rows: Vec<&Row> =
        audit.rows.iter().filter(|row| narrow.shows(&row.symbol.file, &row.symbol.name)).collect();
    let problems: Vec<&Problem> =
        audit.problems.iter().filter(|problem| narrow.shows_problem(problem)).collect();
    let text = match args.format {
        Format::Json => json::json(index, audit, &rows, &problems)?,
        Format::Markdown => markdown::markdown(index, audit, &rows),
        Format::Table => {
            let mut text = String::new();
            if !args.problems {
                text.push_str(&table::table(&rows));
                text.push('\n');
                text.push_str(&totals(index, audit));
            }
            text.push_str(&table::problems(&problems, audit.problems.len()));
            text
        }
    };
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

fn totals(index: &Index, audit: &Audit) -> String {
    let totals = audit.totals;
    let accounted = totals.mirrored + totals.ledger;
    let lines = totals.lines;
    format!(
        "CPython {}: {} symbols, {} mirrored, {} in the ledger, {} missing: {} accounted for\n\
         {} code lines, {} mirrored, {} in the ledger ({}): {} accounted for\n",
        index.version,
        totals.symbols,
        totals.mirrored,
        totals.ledger,
        totals.missing,
        percent(accounted, totals.symbols),
        lines.all,
        lines.mirrored,
        lines.ledger,
        percent(lines.ledger, lines.all),
        percent(lines.accounted(), lines.all),
    )
}

/// Rounded down: 100 % is said of all and of nothing less.
pub(crate) fn percent(part: usize, whole: usize) -> String {
    let tenths = (part * 1000).checked_div(whole).unwrap_or(1000);
    if tenths.is_multiple_of(10) {
        format!("{} %", tenths / 10)
    } else {
        format!("{}.{} %", tenths / 10, tenths % 10)
    }
}

fn covered(row: &Row) -> String {
    format!("{}/{}", row.lines.accounted(), row.lines.all)
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_percentage_never_flatters() {
        assert_eq!(percent(999, 1000), "99.9 %");
        assert_eq!(percent(9_999, 10_000), "99.9 %");
        assert_eq!(percent(10, 10), "100 %");
        assert_eq!(percent(0, 0), "100 %");
    }
}
