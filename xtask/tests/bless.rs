//! Anchors, markers and the ledger follow the C to another version.

mod fixture;

use std::collections::BTreeMap;

use fixture::{Fixture, RUST, Ran};

const LIB: &str = "crates/gate/src/lib.rs";
const LOCK_C: &str = "next/Python/lock.c";
const BLESS: [&str; 6] = ["parity", "bless", "--from", "cpython", "--to", "next"];

/// A fixture with the next CPython beside the pinned one, equal but for its version.
fn pair() -> Fixture {
    let fixture = Fixture::new();
    fixture.write_cpython("next", "3.13.16");
    fixture
}

/// Every file of the workspace that `bless` might touch.
fn workspace(fixture: &Fixture) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for folder in ["crates/gate/src", "parity", "docs"] {
        for entry in std::fs::read_dir(fixture.path(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = format!("{folder}/{name}");
            files.insert(path.clone(), fixture.read(&path));
        }
    }
    files
}

#[track_caller]
fn bless(fixture: &Fixture, code: i32) -> Ran {
    let ran = fixture.run(&BLESS);
    assert_eq!(ran.code, code, "{ran:?}");
    let after = workspace(fixture);
    let again = fixture.run(&BLESS);
    assert_eq!(
        (again.code, again.stdout.as_str()),
        (0, "nothing to do: parity/cpython-3.13.16.toml is next already\n"),
        "{again:?}"
    );
    assert_eq!(workspace(fixture), after, "the second run changes nothing");
    ran
}

/// The problems that the audit has with the workspace and the next source.
#[track_caller]
fn problems(fixture: &Fixture) -> Vec<String> {
    fixture.problems(&["--cpython", "next"])
}

#[track_caller]
fn replaced(text: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(text.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from:?}");
        text.replace(from, to)
    })
}

#[test]
fn follows_reordered_functions_and_inserted_lines() {
    let fixture = pair();
    // `Gate_Enter` goes first, and comments come in between.
    let text = fixture.read(LOCK_C);
    let at = text.find("static void\ngive_way").unwrap();
    let enter = text.find("int\nGate_Enter").unwrap();
    let swapped =
        ["// more\n\n", &text[..at], &text[enter..], "\n", text[at..enter].trim_end(), "\n"];
    fixture.write(LOCK_C, &swapped.concat());
    fixture.edit(LOCK_C, "    if (v & GATE_SHUT) {", "    // why\n\n    if (v & GATE_SHUT) {");

    let before = workspace(&fixture);
    let ran = bless(&fixture, 0);
    let summary = "CPython 3.13.15 -> 3.13.16: 4 anchors, 4 markers and 2 line ranges of the ledger \
                   rewritten in 2 files, 0 places to look at\n";
    assert_eq!(ran.stdout, summary);

    let after = workspace(&fixture);
    let rust = replaced(
        &before[LIB],
        &[
            ("L5 SPINS", "L7 SPINS"),
            ("L10 waiter", "L12 waiter"),
            ("L11: ", "L13: "),
            ("L15 give_way", "L31 give_way"),
            ("L20: ", "L36: "),
            ("L25 Gate_Enter", "L17 Gate_Enter"),
            ("L27-L31: ", "L19-L25: "),
            ("L33: ", "L27: "),
        ],
    );
    assert_eq!(after[LIB], rust);
    let ledger =
        replaced(&before["parity/ledger.toml"], &[("\"7\"", "\"9\""), ("\"18\"", "\"34\"")]);
    assert_eq!(after["parity/ledger.toml"], ledger);
    for untouched in ["parity/seed-3.14.toml", "docs/deviations.md"] {
        assert_eq!(after[untouched], before[untouched]);
    }
    assert!(!after.contains_key("parity/cpython-3.13.15.toml"));
    assert!(after["parity/cpython-3.13.16.toml"].contains("version = \"3.13.16\""));
    assert_eq!(problems(&fixture), [""; 0]);
}

