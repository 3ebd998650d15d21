//! Syntax colours: one string of HTML for each line, with short class names.

use anyhow::{Context, Result};
use tree_sitter_highlight::{Highlight, HighlightConfiguration, Highlighter, HtmlRenderer};

/// What the grammars call things, and the class that the style sheet knows.
const CLASSES: [(&str, &str); 16] = [
    ("attribute", "a"),
    ("comment", "c"),
    ("constant", "m"),
    ("constant.builtin", "n"),
    ("constructor", "t"),
    ("escape", "s"),
    ("function", "f"),
    ("function.macro", "x"),
    ("function.special", "x"),
    ("keyword", "k"),
    ("label", "l"),
    ("number", "n"),
    ("property", "p"),
    ("string", "s"),
    ("type", "t"),
    ("type.builtin", "t"),
];

pub(super) struct Colours {
    c: HighlightConfiguration,
    rust: HighlightConfiguration,
}

impl Colours {
    pub(super) fn new() -> Result<Self> {
        let configure = |language, name, query| -> Result<HighlightConfiguration> {
            let mut configuration = HighlightConfiguration::new(language, name, query, "", "")
                .with_context(|| format!("the colours of {name}"))?;
            configuration.configure(&CLASSES.map(|(name, _)| name));
            Ok(configuration)
        };
        let c = tree_sitter_c::LANGUAGE.into();
        let rust = tree_sitter_rust::LANGUAGE.into();
        Ok(Self {
            c: configure(c, "C", tree_sitter_c::HIGHLIGHT_QUERY)?,
            rust: configure(rust, "Rust", tree_sitter_rust::HIGHLIGHTS_QUERY)?,
        })
    }

    pub(super) fn c(&self, text: &str) -> Result<Vec<String>> {
        lines(&self.c, text)
    }

    pub(super) fn rust(&self, text: &str) -> Result<Vec<String>> {
        lines(&self.rust, text)
    }
}

fn lines(configuration: &HighlightConfiguration, text: &str) -> Result<Vec<String>> {
    let mut highlighter = Highlighter::new();
    let events = highlighter.highlight(configuration, text.as_bytes(), None, None, |_| None)?;
    let mut renderer = HtmlRenderer::new();
    renderer.render(events, text.as_bytes(), &|Highlight(at), html: &mut Vec<u8>| {
        html.extend_from_slice(format!("class=\"{}\"", CLASSES[at].1).as_bytes());
    })?;
    Ok(renderer.lines().map(|line| line.trim_end_matches('\n').to_owned()).collect())
}

/// Text as HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::Colours;

    #[test]
    fn colours_each_line_by_itself() {
        let colours = Colours::new().unwrap();
        let lines = colours.c("/* a\n b */ int f(void) { return 1 < 2; }\n").unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], "<span class=\"c\">/* a</span>");
        assert!(lines[1].starts_with("<span class=\"c\"> b */</span> "), "{lines:?}");
        assert!(lines[1].contains("<span class=\"k\">return</span>"), "{lines:?}");
        assert!(lines[1].contains("<span class=\"f\">f</span>("), "{lines:?}");
        assert!(lines[1].contains("&lt;"), "{lines:?}");

        let lines = colours.rust("fn f() -> u8 { g(\"x\") }\n").unwrap();
        assert!(
            lines[0].contains("<span class=\"k\">fn</span> <span class=\"f\">f</span>"),
            "{lines:?}"
        );
    }
}
