//! Whether an index is what a source really contains.

use std::collections::BTreeMap;

use super::{Index, Symbol};
use crate::parity::problem::Problem;

/// One problem for each symbol that differs between the committed index and the source's.
pub(crate) fn drift(index_path: &str, committed: &Index, found: &Index) -> Vec<Problem> {
    let old = by_key(committed);
    let new = by_key(found);
    let mut problems = Vec::new();
    for (key, symbol) in &new {
        let say = |message: String| {
            Problem::new(&symbol.file, symbol.line, message).about(&symbol.file, &symbol.name)
        };
        let name = &symbol.name;
        match old.get(key) {
            None => problems.push(say(format!("{name} is in this source and not in {index_path}"))),
            Some(was) if was == symbol => {}
            Some(was) if was.hash != symbol.hash => {
                problems.push(say(format!(
                    "{name} is not the {name} of {index_path}: its text has changed"
                )));
            }
            Some(was) if was.line != symbol.line => {
                problems.push(say(format!("{name} is at L{} in {index_path}", was.line)));
            }
            Some(_) => {
                problems.push(say(format!("{name} is laid out differently from {index_path}")))
            }
        }
    }
    for (key, symbol) in &old {
        if !new.contains_key(key) {
            let message = format!("{} is in {index_path} and not in this source", symbol.name);
            problems.push(
                Problem::new(&symbol.file, symbol.line, message).about(&symbol.file, &symbol.name),
            );
        }
    }
    problems.extend(declarations(index_path, committed, found));
    problems.sort();
    problems
}

/// File, name, and which of the definitions of that name.
type Key<'a> = (&'a str, &'a str, usize);

fn by_key(index: &Index) -> BTreeMap<Key<'_>, &Symbol> {
    let mut count: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    index
        .symbols
        .iter()
        .map(|symbol| {
            let nth = count.entry((&symbol.file, &symbol.name)).or_default();
            *nth += 1;
            ((symbol.file.as_str(), symbol.name.as_str(), *nth), symbol)
        })
        .collect()
}

fn declarations(index_path: &str, committed: &Index, found: &Index) -> Vec<Problem> {
    let differs = |one: &Index, other: &Index, message: &str| -> Vec<Problem> {
        one.declarations
            .iter()
            .filter(|declaration| !other.declarations.contains(declaration))
            .map(|declaration| {
                let line = declaration.lines.first().unwrap_or(1);
                Problem::new(
                    &declaration.file,
                    line,
                    format!("the declaration of {} {message}", declaration.name),
                )
                .about(&declaration.file, &declaration.name)
            })
            .collect()
    };
    let mut problems =
        differs(found, committed, &format!("is in this source and not in {index_path}"));
    problems.extend(differs(
        committed,
        found,
        &format!("is in {index_path} and not in this source"),
    ));
    problems
}