#[test]
fn a_changed_line_keeps_the_rest_of_its_marker_and_is_asked_for() {
    let fixture = pair();
    fixture.edit(LOCK_C, "        return -1;", "        return -2;");
    let ran = bless(&fixture, 1);
    let expected = "\
Python/lock.c:31: new in 3.13.16: L31 of Gate_Enter
crates/gate/src/lib.rs:31: L31 of Gate_Enter changed or gone; the marker keeps the rest, now L27-L30
read again: Gate_Enter, once Python/lock.c:L25
    crates/gate/src/lib.rs:30 Gate::enter
CPython 3.13.15 -> 3.13.16: 0 anchors, 1 marker and 0 line ranges of the ledger rewritten in 1 file, 2 places to look at
";
    assert_eq!(ran.stdout, expected);
    assert_eq!(fixture.read(LIB), replaced(RUST, &[("L27-L31: ", "L27-L30: ")]));
    let expected = "Python/lock.c:31: L31 of Gate_Enter: no marker and no ledger entry";
    assert_eq!(problems(&fixture), [expected]);
}

#[test]
fn a_marker_without_a_place_cannot_be_overlooked() {
    let fixture = pair();
    fixture.edit(LOCK_C, "    return 0;\n", "    return done(gate);\n");
    let ran = bless(&fixture, 1);
    let left = "crates/gate/src/lib.rs:38: L33 of Gate_Enter: not placed, these lines have changed or are gone\n";
    assert!(ran.stdout.contains(left), "{ran:?}");
    assert_eq!(fixture.read(LIB), replaced(RUST, &[("L33: open", "L33?: open")]));
    let expected = [
        "Python/lock.c:33: L33 of Gate_Enter: no marker and no ledger entry",
        "crates/gate/src/lib.rs:38: L33? are lines of an earlier version that `bless` could not place; read the C again",
    ];
    assert_eq!(problems(&fixture), expected);
}

#[test]
fn new_lines_inside_a_marker_stay_out_of_it() {
    let fixture = pair();
    fixture.edit(LOCK_C, "        give_way();\n", "        count();\n        give_way();\n");
    let ran = bless(&fixture, 1);
    assert!(
        ran.stdout.starts_with("Python/lock.c:30: new in 3.13.16: L30 of Gate_Enter\n"),
        "{ran:?}"
    );
    let rust = replaced(RUST, &[("L27-L31: ", "L27-L28, L31-L32: "), ("L33: ", "L34: ")]);
    assert_eq!(fixture.read(LIB), rust);
    let expected = "Python/lock.c:30: L30 of Gate_Enter: no marker and no ledger entry";
    assert_eq!(problems(&fixture), [expected]);
}

#[test]
fn bare_markers_are_carried_over_too() {
    let fixture = pair();
    fixture.edit(LIB, "// L27-L31: shut", "// L27-L30, L31");
    fixture.edit(LIB, "// L33: open", "// lock.c:L33");
    fixture.edit(LIB, "// L20: what std calls it", "// L20");
    let before = fixture.read(LIB);
    fixture.edit(LOCK_C, "    sched_yield();", "    // why\n    yield();");
    bless(&fixture, 1);
    let rust = replaced(
        &before,
        &[
            ("L25 Gate_Enter", "L26 Gate_Enter"),
            ("// L27-L30, L31\n", "// L28-L31, L32\n"),
            ("// lock.c:L33\n", "// lock.c:L34\n"),
            ("// L20\n", "// L20?\n"),
        ],
    );
    assert_eq!(fixture.read(LIB), rust);
    let expected = [
        "Python/lock.c:21: L21 of give_way: no marker and no ledger entry",
        "crates/gate/src/lib.rs:14: L20? are lines of an earlier version that `bless` could not place; read the C again",
    ];
    assert_eq!(problems(&fixture), expected);
}

#[test]
fn a_new_layout_is_followed_to_the_character() {
    let fixture = pair();
    fixture.edit(
        LOCK_C,
        "    int v = load(&gate->bits);\n    if (v & GATE_SHUT) {\n",
        "    int v =\n        load(\n            &gate->bits); if (v\n                & GATE_SHUT)\n    {\n",
    );
    bless(&fixture, 0);
    let rust = replaced(RUST, &[("L27-L31: ", "L27-L34: "), ("L33: ", "L36: ")]);
    assert_eq!(fixture.read(LIB), rust);
    assert_eq!(problems(&fixture), [""; 0]);
}

