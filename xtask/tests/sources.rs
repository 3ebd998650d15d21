//! What the audit makes of sources that are not what they should be.

mod fixture;

use std::io::Write;

use fixture::Fixture;

#[test]
fn drifted_source() {
    let fixture = Fixture::new();
    // One body changed, one symbol gone, one new, and all that follows moved.
    fixture.edit("cpython/Python/lock.c", "    return -1;", "    return -2;");
    fixture.edit(
        "cpython/Python/lock.c",
        "struct waiter {\n    int fair;   // written by the waiter\n};\n",
        "",
    );
    fixture.edit(
        "cpython/Include/cpython/lock.h",
        "#define GATE_SHUT 1",
        "#define GATE_SHUT 1\n#define GATE_OPEN 0",
    );
    let expected = [
        "Include/cpython/lock.h:8: GATE_OPEN is in this source and not in parity/cpython-3.13.15.toml",
        "Include/cpython/lock.h:10: Gate is at L9 in parity/cpython-3.13.15.toml",
        "Include/cpython/lock.h:14: the declaration of Gate_Enter is at L13 in parity/cpython-3.13.15.toml",
        "Python/lock.c:10: waiter is in parity/cpython-3.13.15.toml and not in this source",
        "Python/lock.c:12: give_way is at L15 in parity/cpython-3.13.15.toml",
        "Python/lock.c:22: Gate_Enter is not the one of parity/cpython-3.13.15.toml: its text has changed",
    ];
    assert_eq!(fixture.problems(&["--cpython", "cpython"]), expected);
}

#[test]
fn a_declaration_without_its_definition_is_a_symbol() {
    let fixture = Fixture::new();
    fixture.edit(
        "cpython/Python/lock.c",
        "    return 0;\n}\n",
        "    return 0;\n}\nextern int Gate_Leave(Gate *gate);\n",
    );
    let expected =
        "Python/lock.c:35: Gate_Leave is in this source and not in parity/cpython-3.13.15.toml";
    assert_eq!(fixture.problems(&["--cpython", "cpython"]), [expected]);
}

#[test]
fn what_moves_to_another_file_or_changes_its_prototype() {
    let fixture = Fixture::new();
    fixture.edit("cpython/Include/cpython/lock.h", "#define GATE_SHUT 1\n", "");
    fixture.edit("cpython/Include/cpython/lock.h", "int flags);", "unsigned flags);");
    fixture.edit(
        "cpython/Python/lock.c",
        "    return 0;\n}\n",
        "    return 0;\n}\n#define GATE_SHUT 1\n",
    );
    let expected = [
        "Include/cpython/lock.h:8: Gate is at L9 in parity/cpython-3.13.15.toml",
        "Include/cpython/lock.h:12: the declaration of Gate_Enter is not the one of parity/cpython-3.13.15.toml: its text has changed",
        "Python/lock.c:35: GATE_SHUT is in Include/cpython/lock.h in parity/cpython-3.13.15.toml",
    ];
    assert_eq!(fixture.problems(&["--cpython", "cpython"]), expected);
}

#[test]
fn a_later_version_may_lack_a_header_and_no_c_file() {
    let fixture = Fixture::new();
    let index = ["parity", "index", "--cpython", "new", "--out", "new.toml"];
    fixture.write_cpython("new", "3.16.0a1");
    std::fs::remove_file(fixture.path("new/Include/internal/pycore_semaphore.h")).unwrap();
    let ran = fixture.run(&index);
    assert_eq!(ran.code, 0, "{ran:?}");
    let note = "note: CPython 3.16.0a1 has no Include/internal/pycore_semaphore.h\n";
    assert_eq!(ran.stderr, note);
    std::fs::remove_file(fixture.path("new/Python/parking_lot.c")).unwrap();
    assert_eq!(
        fixture.run(&index).error(),
        "new: CPython 3.16.0a1 without Python/parking_lot.c; give a complete source"
    );
}

#[test]
fn the_same_source_gives_the_same_bytes() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("source.tar"), fixture.tar("cpython")).unwrap();
    for source in ["cpython", "source.tar", "cpython/"] {
        let ran = fixture.run(&["parity", "index", "--cpython", source, "--out", "again.toml"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(fixture.read("again.toml"), fixture.read("parity/cpython-3.13.15.toml"));
    }
}

#[test]
fn comments_and_white_space_do_not_drift_where_they_move_nothing() {
    let fixture = Fixture::new();
    fixture.edit("cpython/Python/lock.c", "// somebody is inside", "// a reworded comment");
    fixture.edit("cpython/Python/lock.c", "int v = load(", "int v  =  load( ");
    assert_eq!(fixture.problems(&["--cpython", "cpython"]), [""; 0]);
}

#[test]
fn tarballs_of_all_kinds() {
    let fixture = Fixture::new();
    let tar = fixture.tar("cpython");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&tar).unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&tar).unwrap();
    for (name, bytes) in
        [("a.tar", tar), ("a.tar.xz", xz.finish().unwrap()), ("a.tgz", gz.finish().unwrap())]
    {
        std::fs::write(fixture.path(name), &bytes).unwrap();
        assert_eq!(fixture.problems(&["--cpython", name]), [""; 0], "{name}");

        for keep in [bytes.len() / 3, bytes.len() - 9] {
            // A plain tar ends in a kilobyte of zeroes that nobody misses.
            if name == "a.tar" && keep > bytes.len() / 2 {
                continue;
            }
            std::fs::write(fixture.path(name), &bytes[..keep]).unwrap();
            let ran = fixture.run(&["parity", "--cpython", name]);
            let expected =
                format!("{name}: cannot be unpacked, truncated or damaged; download it again: ");
            assert!(ran.error().starts_with(&expected), "{keep} bytes of {name}: {ran:?}");
        }
    }
}

