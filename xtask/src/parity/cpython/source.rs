//! A CPython source tree: a folder or a release tarball.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{COVERED, PATCHLEVEL, archive};

/// The first release with the files that the audit covers.
const OLDEST: (u32, u32) = (3, 13);

/// What the audit reads of a CPython source tree.
pub(crate) struct Source {
    pub(crate) version: Version,
    /// By path inside the tree.
    pub(crate) files: BTreeMap<String, String>,
    /// Covered headers that this version has no more.
    pub(crate) missing: Vec<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
    /// As CPython writes it: `3.13.15`, `3.15.0a7+`.
    pub(crate) text: String,
}

impl Source {
    /// Reads a folder or a `.tar.xz`, `.tgz` or `.tar` file of a CPython release.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        if !path.exists() {
            bail!(
                "{shown}: no such file or folder; give a CPython source folder or release tarball"
            );
        }
        let wanted: Vec<&str> =
            COVERED.iter().map(|covered| covered.path).chain([PATCHLEVEL]).collect();
        let mut files =
            if path.is_dir() { read_folder(path, &wanted)? } else { archive::read(path, &wanted)? };

        let Some(patchlevel) = files.remove(PATCHLEVEL) else {
            bail!(
                "{shown}: not a CPython source, it has no {PATCHLEVEL}; give the folder that holds Include/ and Python/, or a release tarball"
            );
        };
        let version = Version::parse(&patchlevel).with_context(|| {
            format!("{shown}: {PATCHLEVEL} names no version; give an unmodified CPython source")
        })?;
        if (version.major, version.minor) < OLDEST {
            bail!(
                "{shown}: this is CPython {version}, which has no free-threading synchronization layer; give 3.13 or later"
            );
        }
        let mut missing = Vec::new();
        let whole = COVERED.iter().filter(|covered| covered.only.is_none());
        for covered in whole.filter(|covered| !files.contains_key(covered.path)) {
            // Headers come and go between versions. Without the C files there is no layer, and
            // the first version had them all.
            let later = (version.major, version.minor) > OLDEST && covered.path.ends_with(".h");
            if !later {
                bail!(
                    "{shown}: CPython {version} without {}; give a complete source",
                    covered.path
                );
            }
            missing.push(covered.path);
        }
        Ok(Self { version, files, missing })
    }

    /// What was in a header that is gone counts as removed; somebody should know why.
    pub(crate) fn mention_missing(&self) {
        for path in &self.missing {
            anstream::eprintln!("note: CPython {} has no {path}", self.version);
        }
    }
}

fn read_folder(folder: &Path, wanted: &[&str]) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for relative in wanted {
        let path = folder.join(relative);
        if path.is_file() {
            let bytes = std::fs::read(&path)
                .with_context(|| format!("{}: cannot read it", path.display()))?;
            files.insert((*relative).to_owned(), text(bytes));
        }
    }
    Ok(files)
}

/// CPython's sources are UTF-8; should a byte not be, it is in a comment and a replacement
/// character there does no harm.
pub(super) fn text(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    // A checkout on Windows; line numbers and hashes are the same either way.
    if text.contains('\r') { text.replace("\r\n", "\n") } else { text }
}

impl Version {
    fn parse(patchlevel: &str) -> Option<Self> {
        let value = |name: &str| {
            patchlevel.lines().find_map(|line| {
                let mut words = line.split_ascii_whitespace();
                (words.next() == Some("#define") && words.next() == Some(name))
                    .then(|| words.next())
                    .flatten()
            })
        };
        Some(Self {
            major: value("PY_MAJOR_VERSION")?.parse().ok()?,
            minor: value("PY_MINOR_VERSION")?.parse().ok()?,
            text: value("PY_VERSION")?.trim_matches('"').to_owned(),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Version, text};

    #[test]
    fn reads_the_version() {
        let header = "#define PY_MAJOR_VERSION 3\n#define PY_MINOR_VERSION  15\n\
                      #define PY_VERSION   \"3.15.0a7+\"\n";
        let version = Version::parse(header).unwrap();
        assert_eq!((version.major, version.minor), (3, 15));
        assert_eq!(version.to_string(), "3.15.0a7+");
        assert_eq!(Version::parse("#define PY_MAJOR_VERSION x"), None);
    }

    #[test]
    fn survives_windows_lines_and_stray_bytes() {
        assert_eq!(text(b"a\r\nb\xff\r\n".to_vec()), "a\nb\u{fffd}\n");
    }
}
