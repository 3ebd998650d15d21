//! What has been measured, for people: tables, plots, and what has changed.

pub(crate) mod compare;
pub(crate) mod html;
pub(crate) mod table;

use crate::model::{Cell, Family};

/// The highest single-thread rate of any contender with the same work: what a lock could reach
/// if contention cost nothing. Only said where nothing can be done beside the lock.
pub(crate) fn ceiling(family: &Family, cell: &Cell) -> Option<f64> {
    if cell.get("outside") != Some("0") || cell.get("locks") != Some("1") {
        return None;
    }
    let same = |other: &&Cell| {
        other.get("threads") == Some("1")
            && ["placement", "locks", "inside", "outside"]
                .iter()
                .all(|key| other.get(key) == cell.get(key))
    };
    let alone = family.cells.iter().find(same)?;
    alone.results.iter().map(|result| result.median).reduce(f64::max)
}

/// Two or three significant digits, whatever the size.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 || v == 0.0 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        v if v >= 0.01 => format!("{value:.2}"),
        _ => format!("{value:.1e}"),
    }
}

/// The keys of the cases that differ between cells, and as text those that do not.
pub(crate) fn split_keys(family: &Family) -> (Vec<&str>, Vec<String>) {
    let (mut varied, mut fixed) = (Vec::new(), Vec::new());
    let Some(first) = family.cells.first() else { return (varied, fixed) };
    for (key, value) in &first.case {
        if family.cells.iter().all(|cell| cell.get(key) == Some(value)) && family.cells.len() > 1 {
            fixed.push(format!("{key} {value}"));
        } else {
            varied.push(key.as_str());
        }
    }
    (varied, fixed)
}
