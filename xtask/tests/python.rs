//! What `cargo xtask python` says if something is missing.
#![cfg(unix)]

mod fixture;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fixture::Fixture;

const PROJECT: &str = r#"[dependency-groups]
build = ["maturin==1"]
test = ["pytest==1"]
examples = ["numpy==1"]
types = ["mypy==1"]
"#;

/// A workspace with a Python that is a script.
fn with_python(script: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.write("crates/python/pyproject.toml", PROJECT);
    fixture.write("bin/python3", &format!("#!/bin/sh\n{script}\n"));
    let python = fixture.path("bin/python3");
    fs::set_permissions(python, fs::Permissions::from_mode(0o755)).unwrap();
    fixture
}

/// The one line of a run that could not be.
fn complaint(fixture: &Fixture, arguments: &[&str]) -> String {
    let ran = fixture.run(&[&["python"], arguments].concat());
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    ran.stderr
}

#[test]
fn there_is_no_python() {
    let fixture = with_python("exit 1");
    let line = complaint(&fixture, &["build", "--python", "/nowhere/python3"]);
    assert!(line.starts_with("error: missing: /nowhere/python3; install Python 3.11"), "{line}");
}

#[test]
fn it_is_too_old() {
    let fixture = with_python("echo 3 10 0");
    let python = fixture.path("bin/python3");
    let line = complaint(&fixture, &["test", "--python", python.to_str().unwrap()]);
    assert!(line.starts_with("error: missing: Python 3.11 or later; "), "{line}");
    assert!(line.contains("is 3.10, give another --python"), "{line}");
}

#[test]
fn it_makes_no_environments() {
    let fixture =
        with_python("echo \"ModuleNotFoundError: No module named 'ensurepip'\" >&2; exit 1");
    let python = fixture.path("bin/python3");
    let line = complaint(&fixture, &["test", "--python", python.to_str().unwrap()]);
    assert!(line.starts_with("error: missing: a Python that can make environments; "), "{line}");
    assert!(line.contains("python3-venv"), "{line}");
}

#[test]
fn there_is_no_package_index() {
    // As `python -m venv` it makes a copy of itself, and as pip it finds nothing.
    let fixture = with_python(
        r#"case "$*" in
*"-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
*"-m pip"*) echo "ERROR: No matching distribution found for maturin==1" >&2; exit 1 ;;
*) echo 3 12 0 ;;
esac"#,
    );
    let python = fixture.path("bin/python3");
    let line = complaint(&fixture, &["build", "--python", python.to_str().unwrap()]);
    assert!(line.starts_with("error: missing: maturin==1 from the package index"), "{line}");
    assert!(line.contains("connect the machine"), "{line}");
}

#[test]
fn no_free_threaded_cpython_was_built() {
    let fixture = with_python("exit 1");
    let line = complaint(&fixture, &["test", "--free-threaded"]);
    assert!(line.starts_with("error: missing: the free-threaded CPython in "), "{line}");
    assert!(line.contains("cargo xtask cpython build"), "{line}");
}
