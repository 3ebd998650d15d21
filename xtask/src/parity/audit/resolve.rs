//! From anchors to the symbols that they name.

use crate::parity::cpython::is_covered;
use crate::parity::index::{Index, Symbol};
use crate::parity::problem::Problem;
use crate::parity::rust::{Anchor, RustFile};

/// An anchor and what it names.
pub(crate) struct Target {
    /// Index into the Rust files, and into that file's anchors.
    pub(crate) file: usize,
    pub(crate) anchor: usize,
    /// Index into [`Index::symbols`].
    pub(crate) symbol: usize,
    /// The field or enumerator, if it names one.
    pub(crate) member: Option<String>,
}

/// Anchors whose symbol is clear, and one problem for each that is wrong in some way. An anchor
/// may be both: one with an outdated line still says what it mirrors.
pub(crate) fn resolve(index: &Index, files: &[RustFile]) -> (Vec<Target>, Vec<Problem>) {
    let mut targets = Vec::new();
    let mut problems = Vec::new();
    for (file, rust) in files.iter().enumerate() {
        for (at, anchor) in rust.anchors.iter().enumerate() {
            let (found, complaint) = find(index, anchor);
            if let Some((symbol, member)) = found {
                targets.push(Target { file, anchor: at, symbol, member });
            }
            if let Some(message) = complaint {
                let symbol =
                    found_symbol(index, &targets, file, at).unwrap_or(anchor.symbol.as_str());
                problems
                    .push(Problem::new(&rust.path, anchor.at, message).about(&anchor.file, symbol));
            }
        }
    }
    (targets, problems)
}

fn found_symbol<'a>(
    index: &'a Index,
    targets: &[Target],
    file: usize,
    anchor: usize,
) -> Option<&'a str> {
    let target = targets.last().filter(|target| target.file == file && target.anchor == anchor)?;
    Some(&index.symbols[target.symbol].name)
}

type Found = Option<(usize, Option<String>)>;

fn find(index: &Index, anchor: &Anchor) -> (Found, Option<String>) {
    let named: Vec<(usize, &Symbol)> = index
        .symbols
        .iter()
        .enumerate()
        .filter(|(_, symbol)| symbol.name == anchor.symbol)
        .collect();
    let members: Vec<(usize, &Symbol, u32)> = index
        .symbols
        .iter()
        .enumerate()
        .flat_map(|(at, symbol)| {
            let members = symbol.members.iter().filter(|member| member.name == anchor.symbol);
            members.map(move |member| (at, symbol, member.line))
        })
        .collect();

    let here = |symbol: &Symbol| symbol.file == anchor.file;
    if let Some((at, _)) =
        named.iter().find(|(_, symbol)| here(symbol) && symbol.line == anchor.line)
    {
        return (Some((*at, None)), None);
    }
    let member = |at: usize| Some((at, Some(anchor.symbol.clone())));
    if let Some((at, ..)) =
        members.iter().find(|(_, symbol, line)| here(symbol) && *line == anchor.line)
    {
        return (member(*at), None);
    }

    // Wrong in some way. What is it that it means?
    let symbols_here: Vec<_> = named.iter().filter(|(_, symbol)| here(symbol)).collect();
    let members_here: Vec<_> = members.iter().filter(|(_, symbol, _)| here(symbol)).collect();
    let name = &anchor.symbol;
    if !symbols_here.is_empty() || !members_here.is_empty() {
        let mut lines: Vec<u32> = symbols_here.iter().map(|(_, symbol)| symbol.line).collect();
        lines.extend(members_here.iter().map(|(_, _, line)| line));
        lines.sort_unstable();
        let lines = lines.iter().map(|line| format!("L{line}")).collect::<Vec<_>>().join(" or ");
        let found = match (symbols_here.as_slice(), members_here.as_slice()) {
            ([(at, _)], []) => Some((*at, None)),
            ([], [(at, ..)]) => member(*at),
            _ => None,
        };
        let message =
            format!("wrong line: {name} is at {}:{lines}, not L{}", anchor.file, anchor.line);
        return (found, Some(message));
    }
    if !named.is_empty() {
        let places: Vec<String> = named.iter().map(|(_, symbol)| symbol.place()).collect();
        let found = match named.as_slice() {
            [(at, _)] => Some((*at, None)),
            _ => None,
        };
        return (
            found,
            Some(format!(
                "wrong file: {name} is at {}, not in {}",
                places.join(" or "),
                anchor.file
            )),
        );
    }
    if !is_covered(&anchor.file) {
        let message = format!(
            "{} is not one of the covered files; say it in prose, without this form",
            anchor.file
        );
        return (None, Some(message));
    }
    (
        None,
        Some(format!("unknown symbol: CPython {} has no {name} in {}", index.version, anchor.file)),
    )
}
