//! Whether an index is what a source really contains.

use super::{Entry, Index, Pair, pairs};
use crate::parity::problem::Problem;

/// One problem for each symbol that differs between the committed index and the source's.
pub(crate) fn drift(index_path: &str, committed: &Index, found: &Index) -> Vec<Problem> {
    let mut problems: Vec<Problem> = pairs(committed, found)
        .iter()
        .filter_map(|pair| {
            let (entry, message) = differs(index_path, pair)?;
            let problem = Problem::new(entry.file, entry.line, message);
            Some(problem.about(entry.file, entry.name))
        })
        .collect();
    problems.sort();
    problems
}

fn differs<'a>(index_path: &str, pair: &'a Pair<'a>) -> Option<(&'a Entry<'a>, String)> {
    let said = |entry: &Entry| match entry.symbol {
        Some(_) => entry.name.to_owned(),
        None => format!("the declaration of {}", entry.name),
    };
    match (&pair.old, &pair.new) {
        (None, Some(new)) => {
            Some((new, format!("{} is in this source and not in {index_path}", said(new))))
        }
        (Some(old), None) => {
            Some((old, format!("{} is in {index_path} and not in this source", said(old))))
        }
        (Some(old), Some(new)) if old.hash != new.hash => Some((
            new,
            format!("{} is not the one of {index_path}: its text has changed", said(new)),
        )),
        (Some(old), Some(new)) if old.file != new.file => {
            Some((new, format!("{} is in {} in {index_path}", said(new), old.file)))
        }
        (Some(old), Some(new)) if old.line != new.line => {
            Some((new, format!("{} is at L{} in {index_path}", said(new), old.line)))
        }
        (Some(old), Some(new))
            if !old.stands_where(new)
                || old.symbol.map(|symbol| symbol.kind) != new.symbol.map(|symbol| symbol.kind) =>
        {
            Some((new, format!("{} is laid out differently from {index_path}", said(new))))
        }
        _ => None,
    }
}
