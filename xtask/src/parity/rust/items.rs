//! The items of a Rust file, with the lines they span.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::Item;

/// Every item, outer ones before those inside them.
pub(super) fn items(file: &syn::File) -> Vec<Item> {
    let mut collector = Collector { items: Vec::new(), owner: String::new() };
    collector.visit_file(file);
    collector.items
}

struct Collector {
    items: Vec<Item>,
    /// What the items found now belong to: `Mutex`, or nothing.
    owner: String,
}

impl Collector {
    fn push(&mut self, name: String, whole: Span, named: Span) {
        self.items.push(Item {
            name,
            first: whole.start().line as u32,
            last: whole.end().line as u32,
            line: named.start().line as u32,
        });
    }

    fn owned(&self, name: impl std::fmt::Display) -> String {
        if self.owner.is_empty() { name.to_string() } else { format!("{}::{name}", self.owner) }
    }

    fn within(&mut self, owner: String, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.owner, owner);
        visit(self);
        self.owner = outer;
    }

    /// An item, and what is inside it.
    fn named(&mut self, name: String, whole: Span, named: Span, visit: impl FnOnce(&mut Self)) {
        self.push(name.clone(), whole, named);
        self.within(name, visit);
    }

    /// The documented items in a macro's input, which only the macro can parse. An item reaches
    /// from its doc comment to its braces or to its `;` or `,`.
    fn in_macro(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        // What a brace group would be the body of, documented or not.
        let mut heading: Option<String> = None;
        let mut documented: Option<Span> = None;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    if matches!(tokens.get(at + 1), Some(TokenTree::Group(_))) {
                        documented.get_or_insert(punct.span());
                        at += 1;
                    }
                }
                TokenTree::Ident(_) if heading.is_none() => {
                    if let Some((name, span, skip)) = heading_at(&tokens[at..]) {
                        let name = self.owned(name);
                        if let Some(start) = documented.take() {
                            let end = end_of(&tokens[at + skip..]).unwrap_or(span);
                            self.push(name.clone(), start.join(end).unwrap_or(start), span);
                        }
                        heading = Some(name);
                        at += skip;
                    }
                }
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let owner = heading.take().unwrap_or_else(|| self.owner.clone());
                    self.within(owner, |this| this.in_macro(group.stream()));
                    documented = None;
                }
                TokenTree::Punct(punct) if matches!(punct.as_char(), ';' | ',') => {
                    heading = None;
                    documented = None;
                }
                _ => {}
            }
            at += 1;
        }
    }
}

const KEYWORDS: [&str; 11] = [
    "fn",
    "struct",
    "enum",
    "union",
    "trait",
    "type",
    "const",
    "static",
    "mod",
    "macro_rules",
    "impl",
];

/// The name that begins at these tokens, where it stands, and how many tokens to skip to it.
/// Without a keyword it is a variant or a field.
fn heading_at(tokens: &[TokenTree]) -> Option<(String, Span, usize)> {
    let word = |at: usize| match tokens.get(at) {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    };
    let mut at = 0;
    while let Some(text) = word(at) {
        match text.as_str() {
            "pub" => {
                at += if matches!(tokens.get(at + 1), Some(TokenTree::Group(_))) { 2 } else { 1 }
            }
            "unsafe" | "async" | "extern" | "default" => at += 1,
            // `const fn`, `static ref`: the name is one further.
            "const" | "static"
                if matches!(word(at + 1).as_deref(), Some("fn" | "unsafe" | "ref" | "mut")) =>
            {
                at += 1
            }
            "ref" | "mut" => at += 1,
            keyword if KEYWORDS.contains(&keyword) => at += 1,
            _ => return Some((text, tokens[at].span(), at)),
        }
    }
    None
}

fn end_of(tokens: &[TokenTree]) -> Option<Span> {
    tokens
        .iter()
        .find_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                Some(group.span_close())
            }
            TokenTree::Punct(punct) if matches!(punct.as_char(), ';' | ',') => Some(punct.span()),
            _ => None,
        })
        .or_else(|| tokens.last().map(TokenTree::span))
}

