//! Line markers and deviation tags: plain comments, so they are read from the text.

use std::sync::LazyLock;

use regex::Regex;

use super::{Marker, Range, RustFile, Tag};

/// `// L95-L102: why`, `// L95, L97-L98: why`, `// lock.h:L45: why`, `// L95?: why`, and each of
/// them without the colon and the reason. The groups are the file, the ranges and the rest.
static MARKER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^[ \t]*// ?(?:([A-Za-z0-9_/]+\.[ch]):)?(L[0-9]{1,6}(?:-L[0-9]{1,6})?\??(?:, ?L[0-9]{1,6}(?:-L[0-9]{1,6})?\??)*)(.*)$",
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
            match (ranges(group(2)), reason(rest)) {
                (Some(ranges), Some((out_of_order, why))) => file.markers.push(Marker {
                    at: line,
                    file: parts.get(1).map(|part| part.as_str().to_owned()),
                    ranges,
                    out_of_order,
                    why: why.map(str::to_owned),
                }),
                _ => file.complain(
                    line,
                    format!(
                        "not a marker: `{}`; the form is `// L95-L102: why` or `// L95-L102`",
                        text.trim()
                    ),
                ),
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

/// Where in a line the parts of its marker stand.
pub(crate) struct MarkerParts {
    pub(crate) file: Option<std::ops::Range<usize>>,
    pub(crate) ranges: Vec<std::ops::Range<usize>>,
}

pub(crate) fn marker_parts(line: &str) -> Option<MarkerParts> {
    let parts = MARKER.captures(line)?;
    let all = parts.get(2)?;
    let mut ranges = Vec::new();
    let mut start = all.start();
    for part in all.as_str().split(',') {
        let lead = part.len() - part.trim_start().len();
        ranges.push(start + lead..start + part.len());
        start += part.len() + 1;
    }
    Some(MarkerParts { file: parts.get(1).map(|file| file.range()), ranges })
}

/// Whether a marker says that it is out of order, and the reason that it gives: no reason where
/// nothing follows the numbers, an empty one where only a colon does. `None` is no marker.
fn reason(rest: &str) -> Option<(bool, Option<&str>)> {
    if rest.trim().is_empty() {
        return Some((false, None));
    }
    let text = rest.strip_prefix(':')?.trim_start_matches(':').trim();
    Some(match text.strip_prefix("out of order") {
        Some(more) if more.is_empty() || more.starts_with([':', ',', ';']) => {
            (true, Some(more.trim_start_matches([':', ',', ';']).trim()))
        }
        _ => (false, Some(text)),
    })
}

fn ranges(text: &str) -> Option<Vec<Range>> {
    text.split(',').map(|part| range(part.trim())).collect()
}

fn range(text: &str) -> Option<Range> {
    let (numbers, unplaced) = match text.strip_suffix('?') {
        Some(numbers) => (numbers, true),
        None => (text, false),
    };
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let number = |text: &str| text.strip_prefix('L')?.parse::<u32>().ok();
    let (first, last) = (number(first)?, number(last)?);
    (0 < first && first <= last).then_some(Range { first, last, unplaced })
}
