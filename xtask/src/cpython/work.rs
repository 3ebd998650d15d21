//! The work folder: what is where in it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};

use super::cli::{Cpython, Sanitizer};
use crate::workspace::Workspace;

/// A folder to build in.
///
/// | path | what |
/// |---|---|
/// | `source/` | CPython's source, unpacked, or a link to it |
/// | `baseline/`, `baseline-debug/`, … | CPython as it is |
/// | `rust/`, `rust-debug/`, … | the same with pysync in it |
/// | `faithful/`, … | the same with pysync built to wait as C does, for lockbench |
/// | `pysync/` | cargo's target folder for the static library, and the objects made of it |
/// | `logs/`, `results/`, `report/` | what the tools said, each run, and the comparison |
pub(crate) struct Work {
    pub(crate) root: PathBuf,
    pub(crate) jobs: usize,
    pub(crate) debug: bool,
    pub(crate) sanitizer: Option<Sanitizer>,
}

/// Which of the interpreters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// CPython as it is.
    Baseline,
    /// CPython with pysync in it.
    Rust,
    /// CPython with pysync in it, without deviation D10. Only measured.
    Faithful,
}

impl Variant {
    pub(crate) const BOTH: [Self; 2] = [Self::Baseline, Self::Rust];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Rust => "rust",
            Self::Faithful => "faithful",
        }
    }
}

impl Work {
    pub(crate) fn open(workspace: &Workspace, cpython: &Cpython) -> Result<Self> {
        let root = cpython.work.clone().unwrap_or_else(|| workspace.path("target/cpython"));
        fs::create_dir_all(root.join("logs")).with_context(|| {
            format!("{}: cannot create it; give another --work", root.display())
        })?;
        let root = root.canonicalize()?;
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = cpython.jobs.unwrap_or_else(processors).max(1);
        Ok(Self { root, jobs, debug: cpython.pydebug, sanitizer: cpython.sanitize })
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.root.join("source")
    }

    pub(crate) fn folder(&self, variant: Variant) -> PathBuf {
        self.root.join(self.tagged(variant.name()))
    }

    pub(crate) fn python(&self, variant: Variant) -> PathBuf {
        self.folder(variant).join("python")
    }

    /// `name`, marked with the kind of build that it belongs to, if that is not the plain one.
    pub(crate) fn tagged(&self, name: &str) -> String {
        let debug = if self.debug { "-debug" } else { "" };
        let sanitizer = self.sanitizer.map(|sanitizer| format!("-{}", sanitizer.name()));
        format!("{name}{debug}{}", sanitizer.unwrap_or_default())
    }

    /// What one of the interpreters, or make, is run with.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, variant: Variant) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder(variant));
        // Of the cargo that runs us, and no business of CPython's.
        for variable in ["MAKEFLAGS", "CARGO_MAKEFLAGS", "LD_LIBRARY_PATH"] {
            command.env_remove(variable);
        }
        match self.sanitizer {
            // CPython keeps a good deal to its end.
            Some(Sanitizer::Address) => {
                command.env("ASAN_OPTIONS", "detect_leaks=0:allocator_may_return_null=1");
            }
            Some(Sanitizer::Thread) => {
                let theirs = self.source().join("Tools/tsan/suppressions_free_threading.txt");
                // What it reports is compared, and does not turn a test into a failure.
                let options = format!("suppressions={} exitcode=0", theirs.display());
                command.env("TSAN_OPTIONS", options);
            }
            None => {}
        }
        command
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{}.log", self.tagged(name)))
    }

    /// A file below `report/`, whose folder exists.
    pub(crate) fn report(&self, name: &str, extension: &str) -> Result<PathBuf> {
        let folder = self.root.join("report");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(folder.join(format!("{}.{extension}", self.tagged(name))))
    }

    /// Tells one build of an interpreter from the next.
    pub(crate) fn stamp(&self, variant: Variant) -> Result<String> {
        let python = self.python(variant);
        let metadata = fs::metadata(&python).with_context(|| python.display().to_string())?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(format!("{}-{}", metadata.len(), modified.as_nanos()))
    }
}

/// A file that says that a step is done, written as its last act.
pub(crate) struct Stamp(PathBuf);

impl Stamp {
    pub(crate) fn new(folder: &Path, step: &str) -> Self {
        Self(folder.join(format!(".pysync-{step}")))
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_file()
    }

    pub(crate) fn set(&self) -> Result<()> {
        fs::write(&self.0, "").with_context(|| self.0.display().to_string())
    }
}