/// The last name in a type: `Mutex` of `impl<T> Drop for lock::Mutex<T>`.
fn type_name(ty: &syn::Type) -> String {
    match ty {
        syn::Type::Path(path) => {
            path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default()
        }
        syn::Type::Reference(reference) => type_name(&reference.elem),
        _ => String::new(),
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_impl(&mut self, node: &'ast syn::ItemImpl) {
        let name = type_name(&node.self_ty);
        self.push(format!("impl {name}"), node.span(), node.self_ty.span());
        self.within(name, |this| visit::visit_item_impl(this, node));
    }

    fn visit_item_mod(&mut self, node: &'ast syn::ItemMod) {
        self.push(format!("mod {}", node.ident), node.span(), node.ident.span());
        self.within(String::new(), |this| visit::visit_item_mod(this, node));
    }

    fn visit_item_trait(&mut self, node: &'ast syn::ItemTrait) {
        let name = node.ident.to_string();
        self.named(name, node.span(), node.ident.span(), |this| {
            visit::visit_item_trait(this, node)
        });
    }

    fn visit_item_struct(&mut self, node: &'ast syn::ItemStruct) {
        let name = node.ident.to_string();
        self.named(name, node.span(), node.ident.span(), |this| {
            visit::visit_item_struct(this, node)
        });
    }

    fn visit_item_enum(&mut self, node: &'ast syn::ItemEnum) {
        let name = node.ident.to_string();
        self.named(name, node.span(), node.ident.span(), |this| visit::visit_item_enum(this, node));
    }

    fn visit_item_union(&mut self, node: &'ast syn::ItemUnion) {
        let name = node.ident.to_string();
        self.named(name, node.span(), node.ident.span(), |this| {
            visit::visit_item_union(this, node)
        });
    }

    fn visit_variant(&mut self, node: &'ast syn::Variant) {
        let name = self.owned(&node.ident);
        self.named(name, node.span(), node.ident.span(), |this| visit::visit_variant(this, node));
    }

    fn visit_field(&mut self, node: &'ast syn::Field) {
        let name = node.ident.as_ref().map_or_else(|| "0".to_owned(), ToString::to_string);
        let named = node.ident.as_ref().map_or_else(|| node.ty.span(), |ident| ident.span());
        self.push(self.owned(name), node.span(), named);
    }

    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        let name = self.owned(&node.sig.ident);
        self.named(name, node.span(), node.sig.ident.span(), |this| {
            visit::visit_item_fn(this, node)
        });
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        let name = self.owned(&node.sig.ident);
        self.named(name, node.span(), node.sig.ident.span(), |this| {
            visit::visit_impl_item_fn(this, node)
        });
    }

    fn visit_trait_item_fn(&mut self, node: &'ast syn::TraitItemFn) {
        let name = self.owned(&node.sig.ident);
        self.named(name, node.span(), node.sig.ident.span(), |this| {
            visit::visit_trait_item_fn(this, node)
        });
    }

    fn visit_foreign_item_fn(&mut self, node: &'ast syn::ForeignItemFn) {
        self.push(node.sig.ident.to_string(), node.span(), node.sig.ident.span());
    }

    fn visit_item_const(&mut self, node: &'ast syn::ItemConst) {
        let name = self.owned(&node.ident);
        self.named(name, node.span(), node.ident.span(), |this| {
            visit::visit_item_const(this, node)
        });
    }

    fn visit_impl_item_const(&mut self, node: &'ast syn::ImplItemConst) {
        self.push(self.owned(&node.ident), node.span(), node.ident.span());
    }

    fn visit_trait_item_const(&mut self, node: &'ast syn::TraitItemConst) {
        self.push(self.owned(&node.ident), node.span(), node.ident.span());
    }

    fn visit_item_static(&mut self, node: &'ast syn::ItemStatic) {
        let name = self.owned(&node.ident);
        self.named(name, node.span(), node.ident.span(), |this| {
            visit::visit_item_static(this, node)
        });
    }

    fn visit_item_type(&mut self, node: &'ast syn::ItemType) {
        self.push(self.owned(&node.ident), node.span(), node.ident.span());
    }

    fn visit_impl_item_type(&mut self, node: &'ast syn::ImplItemType) {
        self.push(self.owned(&node.ident), node.span(), node.ident.span());
    }

    fn visit_trait_item_type(&mut self, node: &'ast syn::TraitItemType) {
        self.push(self.owned(&node.ident), node.span(), node.ident.span());
    }

    fn visit_item_macro(&mut self, node: &'ast syn::ItemMacro) {
        let name = node.ident.as_ref().or_else(|| Some(&node.mac.path.segments.last()?.ident));
        let name = name.map(|name| format!("{name}!")).unwrap_or_default();
        self.push(name, node.span(), node.mac.path.span());
        visit::visit_item_macro(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        self.in_macro(node.tokens.clone());
    }
}
