//! What changed between two versions, and what to read again.

mod fixture;

use fixture::{Fixture, Ran};

const LOCK_C: &str = "next/Python/lock.c";

/// A fixture with a second CPython beside the first, equal to it.
fn pair() -> Fixture {
    let fixture = Fixture::new();
    fixture.write_cpython("next", "3.13.15");
    fixture
}

#[track_caller]
fn diff(fixture: &Fixture, code: i32) -> String {
    let ran = fixture.run(&["parity", "diff", "--from", "cpython", "--to", "next"]);
    assert_eq!(ran.code, code, "{ran:?}");
    ran.stdout
}

/// The line with the totals.
fn totals(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

const SAME: &str =
    "CPython 3.13.15 -> 3.13.15: 8 unchanged, 0 moved, 0 changed, 0 added, 0 removed";

#[test]
fn nothing_changed() {
    assert_eq!(diff(&pair(), 0), format!("{SAME}\n"));
}

#[test]
fn comments_and_white_space_are_no_change() {
    let fixture = pair();
    fixture.edit(LOCK_C, "// somebody is inside", "// a reworded comment");
    fixture.edit(LOCK_C, "int v = load(", "int v  =  load( ");
    assert_eq!(diff(&fixture, 0), format!("{SAME}\n"));

    // These move lines.
    fixture.edit(LOCK_C, "    int v  =", "    // new\n\n    int v  =");
    fixture.edit(LOCK_C, "give_way(void)\n{", "give_way(void) {");
    let text = diff(&fixture, 0);
    let expected = "Moved\n  Python/lock.c inside:\n    give_way L15, Gate_Enter L24\n\n\
                    CPython 3.13.15 -> 3.13.15: 6 unchanged, 2 moved, 0 changed, 0 added, 0 removed\n";
    assert_eq!(text, expected);
}

#[test]
fn a_changed_body_is_shown_with_the_rust_to_read_again() {
    let fixture = pair();
    fixture.edit(LOCK_C, "static const int SPINS = 0;", "// none\nstatic const int SPINS = 0;");
    fixture.edit(LOCK_C, "        return -1;", "        return -2;");
    let expected = "\
Moved
  Python/lock.c +1:
    SPINS L8, waiter L11, give_way L16

Changed
  Python/lock.c:26 Gate_Enter (was at L25)
      28   29       if (v & GATE_SHUT) {
      29   30           // somebody is inside
      30   31           give_way();
      31      -         return -1;
           32 +         return -2;
      32   33       }
      33   34       return 0;
      34   35   }
    read again: crates/gate/src/lib.rs:30 Gate::enter, marker at 31

CPython 3.13.15 -> 3.13.15: 4 unchanged, 3 moved, 1 changed, 0 added, 0 removed
";
    assert_eq!(diff(&fixture, 1), expected);
}

#[test]
fn reindented_lines_are_not_shown_as_changed() {
    let fixture = pair();
    fixture.edit(
        LOCK_C,
        "        give_way();\n        return -1;\n",
        "        if (flags) {\n            give_way();\n            return -1;\n        }\n",
    );
    let text = diff(&fixture, 1);
    let signed: Vec<&str> =
        text.lines().filter(|line| line.contains(" + ") || line.contains(" - ")).collect();
    assert_eq!(signed, ["           30 +         if (flags) {", "           34 +     }"]);
}

#[test]
fn added_and_removed() {
    let fixture = pair();
    fixture.edit(LOCK_C, "struct waiter {\n    int fair;   // written by the waiter\n};\n", "");
    fixture.edit(
        "next/Include/cpython/lock.h",
        "#define GATE_SHUT 1",
        "#define GATE_SHUT 1\n#define OPEN 0",
    );
    let text = diff(&fixture, 1);
    assert!(text.contains("Added\n  Include/cpython/lock.h:8 OPEN\n"), "{text}");
    let removed = "Removed\n  Python/lock.c:10 waiter\n    read again: crates/gate/src/lib.rs:7 Waiter, marker at 8\n";
    assert!(text.contains(removed), "{text}");
}

