//! The index: what the covered C files contain, symbol by symbol, without any of their text.
//!
//! The audit works on the committed index alone, and proves it when given a source.

mod build;
mod compare;
mod extract;
mod lexical;
mod pairing;
#[cfg(test)]
mod tests;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::lines::Lines;
use super::toml_file;
use crate::workspace::Workspace;

pub(crate) use build::build;
pub(crate) use compare::drift;
pub(crate) use lexical::Text;
pub(crate) use pairing::{Entry, Pair, pairs};

const HEADER: &str = "\
# The synchronization layer of CPython, symbol by symbol. docs/parity.md explains the fields.
# Written by `cargo xtask parity index`; do not edit.
";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Index {
    /// CPython's version, as its `patchlevel.h` writes it.
    pub(crate) version: String,
    /// By file in the order of `COVERED`, then by line.
    #[serde(default, rename = "symbol")]
    pub(crate) symbols: Vec<Symbol>,
    /// Prototypes and forward declarations of symbols; a declaration is accounted for with its
    /// definition.
    #[serde(default, rename = "declaration")]
    pub(crate) declarations: Vec<Declaration>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Symbol {
    /// An anonymous enum goes by its first enumerator. A name may come twice in a file, once for
    /// each branch of an `#if`.
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) kind: Kind,
    /// The line that an anchor gives: of a function the line with its name, else the first.
    pub(crate) line: u32,
    pub(crate) first: u32,
    pub(crate) last: u32,
    /// SHA-256 of the text without comments and white space.
    pub(crate) hash: String,
    /// Code lines that the anchor alone accounts for: a function's signature, all of the rest.
    #[serde(default, skip_serializing_if = "Lines::is_empty")]
    pub(crate) head: Lines,
    /// Code lines of a function's body: line markers account for them.
    #[serde(default, skip_serializing_if = "Lines::is_empty")]
    pub(crate) body: Lines,
    /// Fields and enumerators, which may have anchors of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) members: Vec<Member>,
}

/// Written as `"name:line"`, to keep the index short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) line: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Declaration {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) hash: String,
    pub(crate) lines: Lines,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Function,
    StaticFunction,
    StaticInline,
    Struct,
    Enum,
    Macro,
    Table,
    Constant,
    Typedef,
    Assertion,
    /// A declaration whose definition is in none of the covered files.
    Declaration,
    /// Code that the parser could not name. It has to be looked at and put in the ledger.
    Other,
}

impl From<Member> for String {
    fn from(member: Member) -> Self {
        format!("{}:{}", member.name, member.line)
    }
}

impl TryFrom<String> for Member {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text
            .split_once(':')
            .and_then(|(name, line)| Some((name.to_owned(), line.parse().ok()?)));
        let (name, line) =
            parts.ok_or_else(|| format!("{text:?} is no member such as \"handed_off:39\""))?;
        Ok(Self { name, line })
    }
}

impl Symbol {
    pub(crate) fn code(&self) -> Lines {
        self.head.union(&self.body)
    }

    /// `Python/lock.c:L53`, as anchors write it.
    pub(crate) fn place(&self) -> String {
        format!("{}:L{}", self.file, self.line)
    }
}

impl Index {
    pub(crate) fn to_toml(&self) -> anyhow::Result<String> {
        Ok(format!("{HEADER}\n{}", toml::to_string(self)?))
    }

    /// The committed index: the one `parity/cpython-VERSION.toml`.
    pub(crate) fn committed(workspace: &Workspace) -> anyhow::Result<(String, Self)> {
        let mut found: Vec<String> = std::fs::read_dir(workspace.path("parity"))
            .context("parity/: cannot list it")?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with("cpython-") && name.ends_with(".toml"))
            .collect();
        found.sort();
        let path = match found.as_slice() {
            [name] => format!("parity/{name}"),
            [] => bail!(
                "parity/: no cpython-VERSION.toml here; write it with `cargo xtask parity index`"
            ),
            several => {
                bail!("parity/: {} pin more than one CPython; keep one", several.join(" and "))
            }
        };
        let advice = "write it anew with `cargo xtask parity index`";
        let (_, index) = toml_file::read(workspace, &path, advice)?;
        Ok((path, index))
    }
}
