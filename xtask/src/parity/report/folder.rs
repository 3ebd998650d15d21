//! Writing the site: all of it or nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Tells an earlier report, which may be replaced, from a folder with something else in it.
const STAMP: &str = ".parity-report";

/// Writes the files, by path inside the folder, which is new, empty or an earlier report.
pub(super) fn write(folder: &Path, files: &BTreeMap<String, String>) -> Result<()> {
    let shown = folder.display();
    if folder.exists() && !folder.is_dir() {
        bail!("{shown}: this is a file; give a folder");
    }
    let is_empty = || fs::read_dir(folder).map(|mut entries| entries.next().is_none());
    if folder.exists() && !folder.join(STAMP).exists() && !is_empty()? {
        bail!("{shown}: neither empty nor an earlier report; give a new folder");
    }
    replace(folder, files).with_context(|| format!("{shown}: cannot write it"))
}

fn replace(folder: &Path, files: &BTreeMap<String, String>) -> std::io::Result<()> {
    // `report/` and `report` are the same place, and so is `.`, which has a parent of its own.
    let folder = std::path::absolute(folder)?;
    let folder: PathBuf = folder.components().collect();
    let parent = folder.parent().unwrap_or(&folder).to_owned();
    fs::create_dir_all(&parent)?;
    let work = tempfile::Builder::new().prefix(".parity-report-").tempdir_in(&parent)?;
    let new = work.path().join("new");
    for (path, contents) in files {
        let path = new.join(path);
        if let Some(inside) = path.parent() {
            fs::create_dir_all(inside)?;
        }
        fs::write(path, contents)?;
    }
    fs::write(new.join(STAMP), "Written by `cargo xtask parity report`, and replaced by it.\n")?;
    if folder.exists() {
        fs::rename(&folder, work.path().join("old"))?;
    }
    fs::rename(new, &folder)
}
