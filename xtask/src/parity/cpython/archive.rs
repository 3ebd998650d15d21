//! A release tarball, read to its end: half of one is not a source to audit against.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, IsTerminal, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::source::text;

/// The wanted files of the tarball, by path below its top folder.
pub(super) fn read(path: &Path, wanted: &[&str]) -> Result<BTreeMap<String, String>> {
    members(open(path)?, wanted).with_context(|| damaged(path))
}

pub(crate) fn damaged(path: &Path) -> String {
    format!("{}: cannot be unpacked, truncated or damaged; download it again", path.display())
}

/// The tar stream inside the tarball.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read + '_>> {
    let shown = path.display();
    let mut file = File::open(path).with_context(|| format!("{shown}: cannot read it"))?;
    let mut magic = Vec::new();
    Read::by_ref(&mut file).take(6).read_to_end(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;

    let file = BufReader::new(Impatient::new(file, path));
    Ok(if magic.starts_with(b"\xfd7zXZ\0") {
        Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(file))
    } else if magic.starts_with(b"\x1f\x8b") {
        Box::new(flate2::bufread::MultiGzDecoder::new(file))
    } else if path.extension().is_some_and(|extension| extension == "tar") {
        Box::new(file)
    } else {
        bail!("{shown}: not a folder, a .tar.xz, a .tgz or a .tar; give a CPython source");
    })
}

fn members(
    mut unpacked: Box<dyn Read + '_>,
    wanted: &[&str],
) -> std::io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(&mut unpacked);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let Some(relative) = below_top_folder(&path) else { continue };
        if entry.header().entry_type().is_file() && wanted.contains(&relative.as_str()) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            files.insert(relative, text(bytes));
        }
    }
    // What follows the last member carries the checksums of the compressed stream.
    std::io::copy(&mut unpacked, &mut std::io::sink())?;
    Ok(files)
}

pub(crate) fn below_top_folder(path: &Path) -> Option<String> {
    let mut parts = path.strip_prefix(".").unwrap_or(path).components();
    parts.next()?;
    Some(parts.as_path().to_str()?.to_owned())
}

/// A reader that says what it is busy with when that takes longer than a second.
struct Impatient<'a, R> {
    inner: R,
    path: &'a Path,
    started: Option<Instant>,
}

impl<'a, R> Impatient<'a, R> {
    fn new(inner: R, path: &'a Path) -> Self {
        let started = std::io::stderr().is_terminal().then(Instant::now);
        Self { inner, path, started }
    }
}

impl<R: Read> Read for Impatient<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.started.is_some_and(|started| started.elapsed() > Duration::from_secs(1)) {
            self.started = None;
            anstream::eprintln!("reading {} ...", self.path.display());
        }
        self.inner.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::below_top_folder;

    #[test]
    fn strips_the_release_name() {
        let below = |path| below_top_folder(Path::new(path));
        assert_eq!(below("Python-3.13.15/Python/lock.c").as_deref(), Some("Python/lock.c"));
        assert_eq!(below("./cpython/Include/pythread.h").as_deref(), Some("Include/pythread.h"));
        assert_eq!(below("cpython"), Some(String::new()));
    }
}