#[test]
fn a_changed_prototype_is_a_change() {
    let fixture = pair();
    fixture.edit("next/Include/cpython/lock.h", "Gate *gate, int flags", "Gate *gate, long flags");
    let text = diff(&fixture, 1);
    assert!(text.contains("Include/cpython/lock.h:13 Gate_Enter (declaration)\n"), "{text}");
    assert!(text.contains("14      - Gate_Enter(Gate *gate, int flags);"), "{text}");
}

#[test]
fn what_went_to_another_file_has_moved() {
    let fixture = pair();
    fixture.edit("next/Include/cpython/lock.h", "#define GATE_SHUT 1", "");
    fixture.edit(LOCK_C, "    return 0;\n}\n", "    return 0;\n}\n#define GATE_SHUT 1\n");
    let text = diff(&fixture, 0);
    let expected = "Moved\n  Include/cpython/lock.h -> Python/lock.c:\n    GATE_SHUT L35\n";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn an_assertion_is_known_by_its_text() {
    let fixture = pair();
    let assertion = "static_assert(sizeof(int) == 4, \"small\");\n";
    fixture.edit("cpython/Python/lock.c", "struct waiter", &format!("{assertion}struct waiter"));
    fixture.edit(
        "next/Include/cpython/lock.h",
        "PyAPI_FUNC(int)",
        &format!("{assertion}PyAPI_FUNC(int)"),
    );
    let text = diff(&fixture, 0);
    assert!(
        text.contains("  Python/lock.c -> Include/cpython/lock.h:\n    static_assert L13\n"),
        "{text}"
    );

    fixture.edit("next/Include/cpython/lock.h", "== 4", "== 8");
    let text = diff(&fixture, 1);
    assert!(totals(&text).ends_with("0 changed, 1 added, 1 removed"), "{text}");
}

#[test]
fn functions_in_another_order_have_moved() {
    let fixture = pair();
    let text = fixture.read(LOCK_C);
    let at = text.find("static void\ngive_way").unwrap();
    let enter = text.find("int\nGate_Enter").unwrap();
    let swapped = [&text[..at], &text[enter..], "\n", text[at..enter].trim_end(), "\n"].concat();
    fixture.write(LOCK_C, &swapped);
    let expected =
        "CPython 3.13.15 -> 3.13.15: 6 unchanged, 2 moved, 0 changed, 0 added, 0 removed";
    assert_eq!(totals(&diff(&fixture, 0)), expected);
}

#[test]
fn an_index_stands_for_its_source() {
    let fixture = pair();
    fixture.edit(LOCK_C, "        return -1;", "        return -2;\n        return -3;");
    let run = |from: &str, to: &str| -> Ran {
        fixture.run(&["parity", "diff", "--from", from, "--to", to])
    };
    let ran = run("parity/cpython-3.13.15.toml", "next");
    assert_eq!(ran.code, 1, "{ran:?}");
    let expected = "\
Changed
  Python/lock.c:25 Gate_Enter
    8 code lines, 7 before; give the sources to see them
    read again: crates/gate/src/lib.rs:30 Gate::enter
";
    assert!(ran.stdout.starts_with(expected), "{ran:?}");
    assert_eq!(run("parity/cpython-3.13.15.toml", "cpython").stdout, format!("{SAME}\n"));

    assert_eq!(
        run("none.toml", "next").error(),
        "none.toml: no such file; give an index or a CPython source"
    );
    fixture.write("bad.toml", "version = 3\n");
    assert!(run("cpython", "bad.toml").error().starts_with("bad.toml:1: invalid type: "));
    let ran = run("nowhere", "next");
    assert!(ran.error().starts_with("nowhere: no such file or folder; "), "{ran:?}");
}
