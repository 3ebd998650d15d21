//! Takes the layouts from the C headers: those of the CPython that `PYSYNC_CPYTHON` names, or else
//! `include/pysync.h`.
//!
//! `layout/layout.c` is compiled to assembly with the program's own compiler. It refuses headers
//! of the wrong version and symbols of another type, and leaves a marker for each number; they
//! become the constants of `layout.rs`, which the Rust types are held against.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=PYSYNC_CPYTHON");
    println!("cargo::rerun-if-changed=layout/layout.c");
    println!("cargo::rerun-if-changed=include/pysync.h");
    if env::var_os("CARGO_CFG_UNIX").is_none() {
        // The crate is empty there.
        return;
    }
    let headers = match env::var_os("PYSYNC_CPYTHON") {
        Some(build) if !build.is_empty() => Headers::of_cpython(Path::new(&build)),
        _ => Headers::own(),
    };
    let assembly = compile(&headers);
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("layout.rs"), constants(&assembly)).expect("OUT_DIR is writable");
}

/// Which headers to compile against.
struct Headers {
    include: Vec<PathBuf>,
    defines: &'static [&'static str],
    name: String,
}

impl Headers {
    fn own() -> Self {
        let include = vec![PathBuf::from("include")];
        Self { include, defines: &[], name: "include/pysync.h".into() }
    }

    /// `build`: the folder in which CPython was configured, with its Makefile and pyconfig.h.
    fn of_cpython(build: &Path) -> Self {
        println!("cargo::rerun-if-changed={}", build.join("pyconfig.h").display());
        let makefile = fs::read_to_string(build.join("Makefile"));
        if makefile.is_err() || !build.join("pyconfig.h").is_file() {
            fail(&format!(
                "PYSYNC_CPYTHON={}: no Makefile and pyconfig.h there; name the folder in which CPython was configured",
                build.display()
            ));
        }
        let makefile = makefile.unwrap_or_default();
        let srcdir = makefile
            .lines()
            .find_map(|line| line.strip_prefix("srcdir="))
            .map_or_else(|| build.to_owned(), |srcdir| build.join(srcdir.trim()));
        let include =
            vec![build.to_owned(), srcdir.join("Include"), srcdir.join("Include/internal")];
        let name = format!("CPython in {}", build.display());
        Self { include, defines: &["PYSYNC_CPYTHON", "Py_BUILD_CORE"], name }
    }
}

fn compile(headers: &Headers) -> String {
    let compiler = cc::Build::new().warnings(false).try_get_compiler().unwrap_or_else(|error| {
        fail(&format!("a C compiler is needed to read {}: {error}", headers.name))
    });
    let mut command: Command = compiler.to_command();
    command.args(["-std=c11", "-O0", "-S", "-o", "-", "layout/layout.c"]);
    command.args(headers.include.iter().flat_map(|dir| ["-I".into(), dir.clone()]));
    command.args(headers.defines.iter().map(|define| format!("-D{define}")));
    let output =
        command.output().unwrap_or_else(|error| fail(&format!("cannot run {command:?}: {error}")));
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        // The first error explains; the rest follows from it.
        let first =
            errors.lines().find(|line| line.contains("error")).unwrap_or("it gave no error");
        eprint!("{errors}");
        fail(&format!("pysync-capi does not fit {}: {first}", headers.name));
    }
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// One constant for each `->NAME 123` in the assembly.
fn constants(assembly: &str) -> String {
    let mut rust = String::new();
    for line in assembly.lines() {
        let Some((_, marker)) = line.split_once("->") else { continue };
        let mut words = marker.trim_end_matches('"').split_whitespace();
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        if value.parse::<usize>().is_ok() {
            writeln!(rust, "pub(crate) const {name}: usize = {value};").expect("a String grows");
        }
    }
    assert!(!rust.is_empty(), "layout.c left no marker in the assembly");
    rust
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    std::process::exit(1)
}
