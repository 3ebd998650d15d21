//! From C to symbols, through tree-sitter.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use tree_sitter::{Node, Parser, Point, Range, Tree};

use super::lexical::Text;
use super::{Kind, Member, Symbol};
use crate::parity::lines::Lines;

/// What one file holds.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) symbols: Vec<Symbol>,
    /// Prototypes and forward declarations, defined elsewhere or not.
    pub(super) declarations: Vec<Symbol>,
}

pub(super) fn extract(file: &str, source: &str) -> Result<Contents> {
    let text = Text::new(source);
    let parsed = text.for_parser();
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_c::LANGUAGE.into()).context("the C grammar")?;
    // Item by item: what the parser cannot make sense of is then one item and not the rest of
    // the file.
    let mut trees: Vec<Tree> = Vec::new();
    for range in ranges(&parsed, &text.cuts()) {
        parser.set_included_ranges(&[range]).context("the C parser's ranges")?;
        trees.push(parser.parse(&parsed, None).context("the C parser gave up")?);
    }
    let mut file = File { path: file, text: &text, source: &parsed, contents: Contents::default() };
    trees.iter().for_each(|tree| file.items(tree.root_node()));
    file.leftovers();
    Ok(file.contents)
}

fn ranges(source: &str, cuts: &[usize]) -> Vec<Range> {
    let mut ranges = Vec::new();
    let mut start = (0, Point::new(0, 0));
    for cut in cuts.iter().copied().chain([source.len()]) {
        let rows = source.as_bytes()[start.0..cut].iter().filter(|byte| **byte == b'\n').count();
        let column = cut - source[..cut].rfind('\n').map_or(0, |newline| newline + 1);
        let end = (cut, Point::new(start.1.row + rows, column));
        if start.0 < cut {
            ranges.push(Range {
                start_byte: start.0,
                end_byte: end.0,
                start_point: start.1,
                end_point: end.1,
            });
        }
        start = end;
    }
    ranges
}

struct File<'a> {
    path: &'a str,
    text: &'a Text,
    source: &'a str,
    contents: Contents,
}

impl<'a> File<'a> {
    fn items(&mut self, parent: Node<'a>) {
        let mut cursor = parent.walk();
        for node in parent.children(&mut cursor) {
            match node.kind() {
                "function_definition" => self.function(node),
                "declaration" => self.declaration(node),
                "struct_specifier" | "union_specifier" | "enum_specifier" => self.tagged(node),
                "type_definition" => self.typedef(node),
                "preproc_def" | "preproc_function_def" => self.macro_definition(node),
                "linkage_specification" | "declaration_list" => self.items(node),
                "expression_statement" if self.is_assertion(node) => {
                    self.symbol(node, Kind::Assertion, "static_assert", first_line(node));
                }
                kind if kind.starts_with("preproc_") => {}
                _ => self.other(node),
            }
        }
    }

    fn function(&mut self, node: Node<'a>) {
        let Some(name) = node.child_by_field_name("declarator").and_then(innermost) else {
            return self.other(node);
        };
        let storage = self.specifiers(node);
        let kind = match (storage.contains(&"static"), storage.contains(&"inline")) {
            (true, true) => Kind::StaticInline,
            (true, false) => Kind::StaticFunction,
            (false, _) => Kind::Function,
        };
        let signature_end = node.child_by_field_name("body").map_or(last_line(node), first_line);
        let (first, last) = (first_line(node), last_line(node));
        let symbol = self.symbol(node, kind, self.str(name), first_line(name));
        // `int f(void) { return 1; }` on one line is a signature.
        let head = first..=signature_end;
        let code = std::mem::take(&mut symbol.head);
        symbol.head = code.iter().filter(|line| head.contains(line)).collect();
        symbol.body = code.iter().filter(|line| !head.contains(line) && *line <= last).collect();
    }

