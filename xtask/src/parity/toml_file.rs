//! Reading the TOML files of `parity/`.

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
    let value = toml::from_str(&text).map_err(|error| {
        let line = line_of(&text, error.span().map_or(0, |span| span.start));
        anyhow!("{path}:{line}: {}; {advice}", error.message().trim_end())
    })?;
    Ok((text, value))
}
