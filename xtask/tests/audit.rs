//! Breaks one thing after another and reads what the audit says.

mod fixture;

use fixture::{Fixture, LEDGER};

const LIB: &str = "crates/gate/src/lib.rs";

#[track_caller]
fn broken(file: &str, from: &str, to: &str, expected: &[&str]) {
    let fixture = Fixture::new();
    fixture.edit(file, from, to);
    assert_eq!(fixture.problems(&[]), expected);
}

#[test]
fn a_clean_workspace_is_clean() {
    let fixture = Fixture::new();
    assert_eq!(fixture.problems(&[]), [""; 0]);
    assert_eq!(fixture.problems(&["--cpython", "cpython"]), [""; 0]);
}

#[test]
fn wrong_line() {
    let expected =
        "crates/gate/src/lib.rs:29: wrong line: Gate_Enter is at Python/lock.c:L25, not L24";
    broken(LIB, "L25 Gate_Enter", "L24 Gate_Enter", &[expected]);
}

#[test]
fn wrong_line_of_a_name_with_two_definitions() {
    let expected = [
        "Python/lock.c:5: SPINS is neither mirrored nor in parity/ledger.toml",
        "crates/gate/src/lib.rs:3: wrong line: SPINS is at Python/lock.c:L5 or L7, not L6",
    ];
    broken(LIB, "L5 SPINS", "L6 SPINS", &expected);
}

#[test]
fn wrong_file() {
    let expected = "crates/gate/src/lib.rs:29: wrong file: Gate_Enter is at Python/lock.c:L25, not in Include/cpython/lock.h";
    broken(
        LIB,
        "Python/lock.c:L25 Gate_Enter",
        "Include/cpython/lock.h:L14 Gate_Enter",
        &[expected],
    );
}

#[test]
fn a_file_that_is_not_covered() {
    let fixture = Fixture::new();
    fixture.edit(LIB, "/// Goes in.", "/// CPython: Python/ceval.c:L7 eval");
    let expected = "crates/gate/src/lib.rs:27: Python/ceval.c is not one of the covered files; \
                    say it in prose, without this form";
    assert_eq!(fixture.problems(&[]), [expected]);
}

#[test]
fn unknown_symbol() {
    let fixture = Fixture::new();
    fixture.edit(LIB, "/// Goes in.", "/// CPython: Python/lock.c:L25 Gate_Leave");
    let expected = "crates/gate/src/lib.rs:27: unknown symbol: CPython 3.13.15 has no Gate_Leave in Python/lock.c";
    assert_eq!(fixture.problems(&[]), [expected]);
}

#[test]
fn missing_anchor() {
    let expected = [
        "Python/lock.c:15: give_way is neither mirrored nor in parity/ledger.toml",
        "crates/gate/src/lib.rs:14: this marker stands in no item with an anchor",
    ];
    broken(LIB, "/// CPython: Python/lock.c:L15 give_way", "/// Gives way.", &expected);
}

#[test]
fn malformed_anchor() {
    let expected = [
        "Python/lock.c:25: Gate_Enter is neither mirrored nor in parity/ledger.toml",
        "crates/gate/src/lib.rs:29: not an anchor: \"CPython: Python/lock.c:25 Gate_Enter\"; \
         the form is `/// CPython: Python/lock.c:L53 _PyMutex_LockTimed`",
        "crates/gate/src/lib.rs:31: this marker stands in no item with an anchor",
        "crates/gate/src/lib.rs:38: this marker stands in no item with an anchor",
    ];
    broken(LIB, "lock.c:L25", "lock.c:25", &expected);
}

#[test]
fn an_anchor_in_a_plain_comment() {
    let expected = [
        "Include/cpython/lock.h:7: GATE_SHUT is neither mirrored nor in parity/ledger.toml",
        "crates/gate/src/lib.rs:18: an anchor is a doc comment: `/// CPython: …`",
    ];
    broken(
        LIB,
        "/// CPython: Include/cpython/lock.h:L7",
        "// CPython: Include/cpython/lock.h:L7",
        &expected,
    );
}

#[test]
fn stale_ledger_entry_for_what_is_mirrored() {
    let fixture = Fixture::new();
    let entry = "\n[[entry]]\nfile = \"Python/lock.c\"\nsymbols = [\"waiter\"]\nreason = \"Nobody waits.\"\n";
    fixture.write("parity/ledger.toml", &format!("{LEDGER}{entry}"));
    let expected =
        "parity/ledger.toml:13: stale: waiter is mirrored by Waiter at crates/gate/src/lib.rs:7";
    assert_eq!(fixture.problems(&[]), [expected]);
}

