//! `docs/deviations.md` and the tags that lead to it: each has to have the other.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::Problem;
use super::rust::RustFile;
use crate::workspace::Workspace;

const PATH: &str = "docs/deviations.md";

/// Tags without an entry, entries without a tag, numbers given twice.
pub(crate) fn check(workspace: &Workspace, files: &[RustFile]) -> Vec<Problem> {
    let text = workspace.read(PATH).unwrap_or_default();
    let mut problems = Vec::new();
    let mut entries: BTreeMap<&str, u32> = BTreeMap::new();
    for (line, id) in headings(&text) {
        if let Some(first) = entries.insert(id, line) {
            problems.push(Problem::new(
                PATH,
                line,
                format!("deviation {id} has an entry already, at line {first}"),
            ));
            entries.insert(id, first);
        }
    }
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for file in files {
        for tag in &file.tags {
            used.insert(&tag.id);
            if !entries.contains_key(tag.id.as_str()) {
                let message = format!("deviation {} has no entry in {PATH}", tag.id);
                problems.push(Problem::new(&file.path, tag.at, message));
            }
        }
    }
    for (id, line) in &entries {
        if !used.contains(id) {
            problems.push(Problem::new(
                PATH,
                *line,
                format!("no tag leads to deviation {id}; remove the entry"),
            ));
        }
    }
    problems
}

/// An entry of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deviation {
    pub(crate) id: String,
    pub(crate) title: String,
    /// Markdown.
    pub(crate) text: String,
}

/// All entries, in the document's order.
pub(crate) fn entries(workspace: &Workspace) -> Vec<Deviation> {
    let text = workspace.read(PATH).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let starts: Vec<(u32, &str)> = headings(&text).collect();
    starts
        .iter()
        .map(|(line, id)| {
            let at = *line as usize;
            let title = lines[at - 1].trim_start_matches('#').trim().trim_start_matches(*id);
            let body = lines[at..].iter().take_while(|line| !line.starts_with('#'));
            Deviation {
                id: (*id).to_owned(),
                title: title.trim_start_matches(':').trim().to_owned(),
                text: body.copied().collect::<Vec<_>>().join("\n").trim().to_owned(),
            }
        })
        .collect()
}

/// `## D07: title` and `### D07 title`.
fn headings(text: &str) -> impl Iterator<Item = (u32, &str)> {
    (1..).zip(text.lines()).filter_map(|(line, text)| {
        let heading = text.strip_prefix("### ").or_else(|| text.strip_prefix("## "))?;
        let id = heading.split([':', ' ']).next()?;
        let digits = id.strip_prefix('D')?;
        (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .then_some((line, id))
    })
}

#[cfg(test)]
mod tests {
    use super::headings;

    #[test]
    fn reads_the_headings_that_are_entries() {
        let text =
            "# Deviations\n## D01: a\ntext D02\n### D03 b\n## Design\n#### D04: deep\n## D5\n";
        assert_eq!(headings(text).collect::<Vec<_>>(), [(2, "D01"), (4, "D03"), (7, "D5")]);
    }
}
