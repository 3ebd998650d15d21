//! C seen line by line: comments, directives and what counts as code.
//!
//! A code line is one that is not blank, not a comment, not a lone brace and not part of a `#`
//! directive; of a `#define` that is a symbol, the lines count as that symbol's. Lines between
//! `#ifdef __cplusplus` and its `#endif` are not C and count as blank.

use super::super::lines::Lines;

pub(crate) struct Text {
    /// The source with each comment turned into spaces; as long as the source, line for line.
    bare: String,
    /// Start of each line.
    starts: Vec<usize>,
    directive: Vec<bool>,
    hidden: Vec<bool>,
}

impl Text {
    pub(crate) fn new(source: &str) -> Self {
        let bare = without_comments(source);
        let starts: Vec<usize> =
            std::iter::once(0).chain(bare.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut text = Self {
            directive: vec![false; starts.len()],
            hidden: vec![false; starts.len()],
            bare,
            starts,
        };
        text.find_directives();
        text
    }

    fn find_directives(&mut self) {
        let mut continues = false;
        // Depth of conditionals inside `#ifdef __cplusplus`; 0 outside of it.
        let mut cplusplus = 0;
        for at in 0..self.starts.len() {
            let line = self.line(at as u32 + 1).trim().to_owned();
            let starts_here = !continues && line.starts_with('#');
            self.directive[at] = continues || starts_here;
            continues = self.directive[at] && line.ends_with('\\');
            if starts_here {
                let words = line[1..].trim_start();
                if cplusplus > 0 && words.starts_with("if") {
                    cplusplus += 1;
                } else if words.starts_with("endif") && cplusplus > 0 {
                    cplusplus -= 1;
                } else if cplusplus == 0 && words.replace(' ', "") == "ifdef__cplusplus" {
                    cplusplus = 1;
                }
            }
            self.hidden[at] = cplusplus > 0;
        }
    }

    /// The 1-based line, without its comments.
    pub(crate) fn line(&self, line: u32) -> &str {
        let at = line as usize - 1;
        let end = self.starts.get(at + 1).map_or(self.bare.len(), |next| next - 1);
        &self.bare[self.starts[at]..end]
    }

    /// What the parser gets to see. The conditionals are blanked, so that it reads every branch
    /// and no `#if` around half a statement derails it; of branches that open or close a block
    /// the first stands for all, or the block would be opened twice.
    pub(super) fn for_parser(&self) -> String {
        let mut text = self.bare.clone().into_bytes();
        let mut blank_directive = false;
        for (at, alternative) in self.alternatives().into_iter().enumerate() {
            let line = self.line(at as u32 + 1);
            let continued = at > 0 && self.directive[at - 1] && self.directive[at] && {
                self.line(at as u32).trim_end().ends_with('\\')
            };
            if !continued {
                blank_directive = self.directive[at] && is_conditional(line);
            }
            if blank_directive || self.hidden[at] || alternative {
                let start = self.starts[at];
                text[start..start + line.len()].fill(b' ');
            }
        }
        // Only whole lines were filled, so this is UTF-8 still.
        String::from_utf8(text).unwrap_or_default()
    }

    /// The lines in second and further branches of a conditional whose branches do not all close
    /// what they open.
    fn alternatives(&self) -> Vec<bool> {
        struct Group {
            /// First line of each branch, and brackets that it opens and does not close.
            branches: Vec<(usize, i32)>,
        }
        let mut alternatives = vec![false; self.starts.len()];
        let mut groups: Vec<Group> = Vec::new();
        for at in 0..self.starts.len() {
            let line = self.line(at as u32 + 1);
            if !self.directive[at] {
                if let Some((_, depth)) =
                    groups.last_mut().and_then(|group| group.branches.last_mut())
                {
                    *depth += opened(line);
                }
                continue;
            }
            match directive(line) {
                word if word.starts_with("if") => groups.push(Group { branches: vec![(at, 0)] }),
                word if word.starts_with("el") => {
                    if let Some(group) = groups.last_mut() {
                        group.branches.push((at, 0));
                    }
                }
                "endif" => {
                    let Some(group) = groups.pop() else { continue };
                    let first = group.branches[0].1;
                    if group.branches.iter().any(|(_, depth)| *depth != 0) {
                        let second = group.branches.get(1).map_or(at, |(start, _)| *start);
                        alternatives[second..at].fill(true);
                    }
                    // To what is around it, the group is its first branch.
                    let around = groups.last_mut().and_then(|group| group.branches.last_mut());
                    if let Some((_, depth)) = around {
                        *depth += first;
                    }
                }
                _ => {}
            }
        }
        alternatives
    }

    /// Where top-level items end, in the house style of the C: a brace in the first column closes
    /// one, whatever the parser makes of what is above it. Byte offsets behind these lines.
    pub(super) fn cuts(&self) -> Vec<usize> {
        let last = self.starts.len() as u32;
        (1..=last)
            .filter(|line| {
                let text = self.line(*line).trim_end();
                !self.directive[*line as usize - 1]
                    && text.starts_with('}')
                    && text.ends_with(['}', ';'])
            })
            .map(|line| self.starts.get(line as usize).copied().unwrap_or(self.bare.len()))
            .collect()
    }

    /// How many lines there are.
    pub(super) fn last_line(&self) -> u32 {
        self.starts.len() as u32
    }

    /// Code lines of `first..=last`.
    pub(super) fn code_lines(&self, first: u32, last: u32) -> Lines {
        (first..=last)
            .filter(|line| !self.directive[*line as usize - 1] && self.is_code(*line))
            .collect()
    }

    /// Code lines of a macro, whose `#define` counts.
    pub(super) fn macro_lines(&self, first: u32, last: u32) -> Lines {
        (first..=last).filter(|line| self.is_code(*line)).collect()
    }

    fn is_code(&self, line: u32) -> bool {
        let text = self.line(line).trim();
        let text = text.strip_suffix('\\').unwrap_or(text).trim_end();
        !self.hidden[line as usize - 1] && !matches!(text, "" | "{" | "}" | "};" | "},")
    }

    /// How much there is on a line besides white space and comments. Equal texts in different
    /// layouts have the same of it, in the same order.
    pub(crate) fn ink(&self, line: u32) -> usize {
        self.normalised(line, line).chars().filter(|c| !c.is_whitespace()).count()
    }

    /// The lines' tokens with the least white space that keeps them apart.
    pub(crate) fn normalised(&self, first: u32, last: u32) -> String {
        let mut out = String::new();
        let mut gap = false;
        let mut quote: Option<char> = None;
        let mut escaped = false;
        for line in first..=last {
            let text = self.line(line);
            let text = if self.directive[line as usize - 1] {
                text.trim_end().strip_suffix('\\').unwrap_or(text)
            } else {
                text
            };
            for c in text.chars() {
                if let Some(open) = quote {
                    out.push(c);
                    if escaped {
                        escaped = false;
                    } else if c == '\\' {
                        escaped = true;
                    } else if c == open {
                        quote = None;
                    }
                    continue;
                }
                if c.is_whitespace() {
                    gap = true;
                    continue;
                }
                if gap && out.chars().next_back().is_some_and(|before| would_merge(before, c)) {
                    out.push(' ');
                }
                gap = false;
                out.push(c);
                if c == '"' || c == '\'' {
                    quote = Some(c);
                }
            }
            gap = true;
            quote = None;
            escaped = false;
        }
        out
    }
}

/// Whether two characters mean something else without the white space between them.
fn would_merge(before: char, after: char) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    (word(before) && word(after))
        || (before == after && "+-&|<>=#".contains(before))
        || (after == '=' && "+-*/%&|^!<>".contains(before))
        || (before, after) == ('-', '>')
}