    fn declaration(&mut self, node: Node<'a>) {
        let Some(declarator) = node.child_by_field_name("declarator") else {
            return self.other(node);
        };
        let Some(name) = innermost(declarator) else { return self.other(node) };
        let initialised = declarator.kind() == "init_declarator";
        let is_extern = self.specifiers(node).contains(&"extern");
        let function = contains_kind(declarator, "function_declarator");
        if !initialised && (function || is_extern) {
            return self.declared(node, self.str(name));
        }
        let kind = if contains_kind(declarator, "array_declarator") {
            Kind::Table
        } else {
            Kind::Constant
        };
        self.symbol(node, kind, self.str(name), first_line(node));
    }

    /// `struct name { … };`, `enum { … };` or a forward declaration.
    fn tagged(&mut self, node: Node<'a>) {
        let tag = node.child_by_field_name("name").map(|name| self.str(name));
        let Some(body) = node.child_by_field_name("body") else {
            return self.declared(node, tag.unwrap_or_default());
        };
        self.aggregate(node, node, body, tag);
    }

    fn typedef(&mut self, node: Node<'a>) {
        let Some(name) = node.child_by_field_name("declarator").and_then(innermost) else {
            return self.other(node);
        };
        let aliased = node.child_by_field_name("type");
        let name = self.str(name);
        match aliased.filter(|aliased| is_tagged(*aliased)) {
            Some(aliased) => match aliased.child_by_field_name("body") {
                Some(body) => self.aggregate(node, aliased, body, Some(name)),
                // `typedef struct T T;` announces T, whoever defines it.
                None => self.declared(node, name),
            },
            None => {
                self.symbol(node, Kind::Typedef, name, first_line(node));
            }
        }
    }

    fn aggregate(
        &mut self,
        whole: Node<'a>,
        tagged: Node<'a>,
        body: Node<'a>,
        name: Option<&'a str>,
    ) {
        let kind = if tagged.kind() == "enum_specifier" { Kind::Enum } else { Kind::Struct };
        let mut members = Vec::new();
        self.members(body, &mut members);
        let Some(name) = name.map(str::to_owned).or_else(|| Some(members.first()?.name.clone()))
        else {
            return self.other(whole);
        };
        self.symbol(whole, kind, &name, first_line(whole)).members = members;
    }

    fn members(&self, body: Node<'a>, members: &mut Vec<Member>) {
        let mut cursor = body.walk();
        for node in body.named_children(&mut cursor) {
            match node.kind() {
                "enumerator" => {
                    if let Some(name) = node.child_by_field_name("name") {
                        members.push(self.member(name));
                    }
                }
                "field_declaration" => {
                    let mut inner = node.walk();
                    for declarator in node.children_by_field_name("declarator", &mut inner) {
                        members.extend(innermost(declarator).map(|name| self.member(name)));
                    }
                }
                _ => {}
            }
        }
    }

    fn member(&self, name: Node<'a>) -> Member {
        Member { name: self.str(name).to_owned(), line: first_line(name) }
    }

    fn macro_definition(&mut self, node: Node<'a>) {
        // Without parameters and without a value it is a switch: an include guard, a feature
        // test. Those are directives and no symbols.
        if node.kind() == "preproc_def" && node.child_by_field_name("value").is_none() {
            return;
        }
        let Some(name) = node.child_by_field_name("name") else { return };
        self.symbol(node, Kind::Macro, self.str(name), first_line(node));
    }

    /// Nothing may go unseen: what the parser cannot make sense of goes by the name of the
    /// function that it declares, or else by its first word.
    fn other(&mut self, node: Node<'a>) {
        let (first, last) = (first_line(node), last_line(node));
        if self.text.code_lines(first, last).is_empty() || node.kind() == ";" {
            return;
        }
        let declarator = first_of_kind(node, "function_declarator").and_then(innermost);
        match declarator {
            Some(name) => self.symbol(node, Kind::Other, self.str(name), first_line(name)),
            None => self.symbol(node, Kind::Other, first_word(self.str(node)), first),
        };
    }

