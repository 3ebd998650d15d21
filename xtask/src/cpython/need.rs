//! What the machine must have, looked at before the work and not in the middle of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, Result, bail};

use super::command::output;
use super::work::Work;

/// Megabytes that a source and three builds take.
const DISK: u64 = 2_000;

/// Headers of the C library without which there is nothing to configure.
const HEADERS: [&str; 4] = ["stdio.h", "pthread.h", "semaphore.h", "sys/types.h"];

pub(crate) fn check(work: &Work, nothing_built: bool) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("the objects are replaced with the tools of an ELF system, and tried on Linux only");
    }
    let cc = compiler();
    let tools = [
        (cc.as_str(), "a C compiler (Debian: gcc; or set CC)"),
        ("make", "make (Debian: make)"),
        ("ld", "a linker (Debian: binutils)"),
        ("objcopy", "objcopy (Debian: binutils)"),
        ("nm", "nm (Debian: binutils)"),
        ("addr2line", "addr2line (Debian: binutils)"),
        ("cp", "cp"),
    ];
    for (tool, what) in tools {
        if find(tool).is_none() {
            bail!("missing: {what}");
        }
    }
    for header in HEADERS {
        let source = work.root.join("logs/header.c");
        fs::write(&source, format!("#include <{header}>\n"))?;
        let mut words = cc.split_whitespace();
        let found = Command::new(words.next().unwrap_or("cc"))
            .args(words)
            .arg("-E")
            .arg(&source)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("the C compiler")?;
        if !found.success() {
            bail!("missing: the header <{header}> of the C library (Debian: libc6-dev)");
        }
    }
    if nothing_built {
        let free = free_megabytes(&work.root)?;
        if free < DISK {
            bail!(
                "missing: disk space, {free} MB are free in {} and {DISK} are needed; give another --work",
                work.root.display()
            );
        }
    }
    Ok(())
}

pub(crate) fn compiler() -> String {
    env::var("CC").ok().filter(|cc| !cc.trim().is_empty()).unwrap_or_else(|| "cc".to_owned())
}

fn find(tool: &str) -> Option<PathBuf> {
    let tool = tool.split_whitespace().next()?;
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(tool)).find(|file| file.is_file())
}

fn free_megabytes(folder: &Path) -> Result<u64> {
    let table = output(Command::new("df").arg("-Pk").arg(folder))?;
    let free = table.lines().nth(1).and_then(|line| line.split_whitespace().nth(3));
    Ok(free.and_then(|free| free.parse::<u64>().ok()).context("df: no free space in its table")?
        / 1024)
}
