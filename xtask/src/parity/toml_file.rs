//! Reading the TOML files of `parity/`.

use std::path::Path;

use anyhow::{Result, anyhow};
use serde::de::DeserializeOwned;

use crate::workspace::{Workspace, line_of};

/// A file and what it says. An error is one line: the place, what is wrong, and the advice.
pub(crate) fn read<T: DeserializeOwned>(
    workspace: &Workspace,
    path: &str,
    advice: &str,
) -> Result<(String, T)> {
    let text = workspace.read(path).map_err(|error| anyhow!("{error:#}; {advice}"))?;
    let value = parse(path, &text, advice)?;
    Ok((text, value))
}

/// The same for a file outside of the workspace.
pub(crate) fn read_path<T: DeserializeOwned>(path: &Path, advice: &str) -> Result<T> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| anyhow!("{shown}: cannot read it: {error}; {advice}"))?;
    parse(&shown, &text, advice)
}

fn parse<T: DeserializeOwned>(path: &str, text: &str, advice: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        anyhow!("{path}:{line}: {}; {advice}", error.message().trim_end())
    })
}
