//! The C's own PyMutex, out of a free-threaded CPython build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result, anyhow, bail};
use libloading::Library;

use super::contender::BareLock;

type LockFn = unsafe extern "C" fn(*const AtomicU8);

struct Functions {
    lock: LockFn,
    unlock: LockFn,
}

static FUNCTIONS: OnceLock<Functions> = OnceLock::new();

/// Finds PyMutex in `dir`, the build folder of a free-threaded CPython, and says where it was.
///
/// A shared libpython is loaded as it is; that works without an interpreter, since a thread
/// without a state is not detached. From a static build the two unmodified objects that make up
/// the lock are linked with stubs for the rest.
pub(crate) fn load(dir: &Path) -> Result<String> {
    if !dir.is_dir() {
        bail!("--libpython {}: no such folder", dir.display());
    }
    let objects = ["Python/lock.o", "Python/parking_lot.o"].map(|object| dir.join(object));
    let shared = shared_library(dir);
    let (library, from) = if let Some(path) = &shared {
        (open(path)?, path.display().to_string())
    } else if objects.iter().all(|object| object.is_file()) {
        if !is_free_threaded(dir) {
            bail!(
                "--libpython {}: not a free-threaded build (pyconfig.h lacks Py_GIL_DISABLED)",
                dir.display()
            );
        }
        (link(&objects)?, format!("{} and {}", objects[0].display(), objects[1].display()))
    } else {
        bail!(
            "--libpython {}: neither a libpython3.*t.so nor Python/lock.o with \
             Python/parking_lot.o is there; give the build folder of a free-threaded CPython",
            dir.display()
        );
    };
    // SAFETY: both take a pointer to a byte and return nothing, in every version that has them.
    let functions = unsafe {
        let find = |name: &str| -> Result<LockFn> {
            let symbol = library.get::<LockFn>(name).map_err(|_| anyhow!("{from}: no {name}"))?;
            Ok(*symbol)
        };
        Functions { lock: find("PyMutex_Lock")?, unlock: find("PyMutex_Unlock")? }
    };
    // Its code must stay for as long as there are threads that may be in it.
    std::mem::forget(library);
    let _ = FUNCTIONS.set(functions);
    Ok(from)
}

/// `libpython3.13t.so` or a version of it; the `t` says free-threaded.
fn shared_library(dir: &Path) -> Option<PathBuf> {
    let names =
        std::fs::read_dir(dir).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<String> =
        names.filter(|name| name.starts_with("libpython3.") && name.contains("t.so")).collect();
    found.sort();
    found.first().map(|name| dir.join(name))
}

fn is_free_threaded(dir: &Path) -> bool {
    let config = std::fs::read_to_string(dir.join("pyconfig.h")).unwrap_or_default();
    config.lines().any(|line| line.trim() == "#define Py_GIL_DISABLED 1")
}

fn link(objects: &[PathBuf]) -> Result<Library> {
    let dir = tempfile::tempdir().context("a temporary folder to link CPython's objects in")?;
    let (stubs, output) = (dir.path().join("stubs.c"), dir.path().join("pymutex.so"));
    std::fs::write(&stubs, include_str!("stubs.c"))?;
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let result = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O2", "-Wl,-Bsymbolic", "-o"])
        .arg(&output)
        .arg(&stubs)
        .args(objects)
        .arg("-pthread")
        .output()
        .with_context(|| {
            format!("{compiler}: cannot be run; it is needed to link CPython's objects")
        })?;
    if !result.status.success() {
        let errors = String::from_utf8_lossy(&result.stderr);
        let first = errors.lines().find(|line| line.contains("error")).unwrap_or("no message");
        bail!("{compiler} could not link CPython's objects: {first}");
    }
    open(&output)
}

fn open(path: &Path) -> Result<Library> {
    // SAFETY: initialising libpython, or two C objects, does nothing that could go wrong here.
    let library = unsafe { Library::new(path) };
    library.with_context(|| format!("{}: cannot be loaded", path.display()))
}

/// PyMutex as C code uses it: the header inlines the uncontended way, the rest is a call.
pub(crate) struct PyMutex(AtomicU8);

impl BareLock for PyMutex {
    fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    #[inline(always)]
    fn lock(&self) {
        if self.0.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            // SAFETY: a PyMutex is a byte, and this is one.
            unsafe { (functions().lock)(&raw const self.0) };
        }
    }

    #[inline(always)]
    fn unlock(&self) {
        if self.0.compare_exchange(1, 0, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            // SAFETY: as above, and it is locked.
            unsafe { (functions().unlock)(&raw const self.0) };
        }
    }
}

#[cold]
fn functions() -> &'static Functions {
    FUNCTIONS.get().expect("the contender is only there once its library is loaded")
}