#[test]
fn what_is_gone_is_listed() {
    let fixture = pair();
    fixture.edit(LOCK_C, "struct waiter {\n    int fair;   // written by the waiter\n};\n", "");
    fixture.edit(LOCK_C, "#if SPINNING\nstatic const int SPINS = 40;\n#else\n", "");
    fixture.edit(LOCK_C, "static const int SPINS = 0;\n#endif\n", "");
    let ran = bless(&fixture, 1);
    let expected = "\
crates/gate/src/lib.rs:3: SPINS is gone in 3.13.16
crates/gate/src/lib.rs:6: waiter is gone in 3.13.16
crates/gate/src/lib.rs:8: L11 of waiter: not placed, these lines have changed or are gone
parity/ledger.toml:1: L7 of Python/lock.c: changed or gone, and dropped from the entry
parity/ledger.toml:1: SPINS is gone in 3.13.16
";
    assert!(ran.stdout.starts_with(expected), "{}", ran.stdout);
    let found = problems(&fixture);
    let unknown =
        "crates/gate/src/lib.rs:3: unknown symbol: CPython 3.13.16 has no SPINS in Python/lock.c";
    assert!(found.contains(&unknown.to_owned()), "{found:?}");
    assert!(found.iter().any(|problem| problem.starts_with("parity/ledger.toml:1: ")), "{found:?}");
}

#[test]
fn an_entry_that_lost_its_lines_cannot_be_overlooked() {
    let fixture = pair();
    fixture.edit(LOCK_C, "    SwitchToThread();", "    YieldProcessor();");
    let ran = bless(&fixture, 1);
    let left =
        "parity/ledger.toml:7: L18 of Python/lock.c: changed or gone, and dropped from the entry\n";
    assert!(ran.stdout.contains(left), "{ran:?}");
    let expected = [
        "Python/lock.c:18: L18 of give_way: no marker and no ledger entry",
        "parity/ledger.toml:7: this entry accounts for no code line",
    ];
    assert_eq!(problems(&fixture), expected);
}

#[test]
fn what_goes_to_another_file_takes_its_markers_and_its_ledger_along() {
    let fixture = pair();
    let text = fixture.read(LOCK_C);
    let at = text.find("static void\ngive_way").unwrap();
    let enter = text.find("int\nGate_Enter").unwrap();
    let (function, rest) = (text[at..enter].to_owned(), [&text[..at], &text[enter..]].concat());
    fixture.write(LOCK_C, &rest);
    fixture.edit(
        "next/Include/cpython/lock.h",
        "typedef struct",
        &format!("{function}typedef struct"),
    );
    fixture.edit(LIB, "// L20: what", "// lock.c:L20: what");
    bless(&fixture, 0);
    let rust = fixture.read(LIB);
    assert!(rust.contains("CPython: Include/cpython/lock.h:L10 give_way"), "{rust}");
    assert!(rust.contains("// lock.h:L15: what"), "{rust}");
    let ledger = fixture.read("parity/ledger.toml");
    assert!(
        ledger.contains(
            "file = \"Include/cpython/lock.h\"\nsymbols = [\"give_way\"]\nlines = \"13\""
        ),
        "{ledger}"
    );
    assert_eq!(problems(&fixture), [""; 0]);
}