    /// Code that is in no item so far.
    fn leftovers(&mut self) {
        let mut left = self.text.code_lines(1, self.text.last_line());
        let contents = &self.contents;
        for symbol in contents.symbols.iter().chain(&contents.declarations) {
            left = left.minus(&symbol.code());
        }
        for (first, last) in left.ranges() {
            let name = first_word(self.text.line(first));
            let symbol = self.lines(first, last, Kind::Other, name, first);
            self.contents.symbols.push(symbol);
        }
        self.contents.symbols.sort_by_key(|symbol| symbol.first);
    }

    fn symbol(&mut self, node: Node<'a>, kind: Kind, name: &str, line: u32) -> &mut Symbol {
        let symbol = self.describe(node, kind, name, line);
        let at = self.contents.symbols.len();
        self.contents.symbols.push(symbol);
        &mut self.contents.symbols[at]
    }

    fn declared(&mut self, node: Node<'a>, name: &str) {
        let symbol = self.describe(node, Kind::Declaration, name, first_line(node));
        self.contents.declarations.push(symbol);
    }

    fn describe(&self, node: Node<'a>, kind: Kind, name: &str, line: u32) -> Symbol {
        self.lines(first_line(node), last_line(node), kind, name, line)
    }

    fn lines(&self, first: u32, last: u32, kind: Kind, name: &str, line: u32) -> Symbol {
        let head = if kind == Kind::Macro {
            self.text.macro_lines(first, last)
        } else {
            self.text.code_lines(first, last)
        };
        let hash = Sha256::digest(self.text.normalised(first, last));
        Symbol {
            name: name.to_owned(),
            file: self.path.to_owned(),
            kind,
            line,
            first,
            last,
            hash: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            head,
            body: Lines::default(),
            members: Vec::new(),
        }
    }

    fn is_assertion(&self, node: Node<'a>) -> bool {
        let callee = node.named_child(0).and_then(|call| call.child_by_field_name("function"));
        callee.is_some_and(|name| matches!(self.str(name), "static_assert" | "_Static_assert"))
    }

    /// `static`, `inline`, `extern`.
    fn specifiers(&self, node: Node<'a>) -> Vec<&'a str> {
        let mut cursor = node.walk();
        node.children(&mut cursor)
            .filter(|child| child.kind() == "storage_class_specifier")
            .map(|child| self.str(child))
            .collect()
    }

    fn str(&self, node: Node<'a>) -> &'a str {
        &self.source[node.byte_range()]
    }
}

/// The name in a declarator, through pointers, arrays and parameter lists.
fn innermost(declarator: Node<'_>) -> Option<Node<'_>> {
    let mut node = declarator;
    while !matches!(node.kind(), "identifier" | "type_identifier" | "field_identifier") {
        // A parenthesised declarator has no field for what it wraps.
        node = node.child_by_field_name("declarator").or_else(|| node.named_child(0))?;
    }
    Some(node)
}

fn contains_kind(declarator: Node<'_>, kind: &str) -> bool {
    let mut node = Some(declarator);
    while let Some(current) = node {
        if current.kind() == kind {
            return true;
        }
        node = current.child_by_field_name("declarator");
    }
    false
}

fn first_of_kind<'a>(node: Node<'a>, kind: &str) -> Option<Node<'a>> {
    if node.kind() == kind {
        return Some(node);
    }
    let mut cursor = node.walk();
    let children: Vec<Node<'a>> = node.children(&mut cursor).collect();
    children.into_iter().find_map(|child| first_of_kind(child, kind))
}

fn first_word(text: &str) -> &str {
    let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.find(|word| !word.is_empty()).unwrap_or("?")
}

fn is_tagged(node: Node<'_>) -> bool {
    matches!(node.kind(), "struct_specifier" | "union_specifier" | "enum_specifier")
}

fn first_line(node: Node<'_>) -> u32 {
    node.start_position().row as u32 + 1
}

/// A directive's node ends at the start of the line after it.
fn last_line(node: Node<'_>) -> u32 {
    let end = node.end_position();
    if end.column == 0 && end.row > node.start_position().row {
        end.row as u32
    } else {
        end.row as u32 + 1
    }
}
