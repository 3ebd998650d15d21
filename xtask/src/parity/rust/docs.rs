//! Item anchors. They are doc comments, which are tokens: they are found inside macro input
//! too, and never inside a string.

use std::sync::LazyLock;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use regex::Regex;

use super::{Anchor, RustFile};

/// The text of a doc line that is an anchor, in its one form.
static ANCHOR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^ CPython: ([A-Za-z0-9_./-]+):L([0-9]{1,6}) ([A-Za-z_][A-Za-z0-9_]*)$")
        .expect("a valid pattern")
});

pub(super) fn scan(file: &mut RustFile, tokens: TokenStream) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                let inner = tokens
                    .next_if(|next| matches!(next, TokenTree::Punct(p) if p.as_char() == '!'));
                let attribute = tokens.next_if(|next| matches!(next, TokenTree::Group(_)));
                if let Some(TokenTree::Group(group)) = attribute
                    && group.delimiter() == Delimiter::Bracket
                    && let Some((text, line)) = doc(group.stream())
                {
                    doc_lines(file, &text, line, inner.is_some());
                }
            }
            TokenTree::Group(group) => scan(file, group.stream()),
            _ => {}
        }
    }
}

/// The text of `doc = "…"` and the line where it starts.
fn doc(attribute: TokenStream) -> Option<(String, u32)> {
    let mut tokens = attribute.into_iter();
    let TokenTree::Ident(name) = tokens.next()? else { return None };
    let TokenTree::Punct(_) = tokens.next()? else { return None };
    let TokenTree::Literal(literal) = tokens.next()? else { return None };
    if name != "doc" {
        return None;
    }
    let line = literal.span().start().line as u32;
    let text: syn::LitStr = syn::parse2(TokenTree::from(literal).into()).ok()?;
    Some((text.value(), line))
}

fn doc_lines(file: &mut RustFile, text: &str, first: u32, inner: bool) {
    for (line, text) in (first..).zip(text.lines()) {
        if !text.trim_start().starts_with("CPython:") {
            continue;
        }
        if inner {
            file.complain(line, "an anchor stands on an item, with `///`");
            continue;
        }
        let parts = ANCHOR.captures(text).map(|parts| parts.extract());
        let Some((_, [c_file, c_line, symbol])) = parts else {
            file.complain(line, format!("not an anchor: {:?}; the form is `/// CPython: Python/lock.c:L53 _PyMutex_LockTimed`", text.trim()));
            continue;
        };
        let item = file.enclosing(line).next();
        let Some(item) = item else {
            file.complain(line, "this anchor stands on no item");
            continue;
        };
        file.anchors.push(Anchor {
            file: c_file.to_owned(),
            // At most six digits.
            line: c_line.parse().unwrap_or_default(),
            symbol: symbol.to_owned(),
            at: line,
            item,
        });
    }
}