#[test]
fn no_other_byte_is_touched() {
    let fixture = pair();
    // Everything that a rewriter might want to tidy up.
    let odd = RUST
        .replace("//! A gate.", "//! A gate\u{301}.  \t")
        .replace("        // L33: open", "\t// L33,L33:  o\u{fc}pen L33  ")
        .replace("/// Goes in.", "/// Goes in, see L25 and `Python/lock.c:L25`.")
        .replace('\n', "\r\n");
    fixture.write(LIB, &odd);
    fixture.edit("parity/ledger.toml", "lines = \"18\"", "lines   =  \"18   18\" # 18");
    fixture.edit(LOCK_C, "// A gate.", "// A gate.\n// Moved.");
    bless(&fixture, 0);
    let rust = replaced(
        &odd,
        &[
            ("L5 SPINS", "L6 SPINS"),
            ("L10 waiter", "L11 waiter"),
            ("L11: ", "L12: "),
            ("L15 give_way", "L16 give_way"),
            ("L20: ", "L21: "),
            ("L25 Gate_Enter", "L26 Gate_Enter"),
            ("L27-L31: ", "L28-L32: "),
            ("L33,L33:  ", "L34,L34:  "),
        ],
    );
    assert_eq!(fixture.read(LIB), rust);
    assert!(fixture.read("parity/ledger.toml").contains("lines   =  \"19 19\" # 18\n"));
}

