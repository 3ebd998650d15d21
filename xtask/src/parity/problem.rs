//! What the audit complains about.

use std::fmt;

use serde::Serialize;

/// One finding, shown as `path:line: message` so that editors can jump to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Problem {
    pub(crate) path: String,
    pub(crate) line: u32,
    pub(crate) message: String,
    /// The C file and the C symbol that it is about, where it is about one.
    #[serde(skip)]
    pub(crate) about: Option<(String, String)>,
}

impl Problem {
    pub(crate) fn new(path: &str, line: u32, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into(), about: None }
    }

    pub(crate) fn about(mut self, file: &str, symbol: &str) -> Self {
        self.about = Some((file.to_owned(), symbol.to_owned()));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}
