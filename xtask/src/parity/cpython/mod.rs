//! CPython's source: which files the audit covers, and how they are read.

pub(crate) mod archive;
mod source;

pub(crate) use source::Source;

/// A file whose symbols are accounted for.
pub(crate) struct Covered {
    pub(crate) path: &'static str,
    /// Of a file that is mostly about other things, the one symbol that counts.
    pub(crate) only: Option<&'static str>,
}

const fn all_of(path: &'static str) -> Covered {
    Covered { path, only: None }
}

/// The eleven files, in the order in which the tables show them.
pub(crate) const COVERED: [Covered; 11] = [
    all_of("Python/lock.c"),
    all_of("Python/parking_lot.c"),
    all_of("Python/critical_section.c"),
    all_of("Include/internal/pycore_lock.h"),
    all_of("Include/internal/pycore_parking_lot.h"),
    all_of("Include/internal/pycore_semaphore.h"),
    all_of("Include/internal/pycore_critical_section.h"),
    all_of("Include/cpython/lock.h"),
    all_of("Include/cpython/critical_section.h"),
    Covered { path: "Include/cpython/modsupport.h", only: Some("_PyOnceFlag") },
    Covered { path: "Include/pythread.h", only: Some("PyLockStatus") },
];

/// Where the version stands.
pub(crate) const PATCHLEVEL: &str = "Include/patchlevel.h";

/// Position of a file in [`COVERED`], for sorting; unknown files come last.
pub(crate) fn rank(path: &str) -> usize {
    COVERED.iter().position(|covered| covered.path == path).unwrap_or(COVERED.len())
}

pub(crate) fn is_covered(path: &str) -> bool {
    rank(path) < COVERED.len()
}

/// `Include/cpython/lock.h` as people say it: `lock.h`. No two covered files share a name.
pub(crate) fn short(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
