//! The three objects, made of our static library.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cli::Sanitizer;
use super::command::{output, run as run_tool};
use super::need;
use super::work::{Variant, Work};
use crate::workspace::Workspace;

/// The objects of CPython's that are replaced.
pub(crate) const OBJECTS: [&str; 3] = ["lock", "parking_lot", "critical_section"];

/// What takes the place of the three.
pub(crate) struct Objects {
    /// All of ours, for the first.
    ours: PathBuf,
    /// Nothing, for the other two.
    empty: PathBuf,
}

pub(crate) fn objects(workspace: &Workspace, work: &Work, variant: Variant) -> Result<Objects> {
    let folder = work.root.join("pysync/objects").join(work.tagged(variant.name()));
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let library = static_library(workspace, work, variant)?;

    let wanted = symbols(work)?;
    let found = defined(&library)?;
    let missing: Vec<&str> = wanted.difference(&found).map(String::as_str).collect();
    if !missing.is_empty() {
        bail!("pysync-capi lacks {}, which CPython's objects define", missing.join(", "));
    }

    // One relocatable object of what the symbols need; of its names only those stay global.
    let whole = folder.join("whole.o");
    let undefined = wanted.iter().flat_map(|symbol| ["-u", symbol.as_str()]);
    let mut link = Command::new("ld");
    link.arg("-r").arg("-o").arg(&whole).args(undefined).arg(&library);
    output(&mut link)?;
    let names = folder.join("symbols");
    fs::write(&names, wanted.iter().map(|symbol| format!("{symbol}\n")).collect::<String>())?;
    let ours = folder.join("lock.o");
    let mut localize = Command::new("objcopy");
    // LLVM's bitcode sections are of no use here, and some `ar` stumble over them.
    localize.args(["--remove-section", ".llvmbc", "--remove-section", ".llvmcmd"]);
    if work.sanitizer == Some(Sanitizer::Thread) {
        // LLVM's names, which an older GCC's runtime lacks; it intercepts the plain ones.
        for function in ["memcpy", "memmove", "memset"] {
            localize.arg("--redefine-sym").arg(format!("__tsan_{function}={function}"));
        }
    }
    localize.arg(format!("--keep-global-symbols={}", names.display())).arg(&whole).arg(&ours);
    output(&mut localize)?;

    let source = folder.join("empty.c");
    fs::write(&source, "typedef int pysync_has_taken_its_place;\n")?;
    let empty = folder.join("empty.o");
    let cc = need::compiler();
    let mut words = cc.split_whitespace();
    let mut compile = Command::new(words.next().unwrap_or("cc"));
    compile.args(words).arg("-c").arg("-o").arg(&empty).arg(&source);
    output(&mut compile)?;
    Ok(Objects { ours, empty })
}

/// Puts the objects into a build folder; false if they were there already.
pub(crate) fn install(objects: &Objects, folder: &Path) -> Result<bool> {
    let mut changed = false;
    for (position, name) in OBJECTS.iter().enumerate() {
        let ours = if position == 0 { &objects.ours } else { &objects.empty };
        let theirs = folder.join(format!("Python/{name}.o"));
        let bytes = fs::read(ours).with_context(|| ours.display().to_string())?;
        if fs::read(&theirs).ok().as_deref() != Some(&bytes) {
            fs::write(&theirs, bytes).with_context(|| theirs.display().to_string())?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Every symbol that the three C objects define for others.
pub(crate) fn symbols(work: &Work) -> Result<BTreeSet<String>> {
    let mut symbols = BTreeSet::new();
    for name in OBJECTS {
        let object = work.folder(Variant::Baseline).join(format!("Python/{name}.o"));
        symbols.extend(defined(&object)?);
    }
    Ok(symbols)
}

fn defined(file: &Path) -> Result<BTreeSet<String>> {
    // (For an archive with bitcode nm also complains, on stderr.)
    let table = output(Command::new("nm").args(["-g", "--defined-only"]).arg(file))?;
    Ok(table.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect())
}

fn static_library(workspace: &Workspace, work: &Work, variant: Variant) -> Result<PathBuf> {
    let mut target = work.root.join("pysync");
    let mut flags = String::new();
    if variant == Variant::Faithful {
        target.push(variant.name());
        flags += "--cfg pysync_faithful ";
    }
    let profile = if work.debug { "dropin-debug" } else { "dropin" };
    let (mut command, folder) = match (work.sanitizer, nightly_host()) {
        (Some(sanitizer), Some(host)) => {
            flags +=
                &format!("-Zsanitizer={} -Cunsafe-allow-abi-mismatch=sanitizer", sanitizer.name());
            let target = target.join(sanitizer.name());
            let mut command = Command::new("cargo");
            // (With a target named, build scripts are built without these flags.)
            command.args(["+nightly", "rustc", "--target", &host, "--target-dir"]).arg(&target);
            command.env_remove("RUSTUP_TOOLCHAIN");
            (command, target.join(host))
        }
        _ => {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut command = Command::new(cargo);
            command.args(["rustc", "--target-dir"]).arg(&target);
            (command, target)
        }
    };
    command
        .current_dir(workspace.root())
        .args(["--package", "pysync-capi", "--lib", "--crate-type", "staticlib"])
        .args(["--profile", profile])
        // Its headers are what the layouts are taken from.
        .env("PYSYNC_CPYTHON", work.folder(Variant::Baseline));
    if !flags.is_empty() {
        command.env("RUSTFLAGS", flags.trim_end());
    }
    run_tool("pysync: static library", &mut command, &work.log("pysync"), None)?;
    Ok(folder.join(profile).join("libpysync_capi.a"))
}

/// The platform of the nightly toolchain, if there is one.
fn nightly_host() -> Option<String> {
    let mut rustc = Command::new("rustc");
    let about = output(rustc.args(["+nightly", "-vV"]).env_remove("RUSTUP_TOOLCHAIN")).ok()?;
    about.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}
