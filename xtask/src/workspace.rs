//! The checkout that a command works on: where it is, and how its files are read and written.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A checkout of this workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Opens `root`, or else the workspace that cargo is running this program from, or else the
    /// one around the current directory.
    pub(crate) fn open(root: Option<PathBuf>) -> Result<Self> {
        if let Some(root) = root {
            if !root.join("Cargo.toml").is_file() {
                bail!("{}: no Cargo.toml here; give --root a checkout", root.display());
            }
            return Ok(Self { root });
        }
        // Read at run time: a target directory may be shared between checkouts.
        let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
            Some(manifest_dir) => PathBuf::from(manifest_dir),
            None => std::env::current_dir().context("the current directory")?,
        };
        let root = start
            .ancestors()
            .find(|dir| dir.join("parity").is_dir() && dir.join("xtask").is_dir())
            .with_context(|| {
                format!("{}: not inside the workspace; give --root", start.display())
            })?;
        Ok(Self { root: root.to_owned() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// The text of a file of the workspace; errors name it by its relative path.
    pub(crate) fn read(&self, relative: &str) -> Result<String> {
        std::fs::read_to_string(self.path(relative))
            .with_context(|| format!("{relative}: cannot read it"))
    }
}

/// Writes the whole file or nothing: a reader never sees half of it, and a failure leaves what
/// was there before.
pub(crate) fn write_whole(path: &Path, contents: &str) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".xtask-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(contents.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("{}: cannot write it", path.display()))
}

/// The 1-based line that holds byte `offset`.
pub(crate) fn line_of(text: &str, offset: usize) -> u32 {
    let before = &text.as_bytes()[..offset.min(text.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count() as u32
}
