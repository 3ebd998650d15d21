//! Changing some bytes of a text and no others.

use std::ops::Range;

use anyhow::Result;

use crate::workspace::Workspace;

/// A file as it shall be.
pub(super) struct Edited {
    /// From the workspace's root.
    pub(super) path: String,
    pub(super) text: String,
}

/// A text and what to put into it.
pub(super) struct Edits {
    path: String,
    text: String,
    /// Start of each line.
    starts: Vec<usize>,
    edits: Vec<(Range<usize>, String)>,
}

impl Edits {
    pub(super) fn open(workspace: &Workspace, path: &str) -> Result<Self> {
        Ok(Self::new(path, workspace.read(path)?))
    }

    pub(super) fn new(path: &str, text: String) -> Self {
        let starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path: path.to_owned(), text, starts, edits: Vec::new() }
    }

    /// The 1-based line without its end.
    pub(super) fn line(&self, line: u32) -> &str {
        let Some(start) = self.starts.get(line as usize - 1) else { return "" };
        let end = self.starts.get(line as usize).map_or(self.text.len(), |next| next - 1);
        self.text[*start..end].trim_end_matches('\r')
    }

    /// Replaces these bytes of the line; says whether that makes a difference.
    pub(super) fn replace(&mut self, line: u32, columns: Range<usize>, with: &str) -> bool {
        let start = self.starts[line as usize - 1];
        self.replace_bytes(start + columns.start..start + columns.end, with)
    }

    pub(super) fn replace_bytes(&mut self, range: Range<usize>, with: &str) -> bool {
        let differs = self.text[range.clone()] != *with;
        if differs {
            self.edits.push((range, with.to_owned()));
        }
        differs
    }

    /// The text with its edits, if there are any.
    pub(super) fn finish(mut self) -> Option<Edited> {
        if self.edits.is_empty() {
            return None;
        }
        self.edits.sort_by_key(|(range, _)| range.start);
        for (range, with) in self.edits.into_iter().rev() {
            self.text.replace_range(range, &with);
        }
        Some(Edited { path: self.path, text: self.text })
    }
}
