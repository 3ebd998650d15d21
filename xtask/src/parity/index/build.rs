//! From a source tree to an index.

use anyhow::Result;

use super::extract::{Contents, extract};
use super::{Declaration, Index, Symbol};
use crate::parity::cpython::{COVERED, Source, rank};

pub(crate) fn build(source: &Source) -> Result<Index> {
    let mut symbols: Vec<Symbol> = Vec::new();
    let mut declared: Vec<Symbol> = Vec::new();
    for covered in &COVERED {
        let Some(text) = source.files.get(covered.path) else { continue };
        let Contents { symbols: found, declarations } = extract(covered.path, text)?;
        match covered.only {
            Some(name) => symbols.extend(found.into_iter().filter(|symbol| symbol.name == name)),
            None => {
                symbols.extend(found);
                declared.extend(declarations);
            }
        }
    }
    // A prototype belongs to its definition. One that is defined in none of these files is a
    // symbol itself: something here counts on it.
    let (prototypes, orphans): (Vec<_>, Vec<_>) = declared
        .into_iter()
        .partition(|declared| symbols.iter().any(|symbol| symbol.name == declared.name));
    symbols.extend(orphans);
    symbols
        .sort_by(|a, b| (rank(&a.file), a.first, &a.name).cmp(&(rank(&b.file), b.first, &b.name)));
    let declarations = prototypes
        .into_iter()
        .map(|symbol| Declaration {
            name: symbol.name,
            file: symbol.file,
            hash: symbol.hash,
            lines: symbol.head,
        })
        .collect();
    Ok(Index { version: source.version.to_string(), symbols, declarations })
}
