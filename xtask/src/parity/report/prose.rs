//! Text of ours that is shown beside code: the reasons of the ledger and the deviations.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

/// Markdown as HTML. Links lead to files that the site does not have, so only their text stays.
pub(super) fn markdown(text: &str) -> String {
    let events = Parser::new_ext(text, Options::ENABLE_TABLES)
        .filter(|event| !matches!(event, Event::Start(Tag::Link { .. }) | Event::End(TagEnd::Link)))
        // There is no HTML in our documents; should there be, it is shown and not obeyed.
        .map(|event| match event {
            Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
            other => other,
        });
    let mut out = String::new();
    html::push_html(&mut out, events);
    out
}

/// The same for one line of text, without its paragraph.
pub(super) fn inline(text: &str) -> String {
    let html = markdown(text);
    let html = html.trim();
    html.strip_prefix("<p>").and_then(|html| html.strip_suffix("</p>")).unwrap_or(html).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{inline, markdown};

    #[test]
    fn code_stays_and_links_and_html_do_not() {
        assert_eq!(inline("a `b<c` [d](e.md) <i>"), "a <code>b&lt;c</code> d &lt;i&gt;");
        assert_eq!(inline("_Py_X and *y*"), "_Py_X and <em>y</em>");
    }

    #[test]
    fn lists_and_tables_are_lists_and_tables() {
        assert!(
            markdown("One.\n\n- **C**: a\n- b\n").contains("<ul>\n<li><strong>C</strong>: a</li>")
        );
        assert!(markdown("| a | b |\n|---|---|\n| 1 | 2 |\n").contains("<td>1</td><td>2</td>"));
    }
}
