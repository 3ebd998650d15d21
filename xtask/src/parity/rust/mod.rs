//! The Rust side: which items carry anchors, and what the comments in them say.

mod comments;
mod docs;
mod items;

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::lines::Lines;
use super::problem::Problem;
use crate::workspace::Workspace;

pub(crate) use comments::marker_parts;

/// One source file of one crate.
#[derive(Debug)]
pub(crate) struct RustFile {
    /// From the workspace's root, with `/`.
    pub(crate) path: String,
    /// Outer items before the items inside them.
    pub(crate) items: Vec<Item>,
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) markers: Vec<Marker>,
    pub(crate) tags: Vec<Tag>,
    /// Lines that mean to be an anchor, a marker or a tag and are not in the exact form.
    pub(crate) malformed: Vec<Problem>,
}

/// Anything that an anchor can stand on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// As one would call it: `Mutex::lock_timed`.
    pub(crate) name: String,
    /// From its first doc line or attribute to its closing brace.
    pub(crate) first: u32,
    pub(crate) last: u32,
    /// The line with its name.
    pub(crate) line: u32,
}

/// `/// CPython: Python/lock.c:L53 _PyMutex_LockTimed`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) symbol: String,
    /// Where it stands.
    pub(crate) at: u32,
    /// What it stands on, an index into [`RustFile::items`].
    pub(crate) item: usize,
}

/// `// L95-L102: first waiter; announce it before sleeping`, or `// L95-L102` where there is no
/// reason to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) at: u32,
    /// `lock.h` or a path, where the item mirrors several C files and the numbers alone do not
    /// say which: `// lock.h:L45-L48: …`
    pub(crate) file: Option<String>,
    pub(crate) ranges: Vec<Range>,
    /// `// L95: out of order: …`, where Rust does it in another order than C.
    pub(crate) out_of_order: bool,
    /// What it says, without the numbers and without "out of order". A bare marker, which ends
    /// with its numbers, has none.
    pub(crate) why: Option<String>,
}

/// Some C lines that a marker names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u32,
    pub(crate) last: u32,
    /// `L95-L97?`: numbers of an earlier version, which `bless` could not carry over.
    pub(crate) unplaced: bool,
}

/// `// Deviation D07: …`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) id: String,
    pub(crate) at: u32,
}

impl Range {
    pub(crate) fn lines(self) -> Lines {
        (self.first..=self.last).collect()
    }
}

/// As markers write it.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", self.first)?;
        if self.first < self.last {
            write!(f, "-L{}", self.last)?;
        }
        if self.unplaced { f.write_str("?") } else { Ok(()) }
    }
}

impl RustFile {
    fn parse(path: &str, text: &str) -> Result<Self> {
        let tokens: proc_macro2::TokenStream =
            text.parse().map_err(|error: proc_macro2::LexError| {
                anyhow!("{path}:{}: not Rust ({error}); fix it first", error.span().start().line)
            })?;
        let parsed: syn::File = syn::parse2(tokens.clone()).map_err(|error| {
            anyhow!("{path}:{}: not Rust ({error}); fix it first", error.span().start().line)
        })?;
        let mut file = Self {
            path: path.to_owned(),
            items: items::items(&parsed),
            anchors: Vec::new(),
            markers: Vec::new(),
            tags: Vec::new(),
            malformed: Vec::new(),
        };
        docs::scan(&mut file, tokens);
        comments::scan(&mut file, text);
        Ok(file)
    }

    /// The items around a line, innermost first.
    pub(crate) fn enclosing(&self, line: u32) -> impl Iterator<Item = usize> {
        let mut around: Vec<usize> = (0..self.items.len())
            .filter(|at| (self.items[*at].first..=self.items[*at].last).contains(&line))
            .collect();
        around.sort_by_key(|at| (self.items[*at].last - self.items[*at].first, usize::MAX - at));
        around.into_iter()
    }

    /// The innermost item with an anchor around a line: what a marker there belongs to.
    pub(crate) fn mirroring(&self, line: u32) -> Option<usize> {
        self.enclosing(line).find(|item| self.anchors_of(*item).next().is_some())
    }

    pub(crate) fn anchors_of(&self, item: usize) -> impl Iterator<Item = &Anchor> {
        self.anchors.iter().filter(move |anchor| anchor.item == item)
    }

    fn complain(&mut self, line: u32, message: impl Into<String>) {
        let problem = Problem::new(&self.path, line, message);
        self.malformed.push(problem);
    }
}

/// Reads `crates/*/src`, sorted by path.
pub(crate) fn scan(workspace: &Workspace) -> Result<Vec<RustFile>> {
    let crates = workspace.path("crates");
    let mut paths = Vec::new();
    let entries = std::fs::read_dir(&crates).with_context(|| "crates/: cannot list it")?;
    for entry in entries {
        let folder = entry?.path().join("src");
        if folder.is_dir() {
            rust_files(&folder, &mut paths)?;
        }
    }
    let mut relative: Vec<String> = paths
        .iter()
        .filter_map(|path| path.strip_prefix(workspace.root()).ok())
        .map(|path| path.to_string_lossy().replace('\\', "/"))
        .collect();
    relative.sort();
    relative.iter().map(|path| RustFile::parse(path, &workspace.read(path)?)).collect()
}

fn rust_files(folder: &Path, paths: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
