//! Tables for a terminal of 120 columns.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use super::{ceiling, number, split_keys};
use crate::cli::Metric;
use crate::model::{Cell, Family, Outcome};

const LEGEND: &str =
    "ratio: pysync to the best peer; ceiling: to one thread alone, on the best lock";

/// One line for each cell and one column for each contender.
pub(crate) fn render(family: &Family, metrics: &[Metric]) -> String {
    let (_, fixed) = split_keys(family);
    let mut out = String::new();
    let fixed = if fixed.is_empty() { String::new() } else { format!(" ({})", fixed.join(", ")) };
    let better = if family.higher_is_better { "more is better" } else { "less is better" };
    let _ = writeln!(out, "{}{fixed}", family.title);
    for &metric in metrics {
        for (caption, value) in columns(family, metric) {
            if family
                .cells
                .iter()
                .flat_map(|cell| &cell.results)
                .all(|result| value(result).is_none())
            {
                continue;
            }
            let caption = match metric {
                Metric::Value => format!("{caption}, {better}; {LEGEND}"),
                _ => caption,
            };
            let _ = writeln!(
                out,
                "\n{caption}\n{}",
                table(family, &*value, metric == Metric::Value).trim_fmt()
            );
        }
    }
    out
}

type Value = Box<dyn Fn(&Outcome) -> Option<f64>>;

fn columns(family: &Family, metric: Metric) -> Vec<(String, Value)> {
    let extra = |caption: &str, name: &'static str, scale: f64| -> (String, Value) {
        (caption.to_owned(), Box::new(move |result| Some(result.extra.get(name)? * scale)))
    };
    match metric {
        Metric::Value => {
            vec![(format!("{}, median", family.unit), Box::new(|result| Some(result.median)))]
        }
        Metric::Spread => vec![(
            "spread: largest less smallest round, in % of the median".to_owned(),
            Box::new(|result| Some(result.spread() * 100.0)),
        )],
        Metric::Jain => vec![extra("Jain's fairness: 1 is even", "jain", 1.0)],
        Metric::MinMax => {
            vec![extra("the thread that got least by the one that got most", "min_by_max", 1.0)]
        }
        Metric::Wait => vec![
            extra("nine in ten waits were shorter than, ms", "wait_p90_us", 1e-3),
            extra("longest single wait, ms", "longest_wait_us", 1e-3),
        ],
        Metric::HandOff => vec![
            extra("hand-off, µs: half were quicker than", "hand_off_p50_us", 1.0),
            extra("hand-off, µs: 99 % were quicker than", "hand_off_p99_us", 1.0),
            extra("hand-off, µs: 99.9 % were quicker than", "hand_off_p999_us", 1.0),
        ],
        Metric::Switches => vec![
            extra("sleeps (voluntary switches) per 1,000 operations", "sleeps_per_1000", 1.0),
            extra("yields and preemptions per 1,000 operations", "displaced_per_1000", 1.0),
        ],
        Metric::Aborts => vec![extra("deadlocks broken per attempt", "aborts_each", 1.0)],
    }
}

fn table(family: &Family, value: &dyn Fn(&Outcome) -> Option<f64>, ratios: bool) -> Table {
    let (keys, _) = split_keys(family);
    let contenders = family.contenders();
    let compared = ratios
        && family
            .cells
            .iter()
            .any(|cell| family.ours(cell).is_some() && family.best_peer(cell).is_some());
    let with_ceiling = ratios && family.cells.iter().any(|cell| ceiling(family, cell).is_some());

    let mut header: Vec<String> =
        keys.iter().chain(&contenders).map(|&name| name.to_owned()).collect();
    if compared {
        header.extend(["best peer".to_owned(), "ratio".to_owned()]);
    }
    if with_ceiling {
        header.push("ceiling".to_owned());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for cell in &family.cells {
        let mut row: Vec<String> =
            keys.iter().map(|key| cell.get(key).unwrap_or("").to_owned()).collect();
        row.extend(contenders.iter().map(|contender| {
            cell.result(contender).and_then(value).map_or_else(|| "-".to_owned(), number)
        }));
        if compared {
            row.extend(ratio(family, cell));
        }
        if with_ceiling {
            let share = ceiling(family, cell)
                .zip(family.ours(cell))
                .map(|(ceiling, ours)| ours.median / ceiling);
            row.push(share.map_or_else(String::new, |share| format!("{share:.2}")));
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1)).set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn ratio(family: &Family, cell: &Cell) -> [String; 2] {
    match family.ours(cell).zip(family.best_peer(cell)) {
        Some((ours, peer)) => [peer.contender.clone(), format!("{:.2}", family.ratio(ours, peer))],
        None => [String::new(), String::new()],
    }
}
