//! Line markers and deviation tags: plain comments, so they are read from the text.

use std::sync::LazyLock;

use regex::Regex;

use super::{Marker, RustFile, Tag};

/// `// L95-L102: why`, `// L95, L97-L98: why`, `// lock.h:L45: why`.
static MARKER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^[ \t]*// ?(?:([A-Za-z0-9_/]+\.[ch]):)?(L[0-9]{1,6}(?:-L[0-9]{1,6})?(?:, ?L[0-9]{1,6}(?:-L[0-9]{1,6})?)*)(.*)$",
    )
    .expect("a valid pattern")
});

static TAG: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"//[/!]? *Deviation (D[0-9]+)(:?)").expect("a valid pattern"));

static FALSE_ANCHOR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[ \t]*// ?CPython: ?[^ ]+:L[0-9]").expect("a valid pattern"));

pub(super) fn scan(file: &mut RustFile, text: &str) {
    for (line, text) in (1..).zip(text.lines()) {
        if let Some(parts) = MARKER.captures(text) {
            let group = |at: usize| parts.get(at).map_or("", |part| part.as_str());
            let rest = group(3);
            match (ranges(group(2)), rest.is_empty() || rest.starts_with(':')) {
                (Some(ranges), true) => file.markers.push(Marker {
                    at: line,
                    file: parts.get(1).map(|part| part.as_str().to_owned()),
                    ranges,
                    why: rest.trim_start_matches(':').trim().to_owned(),
                }),
                _ => file.odd_marker(line, text.trim()),
            }
        }
        if let Some(parts) = TAG.captures(text) {
            if parts[2].is_empty() {
                file.complain(
                    line,
                    format!(
                        "a deviation tag ends its number with a colon: `// Deviation {}: …`",
                        &parts[1]
                    ),
                );
            }
            file.tags.push(Tag { id: parts[1].to_owned(), at: line });
        }
        if FALSE_ANCHOR.is_match(text) {
            file.complain(line, "an anchor is a doc comment: `/// CPython: …`");
        }
    }
}

fn ranges(text: &str) -> Option<Vec<(u32, u32)>> {
    text.split(',')
        .map(|part| {
            let part = part.trim();
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.strip_prefix('L')?.parse::<u32>().ok();
            let (first, last) = (number(first)?, number(last)?);
            (0 < first && first <= last).then_some((first, last))
        })
        .collect()
}