fn is_conditional(line: &str) -> bool {
    ["if", "el", "endif"].iter().any(|start| directive(line).starts_with(start))
}

/// `ifdef` of `#  ifdef X`.
fn directive(line: &str) -> &str {
    let word = line.trim_start().trim_start_matches('#').trim_start();
    &word[..word.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(word.len())]
}

/// Brackets that a line opens and does not close, strings aside.
fn opened(line: &str) -> i32 {
    let mut depth = 0;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match quote {
            Some(_) if c == '\\' => {
                chars.next();
            }
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None => match c {
                '"' | '\'' => quote = Some(c),
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                _ => {}
            },
        }
    }
    depth
}

fn without_comments(source: &str) -> String {
    #[derive(PartialEq)]
    enum In {
        Code,
        Line,
        Block,
        Quote(char),
    }
    let mut out = String::with_capacity(source.len());
    let mut state = In::Code;
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match state {
            In::Code => match (c, chars.peek()) {
                ('/', Some('/' | '*')) => {
                    state = if chars.next() == Some('/') { In::Line } else { In::Block };
                    out.push_str("  ");
                }
                _ => {
                    if c == '"' || c == '\'' {
                        state = In::Quote(c);
                    }
                    out.push(c);
                }
            },
            In::Quote(open) => {
                out.push(c);
                if c == '\\' {
                    out.extend(chars.next());
                } else if c == open || c == '\n' {
                    state = In::Code;
                }
            }
            In::Line | In::Block if c == '\n' => {
                out.push('\n');
                if state == In::Line {
                    state = In::Code;
                }
            }
            In::Block if c == '*' && chars.peek() == Some(&'/') => {
                chars.next();
                out.push_str("  ");
                state = In::Code;
            }
            // A space for every byte: offsets and columns stay what they are in the file.
            In::Line | In::Block => out.extend(std::iter::repeat_n(' ', c.len_utf8())),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn a_comment_is_spaces() {
        let text = Text::new("int a; // no\nchar *s = \"/* kept */\"; /* two\nlines */ int b;\n");
        assert_eq!(text.line(1).trim_end(), "int a;");
        assert_eq!(text.line(2).trim_end(), "char *s = \"/* kept */\";");
        assert_eq!(text.line(3).trim(), "int b;");
    }

    #[test]
    fn braces_directives_and_cplusplus_are_no_code() {
        let source = "#ifdef __cplusplus\nextern \"C\" {\n#endif\nint f(void)\n{\n#if A && \\\n    B\n    g();\n#endif\n}\n";
        assert_eq!(Text::new(source).code_lines(1, 10).to_string(), "4 8");
    }

    #[test]
    fn the_parser_sees_every_branch() {
        let text = Text::new("#if A\nint a;\n#else\nint b;\n#endif\n#define M 1\n");
        assert_eq!(text.for_parser(), "     \nint a;\n     \nint b;\n      \n#define M 1\n");
    }

    #[test]
    fn of_branches_that_open_a_block_the_parser_sees_the_first() {
        let text = Text::new("#if A\nif (a) {\n#elif B\nif (b) {\n#else\n{\n#endif\n}\n");
        let seen = text.for_parser();
        let lines: Vec<&str> = seen.lines().map(str::trim).collect();
        assert_eq!(lines, ["", "if (a) {", "", "", "", "", "", "}"]);
        assert_eq!(text.code_lines(1, 8).to_string(), "2 4");
    }

    #[test]
    fn a_brace_in_the_first_column_ends_an_item() {
        let source = "f {\n  }\n}\nt = {\n{\n},\n};\n#define M \\\n}\n} T;\n";
        let ends = [3, 7, 10].map(|line| source.match_indices('\n').nth(line - 1).unwrap().0 + 1);
        assert_eq!(Text::new(source).cuts(), ends);
    }

    #[test]
    fn layout_does_not_change_the_normal_form() {
        let one = Text::new("return a+b; /* why */");
        let two = Text::new("return a\n  + // because\n  b ;");
        assert_eq!(one.normalised(1, 1), two.normalised(1, 3));
        assert_eq!(one.normalised(1, 1), "return a+b;");
    }

    #[test]
    fn tokens_stay_apart() {
        let normal = |source| Text::new(source).normalised(1, 1);
        assert_ne!(normal("a + +b"), normal("a ++b"));
        assert_ne!(normal("unsigned int"), normal("unsignedint"));
        assert_ne!(normal("\"a b\""), normal("\"ab\""));
    }
}