#[test]
fn stale_ledger_entry_for_what_markers_cover() {
    let fixture = Fixture::new();
    fixture.edit(LIB, "// L20: what std calls it", "// L18-L20: what std calls it");
    let expected = "parity/ledger.toml:7: stale: markers cover lines 18 of give_way";
    assert_eq!(fixture.problems(&[]), [expected]);
    let ran = fixture.run(&["parity", "--symbol", "give_way", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let lines = serde_json::json!({ "all": 4, "mirrored": 4, "ledger": 0 });
    assert_eq!(json["symbols"][0]["lines"], lines, "the marker outweighs the ledger");
}

#[test]
fn stale_ledger_entry_for_what_is_gone() {
    let expected = [
        "Python/lock.c:7: SPINS is neither mirrored nor in parity/ledger.toml",
        "parity/ledger.toml:1: stale: there is no TURNS in Python/lock.c of CPython 3.13.15",
    ];
    broken("parity/ledger.toml", "\"SPINS\"", "\"TURNS\"", &expected);
}

#[test]
fn stale_ledger_entry_for_lines_elsewhere() {
    let expected = "parity/ledger.toml:7: stale: lines 28 of Python/lock.c are not in give_way";
    broken("parity/ledger.toml", "\"18\"", "\"18 28\"", &[expected]);
}

#[test]
fn ledger_entry_for_no_code() {
    let expected = [
        "Python/lock.c:18: L18 of give_way: no marker and no ledger entry",
        "parity/ledger.toml:7: this entry accounts for no code line",
    ];
    broken("parity/ledger.toml", "\"18\"", "\"17\"", &expected);
    broken("parity/ledger.toml", "\"18\"", "\"\"", &expected);
    let fixture = Fixture::new();
    let entry = "\n[[entry]]\nfile = \"Python/lock.c\"\nsymbols = []\nreason = \"None.\"\n";
    fixture.write("parity/ledger.toml", &format!("{LEDGER}{entry}"));
    let expected = "parity/ledger.toml:13: this entry accounts for no code line";
    assert_eq!(fixture.problems(&[]), [expected]);
}

#[test]
fn ledger_entry_given_twice() {
    let fixture = Fixture::new();
    fixture.write("parity/ledger.toml", &format!("{LEDGER}\n{LEDGER}"));
    let expected = [
        "parity/ledger.toml:13: SPINS is in the ledger already, at line 1",
        "parity/ledger.toml:19: give_way is in the ledger already, at line 7",
    ];
    assert_eq!(fixture.problems(&[]), expected);
}

#[test]
fn ledger_entry_without_a_reason() {
    let expected = "parity/ledger.toml:7: this entry gives no reason";
    broken("parity/ledger.toml", "On Windows std does it.", " ", &[expected]);
}

#[test]
fn unknown_deviation() {
    let expected = [
        "crates/gate/src/lib.rs:33: deviation D02 has no entry in docs/deviations.md",
        "docs/deviations.md:3: no tag leads to deviation D01; remove the entry",
    ];
    broken(LIB, "Deviation D01", "Deviation D02", &expected);
}

#[test]
fn unused_deviation() {
    let expected = "docs/deviations.md:6: no tag leads to deviation D02; remove the entry";
    broken("docs/deviations.md", "Because.\n", "Because.\n### D02 thrice\n", &[expected]);
}

#[test]
fn ledger_that_grows_too_large() {
    let fixture = Fixture::new();
    fixture.edit("parity/ledger.toml", "\"18\"", "\"15-20\"");
    fixture.edit(LIB, "    // L20: what std calls it\n", "");
    let expected = "parity/ledger.toml:1: the ledger accounts for 4 of 21 code lines; \
                    it has to stay under 15 %";
    assert_eq!(fixture.problems(&[]), [expected]);
}

#[test]
fn uncovered_line() {
    let expected = "Python/lock.c:33: L33 of Gate_Enter: no marker and no ledger entry";
    broken(LIB, "// L33: open", "// open", &[expected]);
}

#[test]
fn uncovered_lines() {
    let expected = [
        "Python/lock.c:27: L27-L28 of Gate_Enter: no marker and no ledger entry",
        "Python/lock.c:31: L31 of Gate_Enter: no marker and no ledger entry",
    ];
    broken(LIB, "// L27-L31: shut", "// L29-L30: shut", &expected);
}

#[test]
fn marker_outside_of_its_function() {
    let expected = [
        "Python/lock.c:33: L33 of Gate_Enter: no marker and no ledger entry",
        "crates/gate/src/lib.rs:38: marker outside of its function: Gate::enter mirrors Gate_Enter (lock.c:L24-L34)",
    ];
    broken(LIB, "// L33: open", "// L33-L40: open", &expected);
}

#[test]
fn marker_in_no_item() {
    let expected = "crates/gate/src/lib.rs:41: this marker stands in no item with an anchor";
    broken(LIB, "        true\n    }\n", "        true\n    }\n// L33: lost\n", &[expected]);
}

#[test]
fn marker_for_another_file() {
    let expected = [
        "Python/lock.c:33: L33 of Gate_Enter: no marker and no ledger entry",
        "crates/gate/src/lib.rs:38: marker outside of its function: Gate::enter mirrors nothing there",
    ];
    broken(LIB, "// L33: open", "// lock.h:L33: open", &expected);
}

#[test]
fn marker_that_covers_no_code() {
    let expected = [
        "Python/lock.c:33: L33 of Gate_Enter: no marker and no ledger entry",
        "crates/gate/src/lib.rs:38: L32 of Gate_Enter is no code",
    ];
    broken(LIB, "// L33: open", "// L32: open", &expected);
}

#[test]
fn bare_marker_counts_its_lines() {
    broken(LIB, "// L33: open", "// L33", &[]);
    broken(LIB, "// L27-L31: shut", "// L27-L30, L31", &[]);
    broken(LIB, "// L27-L31: shut", "// lock.c:L27-L31", &[]);
    broken(LIB, "// L27-L31: shut", "// Python/lock.c:L27-L31", &[]);
}

#[test]
fn bare_marker_is_audited_like_any_other() {
    let expected = [
        "Python/lock.c:33: L33 of Gate_Enter: no marker and no ledger entry",
        "crates/gate/src/lib.rs:38: L32 of Gate_Enter is no code",
    ];
    broken(LIB, "// L33: open", "// L32", &expected);
    let expected = [
        "Python/lock.c:33: L33 of Gate_Enter: no marker and no ledger entry",
        "crates/gate/src/lib.rs:38: marker outside of its function: Gate::enter mirrors Gate_Enter (lock.c:L24-L34)",
    ];
    broken(LIB, "// L33: open", "// L33-L40", &expected);
}

#[test]
fn marker_that_gives_an_empty_reason() {
    let expected = "crates/gate/src/lib.rs:38: this marker gives no reason; write `// L95-L102: why`, \
                    or `// L95-L102` where there is none to give";
    broken(LIB, "// L33: open", "// L33:", &[expected]);
    broken(LIB, "// L33: open", "// L33: ", &[expected]);
    let silent = [
        expected,
        "crates/gate/src/lib.rs:38: this marker says that it is out of order, and it is not",
    ];
    broken(LIB, "// L33: open", "// L33: out of order", &silent);
}

#[test]
fn marker_in_no_form() {
    let expected = [
        "Python/lock.c:33: L33 of Gate_Enter: no marker and no ledger entry",
        "crates/gate/src/lib.rs:38: not a marker: `// L33 open`; the form is `// L95-L102: why` or `// L95-L102`",
    ];
    broken(LIB, "// L33: open", "// L33 open", &expected);
    let expected = [expected[0], &expected[1].replace("L33 open", "L33; open")];
    broken(LIB, "// L33: open", "// L33; open", &expected);
}

#[test]
fn marker_going_backwards_without_saying_so() {
    let backwards = "// L33: open first\n        let _ = self.bits;\n        // L27-L31: shut";
    let expected = "crates/gate/src/lib.rs:33: L27 of Gate_Enter after L33: markers climb; if Rust does it in \
         another order, write `// L27: out of order: why`";
    broken(LIB, "// L27-L31: shut", backwards, &[expected]);

    for said in [
        backwards.replace("L33: open first", "L33: out of order: open first"),
        backwards.replace("L31: shut", "L31: out of order: shut"),
    ] {
        broken(LIB, "// L27-L31: shut", &said, &[]);
    }
}

#[test]
fn bare_marker_going_backwards() {
    let backwards = "// L33\n        let _ = self.bits;\n        // L27-L31";
    let expected = "crates/gate/src/lib.rs:33: L27 of Gate_Enter after L33: markers climb; if Rust does it in \
         another order, write `// L27: out of order: why`";
    broken(LIB, "// L27-L31: shut", backwards, &[expected]);
    // To say that it is out of order is to give a reason.
    let expected = [
        "Python/lock.c:33: L33 of Gate_Enter: no marker and no ledger entry",
        "crates/gate/src/lib.rs:38: not a marker: `// L33 out of order`; the form is `// L95-L102: why` or `// L95-L102`",
    ];
    broken(LIB, "// L33: open", "// L33 out of order", &expected);
}

#[test]
fn marker_that_says_it_is_out_of_order_and_is_not() {
    let expected =
        "crates/gate/src/lib.rs:38: this marker says that it is out of order, and it is not";
    broken(LIB, "// L33: open", "// L33: out of order: open", &[expected]);
}

#[test]
fn marker_that_bless_could_not_place() {
    let expected = [
        "Python/lock.c:33: L33 of Gate_Enter: no marker and no ledger entry",
        "crates/gate/src/lib.rs:38: L33? are lines of an earlier version that `bless` could not place; read the C again",
    ];
    broken(LIB, "// L33: open", "// L33?: open", &expected);
}

#[test]
fn several_items_may_mirror_a_symbol_and_an_item_several() {
    let fixture = Fixture::new();
    fixture.edit(LIB, "/// CPython: Python/lock.c:L15 give_way\n", "");
    fixture.edit(LIB, "    // L20: what std calls it\n", "");
    fixture.edit(LIB, "/// Goes in.\n", "/// CPython: Python/lock.c:L15 give_way\n");
    fixture.edit(LIB, "// L27-L31: shut", "// L20, L27-L31: shut");
    assert_eq!(fixture.problems(&[]), [""; 0]);
    let table = fixture.run(&["parity", "--symbol", "give_way"]).stdout;
    assert!(table.contains("Gate::enter"), "{table}");
}

#[test]
fn the_table_fits_and_says_it_all() {
    let fixture = Fixture::new();
    let table = fixture.run(&["parity"]).stdout;
    assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
    let row = table.lines().find(|line| line.starts_with("Gate_Enter")).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(
        words,
        ["Gate_Enter", "25", "99", "Gate::enter", "gate/lib.rs:30", "7/7", "mirrored"]
    );
    assert!(
        table.contains("7 symbols, 6 mirrored, 1 in the ledger, 0 missing: 100 % accounted for"),
        "{table}"
    );
    assert!(!table.contains('\x1b'), "{table}");
}

#[test]
fn narrowed_to_a_file_or_a_symbol() {
    let fixture = Fixture::new();
    fixture.edit(LIB, "L25 Gate_Enter", "L24 Gate_Enter");
    let ran = fixture.run(&["parity", "--file", "lock.h"]);
    assert_eq!(ran.code, 1, "the exit code speaks of everything");
    assert!(ran.stdout.contains("GATE_SHUT") && !ran.stdout.contains("Gate_Enter"), "{ran:?}");
    assert!(ran.stdout.ends_with("no problems here, 1 problem elsewhere\n"), "{ran:?}");

    let ran = fixture.run(&["parity", "--symbol", "Gate_Enter"]);
    assert!(ran.stdout.contains("wrong line") && !ran.stdout.contains("GATE_SHUT"), "{ran:?}");

    let error = fixture.run(&["parity", "--symbol", "gate_enter"]);
    assert_eq!(
        error.error(),
        "CPython 3.13.15 has no symbol \"gate_enter\" in the covered files; did you mean Gate_Enter?"
    );
    let error = fixture.run(&["parity", "--file", "clock.c"]);
    assert!(
        error.error().starts_with("no covered C file is called \"clock.c\"; they are lock.c, "),
        "{error:?}"
    );
}

#[test]
fn json_says_it_too() {
    let fixture = Fixture::new();
    fixture.edit(LIB, "L25 Gate_Enter", "L24 Gate_Enter");
    let ran = fixture.run(&["parity", "--format", "json"]);
    assert_eq!(ran.code, 1);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["totals"]["symbols"], 7);
    assert_eq!(json["problems"][0]["path"], LIB);
    assert_eq!(json["problems"][0]["line"], 29);
    let enter = json["symbols"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["symbol"] == "Gate_Enter")
        .unwrap();
    assert_eq!(enter["rust"][0]["item"], "Gate::enter");
    assert_eq!(enter["lines"]["all"], 7);
}

#[test]
fn markdown_is_a_table_with_links() {
    let ran = Fixture::new().run(&["parity", "--format", "markdown"]);
    assert!(ran.stdout.starts_with("# CPython 3.13.15, symbol by symbol\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\n## Include/cpython/lock.h\n"), "{}", ran.stdout);
    let expected =
        "| `Gate_Enter` | 25 | 99 | [`Gate::enter`](../crates/gate/src/lib.rs) | 7/7 | mirrored |";
    assert!(ran.stdout.lines().any(|line| line == expected), "{}", ran.stdout);
}
