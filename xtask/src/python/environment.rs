//! Environments: a Python with packages of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::interpreter::Interpreter;
use super::work::{Work, emptied};
use crate::cpython::command::run;

/// What pip says if it cannot reach the package index, or finds nothing there.
const NO_INDEX: [&str; 4] = [
    "NewConnectionError",
    "ConnectTimeoutError",
    "No matching distribution",
    "Could not find a version",
];

pub(crate) struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// A new one in the folder `name` of the interpreter.
    pub(crate) fn create(work: &Work, interpreter: &Interpreter, name: &str) -> Result<Self> {
        let folder = emptied(work.folder(interpreter, name))?;
        let mut command = work.command(&interpreter.path);
        command.args(["-m", "venv"]).arg(&folder);
        let log = work.log(interpreter, &format!("{name}-venv"))?;
        run(&format!("{}: environment {name}", interpreter.name), &mut command, &log, None)?;
        Ok(Self { folder })
    }

    /// One with the tools that build. It is made once for each set of tools.
    pub(crate) fn tools(work: &Work, interpreter: &Interpreter) -> Result<Self> {
        let folder = work.folder(interpreter, "tools");
        let stamp = folder.join("pysync-tools");
        let python = interpreter.path.display();
        let wanted = format!("{python}\n{}\n", work.groups.build.join("\n"));
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(Self { folder });
        }
        let tools = Self::create(work, interpreter, "tools")?;
        tools.install(work, interpreter, &work.groups.build)?;
        fs::write(&stamp, wanted)?;
        Ok(tools)
    }

    pub(crate) fn python(&self) -> PathBuf {
        self.program("python")
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// Its programs before those of the caller.
    pub(crate) fn path(&self) -> String {
        let path = std::env::var("PATH").unwrap_or_default();
        format!("{}:{path}", self.folder.join("bin").display())
    }

    /// pip, of this environment.
    pub(crate) fn pip(&self, work: &Work) -> Command {
        let mut command = work.command(self.python());
        command.args(["-m", "pip", "--no-input", "--disable-pip-version-check"]);
        command
    }

    /// Installs packages from the package index.
    pub(crate) fn install(
        &self,
        work: &Work,
        interpreter: &Interpreter,
        packages: &[String],
    ) -> Result<()> {
        let log = work.log(interpreter, &format!("pip-{}", self.name()))?;
        let mut command = self.pip(work);
        // An older version that is built, and not a newer one that would have to be.
        command.args(["install", "--prefer-binary"]).args(packages);
        let title = format!("{}: pip install {}", interpreter.name, packages.join(" "));
        let Err(error) = run(&title, &mut command, &log, None) else {
            return Ok(());
        };
        let said = fs::read_to_string(&log).unwrap_or_default();
        if NO_INDEX.iter().any(|words| said.contains(words)) {
            bail!(
                "missing: {} from the package index, which pip cannot reach or which does not have it; \
                 connect the machine, or set PIP_INDEX_URL or PIP_FIND_LINKS (the log: {})",
                packages.join(" "),
                log.display()
            );
        }
        Err(error)
    }

    /// Installs the wheel, and nothing from elsewhere.
    pub(crate) fn install_wheel(
        &self,
        work: &Work,
        interpreter: &Interpreter,
        wheel: &Path,
    ) -> Result<()> {
        let log = work.log(interpreter, "pip-wheel")?;
        let mut command = self.pip(work);
        command.args(["install", "--no-index"]).arg(wheel);
        run(&format!("{}: pip install of the wheel", interpreter.name), &mut command, &log, None)
    }

    fn name(&self) -> String {
        self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}
