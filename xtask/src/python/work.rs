//! The work folder: what is where in it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::cli::Python;
use super::interpreter::Interpreter;
use crate::workspace::Workspace;

/// A folder to build in. Each Python has a folder in it.
///
/// | path | what |
/// |---|---|
/// | `cargo/` | cargo's target folder, of all |
/// | `3.11/tools/` | an environment with what builds |
/// | `3.11/wheel/`, `3.11/sdist/` | what was built |
/// | `3.11/installed/` | an environment with the wheel and with what tests it |
/// | `3.11/logs/` | what the tools said |
pub(crate) struct Work {
    root: PathBuf,
    /// The folder `crates/python`.
    pub(crate) package: PathBuf,
    pub(crate) groups: Groups,
}

/// The tools, as requirements for pip.
#[derive(Deserialize)]
pub(crate) struct Groups {
    pub(crate) build: Vec<String>,
    pub(crate) test: Vec<String>,
    pub(crate) examples: Vec<String>,
    pub(crate) types: Vec<String>,
}

#[derive(Deserialize)]
struct Project {
    #[serde(rename = "dependency-groups")]
    groups: Groups,
}

impl Work {
    pub(crate) fn open(workspace: &Workspace, python: &Python) -> Result<Self> {
        let root = python.work.clone().unwrap_or_else(|| workspace.path("target/python"));
        fs::create_dir_all(&root).with_context(|| {
            format!("{}: cannot create it; give another --work", root.display())
        })?;
        let project = "crates/python/pyproject.toml";
        let Project { groups } =
            toml::from_str(&workspace.read(project)?).with_context(|| project.to_owned())?;
        let package = workspace.path("crates/python").canonicalize()?;
        Ok(Self { root: root.canonicalize()?, package, groups })
    }

    pub(crate) fn cargo(&self) -> PathBuf {
        self.root.join("cargo")
    }

    /// A folder of an interpreter's.
    pub(crate) fn folder(&self, interpreter: &Interpreter, name: &str) -> PathBuf {
        self.root.join(&interpreter.name).join(name)
    }

    /// The folder with the wheel that an interpreter can use.
    pub(crate) fn wheels(&self, interpreter: &Interpreter) -> PathBuf {
        let of = interpreter.wheel_of.as_ref().unwrap_or(&interpreter.name);
        self.root.join(of).join("wheel")
    }

    /// Where a tool writes what it has to say.
    pub(crate) fn log(&self, interpreter: &Interpreter, name: &str) -> Result<PathBuf> {
        let folder = self.folder(interpreter, "logs");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(folder.join(format!("{name}.log")))
    }

    /// A program of ours, with nothing of the caller's environment that leads elsewhere.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        let others = [
            "MAKEFLAGS",
            "CARGO_MAKEFLAGS",
            "CARGO_BUILD_TARGET",
            "LD_LIBRARY_PATH",
            "PYTHONHOME",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "VIRTUAL_ENV",
            "CONDA_PREFIX",
        ];
        for variable in others {
            command.env_remove(variable);
        }
        command.env("CARGO_TARGET_DIR", self.cargo());
        command
    }
}

/// The only file in `folder` whose name ends in `end`.
pub(crate) fn only(folder: &Path, end: &str) -> Result<PathBuf> {
    let shown = || folder.display().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(shown)? {
        let path = entry.with_context(shown)?.path();
        if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    let count = found.len();
    match found.pop() {
        Some(path) if count == 1 => Ok(path),
        _ => anyhow::bail!("{}: {count} files that end in {end}, and not one", folder.display()),
    }
}

/// A folder without anything in it.
pub(crate) fn emptied(folder: PathBuf) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}
