//! Reading the hand-written files of `parity/`.

use anyhow::{Result, anyhow};
use serde::de::DeserializeOwned;

use crate::workspace::{Workspace, line_of};

/// A file and what it says; errors are one line with the place.
pub(crate) fn read<T: DeserializeOwned>(workspace: &Workspace, path: &str, advice: &str) -> Result<(String, T)> {
    let text = workspace.read(path)?;
    let value = toml::from_str(&text).map_err(|error| {
        let line = line_of(&text, error.span().map_or(0, |span| span.start));
        anyhow!("{path}:{line}: {}; {advice}", error.message().trim_end())
    })?;
    Ok((text, value))
}
