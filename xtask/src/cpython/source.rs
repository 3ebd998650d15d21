//! CPython's source: unpacked once, or linked to.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::command::{say, seconds};
use super::work::Work;
use crate::parity::cpython::archive;

/// Sees to it that `source/` is there; returns its version.
pub(crate) fn prepare(work: &Work, given: Option<&Path>) -> Result<String> {
    let source = work.source();
    let origin = work.root.join("source.from");
    if let Some(given) = given {
        let given = given
            .canonicalize()
            .with_context(|| format!("{}: no such CPython source", given.display()))?;
        let from = identity(&given)?;
        match fs::read_to_string(&origin) {
            Ok(before) if source.is_dir() && before == from => {}
            Ok(before) if source.is_dir() => bail!(
                "{}: built from {}; give another --work for another source",
                work.root.display(),
                before.lines().next().unwrap_or("another source")
            ),
            _ => {
                if given.is_dir() {
                    link(&given, &source)?
                } else {
                    unpack(&given, work)?
                }
                fs::write(&origin, from)?;
            }
        }
    } else if !source.is_dir() {
        bail!("no CPython source in {} yet: give --source DIR|TARBALL", work.root.display());
    }
    version(&source)
}

/// The path, and what tells a file from another of that name.
fn identity(given: &Path) -> Result<String> {
    let metadata = fs::metadata(given)?;
    let size = if metadata.is_file() { metadata.len() } else { 0 };
    Ok(format!("{}\n{size}\n", given.display()))
}

fn link(given: &Path, source: &Path) -> Result<()> {
    if given.join("pyconfig.h").exists() || given.join("Makefile").exists() {
        bail!(
            "{}: has been configured, and a build elsewhere would pick up its files; give a clean source",
            given.display()
        );
    }
    version(given)?;
    #[cfg(unix)]
    std::os::unix::fs::symlink(given, source).with_context(|| source.display().to_string())?;
    Ok(())
}

fn unpack(tarball: &Path, work: &Work) -> Result<()> {
    let started = Instant::now();
    // Under another name until it is whole.
    let partial = work.root.join("source.partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| partial.display().to_string())?;
    }
    let mut stream = archive::open(tarball)?;
    let mut unpack = || -> std::io::Result<()> {
        for entry in tar::Archive::new(&mut stream).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let Some(relative) = archive::below_top_folder(&path) else { continue };
            let climbs = Path::new(&relative).components().any(|part| part.as_os_str() == "..");
            if relative.is_empty() || climbs {
                continue;
            }
            let target = partial.join(relative);
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder)?;
            }
            entry.unpack(target)?;
        }
        // What follows the last member carries the checksums.
        std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
    };
    unpack().with_context(|| archive::damaged(tarball))?;
    version(&partial)?;
    fs::rename(&partial, work.source()).with_context(|| work.source().display().to_string())?;
    say(&format!("{:<44} {}", "source: unpacked", seconds(started.elapsed())));
    Ok(())
}

fn version(source: &Path) -> Result<String> {
    let header = source.join("Include/patchlevel.h");
    let text = fs::read_to_string(&header)
        .with_context(|| format!("{}: not a CPython source", source.display()))?;
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("#define PY_VERSION"))
        .map(|version| version.trim().trim_matches('"').to_owned())
        .with_context(|| format!("{}: names no version", header.display()))?;
    if !version.starts_with("3.13.") {
        bail!("this is CPython {version}; the drop-in stands in for the locks of 3.13");
    }
    Ok(version)
}