#[test]
fn what_is_no_source() {
    let fixture = Fixture::new();
    fixture.write("notes.txt", "Dear diary");
    fixture.write("empty/readme", "");
    fixture.write_cpython("old", "3.12.4");
    fixture.write_cpython("new", "3.14.0");
    fixture.write_cpython("partial", "3.13.15");
    std::fs::remove_file(fixture.path("partial/Python/parking_lot.c")).unwrap();
    fixture.write_cpython("odd", "3.13.15");
    fixture.write("odd/Include/patchlevel.h", "/* nothing */\n");
    let cases = [
        (
            "nowhere",
            "nowhere: no such file or folder; give a CPython source folder or release tarball",
        ),
        (
            "empty",
            "empty: not a CPython source, it has no Include/patchlevel.h; \
             give the folder that holds Include/ and Python/, or a release tarball",
        ),
        (
            "notes.txt",
            "notes.txt: not a folder, a .tar.xz, a .tgz or a .tar; give a CPython source",
        ),
        (
            "old",
            "old: this is CPython 3.12.4, which has no free-threading synchronization layer; give 3.13 or later",
        ),
        (
            "new",
            "new: this is CPython 3.14.0, and parity/cpython-3.13.15.toml pins 3.13.15; give that release",
        ),
        (
            "partial",
            "partial: CPython 3.13.15 without Python/parking_lot.c; give a complete source",
        ),
        ("odd", "odd: Include/patchlevel.h names no version; give an unmodified CPython source"),
    ];
    for (path, expected) in cases {
        assert_eq!(fixture.run(&["parity", "--cpython", path]).error(), expected);
    }
}

#[test]
fn an_error_is_one_line_whatever_it_quotes() {
    let ran = Fixture::new().run(&["parity", "--cpython", "no\nwhere"]);
    assert!(ran.error().starts_with("no where: no such file or folder; "), "{ran:?}");
}

#[test]
fn malformed_files_in_parity() {
    let cases = [
        ("parity/ledger.toml", "reason = \"On", "reason = On"),
        ("parity/ledger.toml", "lines = \"18\"", "lines = \"18-x\""),
        ("parity/ledger.toml", "lines = \"18\"", "line = \"18\""),
        ("parity/seed-3.14.toml", "line = 99", "line = ninety"),
        ("parity/cpython-3.13.15.toml", "version = ", "version : "),
        ("parity/cpython-3.13.15.toml", "fair:11", "fair"),
    ];
    let lines = [11, 10, 10, 4, 4, 35];
    for ((file, from, to), line) in cases.into_iter().zip(lines) {
        let fixture = Fixture::new();
        fixture.edit(file, from, to);
        let ran = fixture.run(&["parity"]);
        assert!(ran.error().starts_with(&format!("{file}:{line}: ")), "{to}: {ran:?}");
    }
}

#[test]
fn missing_files_in_parity() {
    for file in ["parity/ledger.toml", "parity/seed-3.14.toml"] {
        let fixture = Fixture::new();
        std::fs::remove_file(fixture.path(file)).unwrap();
        let ran = fixture.run(&["parity"]);
        assert!(ran.error().starts_with(&format!("{file}: cannot read it: ")), "{ran:?}");
    }
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.path("parity/cpython-3.13.15.toml")).unwrap();
    let ran = fixture.run(&["parity"]);
    assert_eq!(
        ran.error(),
        "parity/: no cpython-VERSION.toml here; write it with `cargo xtask parity index`"
    );
    fixture.write("parity/cpython-3.13.15.toml", "version = \"3.13.15\"\n");
    fixture.write("parity/cpython-3.13.16.toml", "version = \"3.13.16\"\n");
    let ran = fixture.run(&["parity"]);
    assert_eq!(
        ran.error(),
        "parity/: cpython-3.13.15.toml and cpython-3.13.16.toml pin more than one CPython; keep one"
    );
}

#[test]
fn rust_that_does_not_parse() {
    let fixture = Fixture::new();
    fixture.edit("crates/gate/src/lib.rs", "const SHUT: u32 = 1;", "const SHUT: u32 = ;");
    let ran = fixture.run(&["parity"]);
    assert!(ran.error().starts_with("crates/gate/src/lib.rs:19: not Rust ("), "{ran:?}");
}

#[test]
fn an_index_is_written_whole_or_not_at_all() {
    let fixture = Fixture::new();
    fixture.write("out.toml", "before");
    let ran = fixture.run(&["parity", "index", "--cpython", "nowhere", "--out", "out.toml"]);
    assert!(ran.error().starts_with("nowhere: "));
    assert_eq!(fixture.read("out.toml"), "before");

    let ran =
        fixture.run(&["parity", "index", "--cpython", "cpython", "--out", "no/folder/out.toml"]);
    assert!(ran.error().starts_with("no/folder/out.toml: cannot write it: "), "{ran:?}");
    assert!(!fixture.path("no").exists());

    let ran = fixture.run(&["parity", "index", "--cpython", "cpython", "--out", "out.toml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "out.toml: CPython 3.13.15, 7 symbols\n"));
    assert_eq!(fixture.read("out.toml"), fixture.read("parity/cpython-3.13.15.toml"));
}
