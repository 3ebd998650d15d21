//! What of one index is what of another, though it may have moved or changed.

use super::{Index, Kind, Symbol};
use crate::parity::lines::Lines;

/// A symbol or a declaration of one.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) file: &'a str,
    pub(crate) hash: &'a str,
    /// `None` for a declaration.
    pub(crate) symbol: Option<&'a Symbol>,
    pub(crate) line: u32,
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) code: Lines,
}

/// One entry of the old index, of the new one, or of both.
pub(crate) struct Pair<'a> {
    pub(crate) old: Option<Entry<'a>>,
    pub(crate) new: Option<Entry<'a>>,
}

impl<'a> Entry<'a> {
    fn all(index: &'a Index) -> Vec<Self> {
        let symbols = index.symbols.iter().map(|symbol| Self {
            name: &symbol.name,
            file: &symbol.file,
            hash: &symbol.hash,
            symbol: Some(symbol),
            line: symbol.line,
            first: symbol.first,
            last: symbol.last,
            code: symbol.code(),
        });
        let declarations = index.declarations.iter().map(|declaration| Self {
            name: &declaration.name,
            file: &declaration.file,
            hash: &declaration.hash,
            symbol: None,
            line: declaration.lines.first().unwrap_or(1),
            first: declaration.lines.first().unwrap_or(1),
            last: declaration.lines.iter().last().unwrap_or(1),
            code: declaration.lines.clone(),
        });
        symbols.chain(declarations).collect()
    }

    fn kind(&self) -> Option<Kind> {
        self.symbol.map(|symbol| symbol.kind)
    }

    /// Whether the name says what it is. Assertions have none, and what nobody could parse goes
    /// by its first word.
    fn is_named(&self) -> bool {
        !matches!(self.kind(), Some(Kind::Assertion | Kind::Other))
    }

    /// Whether every line number is the same.
    pub(crate) fn stands_where(&self, other: &Self) -> bool {
        (self.file, self.line, self.first, self.last, &self.code)
            == (other.file, other.line, other.first, other.last, &other.code)
            && self.symbol.map(|symbol| &symbol.members)
                == other.symbol.map(|symbol| &symbol.members)
    }
}

/// In the order of the new index, then what only the old one has.
pub(crate) fn pairs<'a>(old: &'a Index, new: &'a Index) -> Vec<Pair<'a>> {
    let mut left: Vec<Option<Entry>> = Entry::all(old).into_iter().map(Some).collect();
    let mut pairs: Vec<Pair> =
        Entry::all(new).into_iter().map(|new| Pair { old: None, new: Some(new) }).collect();
    // What is surest first. A name may come several times in a file, once for each branch of an
    // `#if`; a declaration is no definition; and a symbol may go to another file.
    let same: [fn(&Entry, &Entry) -> bool; 5] = [
        |a, b| a.file == b.file && a.kind() == b.kind() && a.hash == b.hash,
        |a, b| a.file == b.file && a.kind() == b.kind(),
        |a, b| a.file == b.file && a.symbol.is_some() == b.symbol.is_some(),
        |a, b| a.kind() == b.kind() && a.hash == b.hash,
        |a, b| a.symbol.is_some() == b.symbol.is_some() && a.is_named() && b.is_named(),
    ];
    for same in same {
        for pair in pairs.iter_mut().filter(|pair| pair.old.is_none()) {
            let Some(new) = &pair.new else { continue };
            let found = left
                .iter_mut()
                .find(|old| old.as_ref().is_some_and(|old| old.name == new.name && same(old, new)));
            if let Some(found) = found {
                pair.old = found.take();
            }
        }
    }
    pairs.extend(left.into_iter().flatten().map(|old| Pair { old: Some(old), new: None }));
    pairs
}