#[test]
fn a_dry_run_writes_nothing() {
    let fixture = pair();
    fixture.edit(LOCK_C, "// A gate.", "// A gate.\n// Moved.");
    let before = workspace(&fixture);
    let ran = fixture.run(&[&BLESS[..], &["--dry-run"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("rewritten in 2 files"), "{ran:?}");
    assert!(ran.stdout.ends_with("this was a dry run: nothing is written\n"), "{ran:?}");
    assert_eq!(workspace(&fixture), before);
}

#[test]
fn the_same_version_with_another_text_replaces_its_index() {
    let fixture = Fixture::new();
    fixture.write_cpython("next", "3.13.15");
    fixture.edit(LOCK_C, "// A gate.", "// A gate.\n// Moved.");
    let ran = fixture.run(&BLESS);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(problems(&fixture), [""; 0]);
}

#[test]
fn without_sources_it_corrects_the_anchors() {
    let fixture = Fixture::new();
    let before = fixture.read(LIB);
    fixture.edit(LIB, "Python/lock.c:L25 Gate_Enter", "Python/lock.c:L99 Gate_Enter");
    fixture.edit(LIB, "Python/lock.c:L15 give_way", "Include/cpython/lock.h:L15 give_way");
    let ran = fixture.run(&["parity", "bless"]);
    let summary = "parity/cpython-3.13.15.toml: 2 anchors rewritten in 1 file, 0 left\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (0, summary));
    assert_eq!(fixture.read(LIB), before);

    fixture.edit(LIB, "L25 Gate_Enter", "L25 Gate_Leave");
    let ran = fixture.run(&["parity", "bless"]);
    let summary = "crates/gate/src/lib.rs:29: unknown symbol: CPython 3.13.15 has no Gate_Leave in Python/lock.c\n\
                   parity/cpython-3.13.15.toml: 0 anchors rewritten in 0 files, 1 left\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (1, summary));
}

#[test]
fn what_it_cannot_start_from() {
    let fixture = pair();
    fixture.edit(LOCK_C, "// A gate.", "// A gate.\n// Moved.");
    let before = workspace(&fixture);
    let run = |from: &str, to: &str| fixture.run(&["parity", "bless", "--from", from, "--to", to]);
    fixture.write_cpython("other", "3.13.14");
    fixture.edit("other/Python/lock.c", "return -1", "return -7");
    assert_eq!(
        run("other", "next").error(),
        "other: not the source that parity/cpython-3.13.15.toml was made from; give CPython 3.13.15 as --from"
    );
    // The right version, and another text: somebody's working tree.
    fixture.write_cpython("touched", "3.13.15");
    fixture.edit("touched/Python/lock.c", "return -1", "return -7");
    assert_eq!(
        run("touched", "next").error(),
        "touched: not the source that parity/cpython-3.13.15.toml was made from; give CPython 3.13.15 as --from"
    );
    assert!(run("cpython", "nowhere").error().starts_with("nowhere: no such file or folder; "));
    assert_eq!(workspace(&fixture), before);

    fixture.edit(LIB, "L25 Gate_Enter", "L24 Gate_Enter");
    assert_eq!(
        run("cpython", "next").error(),
        "crates/gate/src/lib.rs:29: wrong line: Gate_Enter is at Python/lock.c:L25, not L24; this anchor does \
         not fit parity/cpython-3.13.15.toml, so mend that first: see `cargo xtask parity --problems`"
    );
    let ran = fixture.run(&["parity", "bless", "--from", "cpython"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

/// Ten functions of nine statements, each statement with a number of its own that the marker
/// for it repeats.
#[test]
fn every_marker_finds_its_statement_again() {
    let mut state = 2024_u32;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for _ in 0..6 {
        let mut functions: Vec<Vec<String>> = Vec::new();
        for f in 0..10 {
            let body = (0..9).map(|s| format!("    step(number_{f}{s});\n"));
            functions.push(body.collect());
        }
        let c = |functions: &[(usize, &Vec<String>)]| -> String {
            let function = |(f, body): &(usize, &Vec<String>)| {
                format!("int\nfunction_{f}(void)\n{{\n{}}}\n\n", body.concat())
            };
            functions.iter().map(function).collect()
        };
        let numbered: Vec<(usize, &Vec<String>)> = functions.iter().enumerate().collect();
        let old = c(&numbered);
        let mut rust = String::new();
        for f in 0..10 {
            let line = f * 14 + 2;
            rust +=
                &format!("/// CPython: Python/lock.c:L{line} function_{f}\nfn function_{f}() {{\n");
            for s in 0..9 {
                rust += &format!("    // L{}: number_{f}{s}\n    step();\n", line + 2 + s);
            }
            rust += "}\n";
        }

        let fixture = Fixture::new();
        fixture.write("cpython/Python/lock.c", &old);
        fixture.write("cpython/Include/cpython/lock.h", "");
        fixture.write(LIB, &rust);
        fixture.write("parity/ledger.toml", "");
        fixture.write("docs/deviations.md", "");
        let index = ["parity", "index", "--cpython", "cpython", "--out"];
        fixture.run(&[&index[..], &["parity/cpython-3.13.15.toml"]].concat());
        assert_eq!(fixture.problems(&[]), [""; 0]);

        // Shuffle the functions, drop some statements and put others in.
        let mut shuffled: Vec<(usize, Vec<String>)> = functions.into_iter().enumerate().collect();
        for at in (1..shuffled.len()).rev() {
            shuffled.swap(at, random(at + 1));
        }
        for (_, body) in &mut shuffled {
            for new in 0..random(4) {
                let line = ["    // a comment\n", "\n", "    extra();\n"][random(3)];
                body.insert(random(body.len()), line.replace("extra", &format!("extra_{new}")));
            }
            if random(2) == 0 {
                body.remove(random(body.len()));
            }
        }
        fixture.write_cpython("next", "3.13.16");
        fixture.write("next/Include/cpython/lock.h", "");
        let order: Vec<(usize, &Vec<String>)> =
            shuffled.iter().map(|(f, body)| (*f, body)).collect();
        fixture.write(LOCK_C, &c(&order));
        let ran = fixture.run(&BLESS);
        assert!(ran.code < 2, "{ran:?}");

        let new = fixture.read(LOCK_C);
        let new: Vec<&str> = new.lines().collect();
        let blessed = fixture.read(LIB);
        let mut found = 0;
        for line in blessed.lines() {
            let Some((numbers, why)) =
                line.trim().strip_prefix("// L").and_then(|marker| marker.split_once(": "))
            else {
                if let Some((_, anchor)) = line.split_once("lock.c:L") {
                    let (number, name) = anchor.split_once(' ').unwrap();
                    assert!(new[number.parse::<usize>().unwrap() - 1].starts_with(name), "{line}");
                }
                continue;
            };
            found += 1;
            match numbers.strip_suffix('?') {
                Some(_) => assert!(!new.iter().any(|text| text.contains(why)), "{line}"),
                None => assert!(new[numbers.parse::<usize>().unwrap() - 1].contains(why), "{line}"),
            }
        }
        assert_eq!(found, 90);
    }
}
