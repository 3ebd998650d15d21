//! The site as files; `tests/site.rs` looks at it in a browser.

mod fixture;

use std::collections::BTreeMap;
use std::path::Path;

use fixture::{Fixture, RUST};

const REPORT: [&str; 6] = ["parity", "report", "--cpython", "cpython", "--out", "site"];
const LIB: &str = "crates/gate/src/lib.rs";

fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(at) = left.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

#[track_caller]
fn report(fixture: &Fixture) -> BTreeMap<String, String> {
    let ran = fixture.run(&REPORT);
    assert!(ran.code < 2, "{ran:?}");
    files(&fixture.path("site"))
}

/// The line of HTML that holds a C or a Rust row is too long to compare: what is in its `<code>`.
#[track_caller]
fn row<'a>(page: &'a str, id: &str) -> &'a str {
    let start = page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id}"));
    let start = page[..start].rfind('<').unwrap();
    &page[start..start + page[start..].find("</div>").unwrap()]
}

#[test]
fn says_what_it_wrote() {
    let fixture = Fixture::new();
    let ran = fixture.run(&REPORT);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "site/index.html: 11 pages\n"), "{ran:?}");
    let site = files(&fixture.path("site"));
    for page in ["index.html", "lock.c.html", "lock.h.html", "deviations.html", "assets/site.js"] {
        assert!(site.contains_key(page), "{page}");
    }

    fixture.edit(LIB, "L25 Gate_Enter", "L24 Gate_Enter");
    let ran = fixture.run(&REPORT);
    let said = "site/index.html: 11 pages; 1 problem, on the first page\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (1, said), "{ran:?}");
    let site = files(&fixture.path("site"));
    assert!(site["index.html"].contains("wrong line: Gate_Enter is at Python&#x2f;lock.c:L25"));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let fixture = Fixture::new();
    let first = report(&fixture);
    std::fs::write(fixture.path("source.tar"), fixture.tar("cpython")).unwrap();
    let ran = fixture.run(&["parity", "report", "--cpython", "source.tar", "--out", "site"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(files(&fixture.path("site")), first);
}

#[test]
fn every_line_of_the_c_is_there_once_with_its_status() {
    let fixture = Fixture::new();
    let site = report(&fixture);
    let page = &site["lock.c.html"];
    for line in 1..=fixture::LOCK_C.lines().count() {
        assert_eq!(page.matches(&format!("id=\"L{line}\"")).count(), 1, "L{line}");
    }
    for (line, state) in
        [("L5", "mirrored"), ("L7", "ledger"), ("L18", "ledger"), ("L33", "mirrored")]
    {
        assert!(row(page, line).starts_with(&format!("<div class=\"row {state}")), "{line}");
    }
    for line in ["L1", "L4", "L17", "L29"] {
        let row = row(page, line);
        assert!(!row.contains("mirrored") && !row.contains("ledger"), "{row}");
    }
    // Nobody mirrors it any more.
    fixture.edit(LIB, "/// CPython: Python/lock.c:L10 waiter\n", "");
    let site = report(&fixture);
    assert!(row(&site["lock.c.html"], "L11").starts_with("<div class=\"row missing"));
    assert!(site["lock.c.html"].contains("Neither mirrored nor in the ledger."));
}

/// The blocks of a row.
fn blocks(row: &str) -> Vec<String> {
    let Some((_, rest)) = row.split_once("data-b=\"") else { return Vec::new() };
    rest.split('"').next().unwrap().split(' ').map(str::to_owned).collect()
}

#[test]
fn blocks_join_the_lines_that_markers_name() {
    let fixture = Fixture::new();
    let page = &report(&fixture)["lock.c.html"];
    let shut = blocks(row(page, "L27"));
    assert_eq!(shut.len(), 1, "one card, one block");
    for line in ["L28", "L29", "L30", "L31"] {
        assert_eq!(blocks(row(page, line)), shut, "{line}");
    }
    let open = blocks(row(page, "L33"));
    let head = blocks(row(page, "L25"));
    assert!(open != shut && head != shut && head != open);
    assert!(blocks(row(page, "L32")).is_empty());

    // On the right the marker and all that follows it, up to the next marker.
    let rust = |line: usize| {
        let label = format!("aria-label=\"Line {line}, stands for line ");
        let at = page.find(&label)?;
        let start = page[..at].rfind("<div class=\"row").unwrap();
        Some(blocks(&page[start..at]))
    };
    let numbered: Vec<(usize, &str)> = (1..).zip(RUST.lines()).collect();
    let line = |text: &str| numbered.iter().find(|(_, line)| line.contains(text)).unwrap().0;
    for number in line("L27-L31: shut")..line("L33: open") {
        assert_eq!(rust(number), Some(shut.clone()), "line {number}");
    }
    assert_eq!(rust(line("L33: open")), Some(open.clone()));
    assert_eq!(rust(line("L33: open") + 1), Some(open));
    assert_eq!(rust(line("pub fn enter")), Some(head));
    assert_eq!(rust(line("L33: open") + 2), None, "a closing brace stands for nothing");
}

#[test]
fn markers_deviations_and_the_ledger_are_shown_where_they_apply() {
    let fixture = Fixture::new();
    fixture.edit("docs/deviations.md", "Because.", "Because `a < b`, see [there](x.md).");
    let site = report(&fixture);
    let page = &site["lock.c.html"];
    assert!(
        page.contains("<a href=\"lock.c.html#L27\">L27-L31</a><span class=\"why\">: shut</span>")
    );
    assert!(page.contains("<b>D01</b> <span>twice</span>"), "the deviation's title");
    assert!(page.contains("Because <code>a &lt; b</code>, see there."), "its text");
    assert!(page.contains("On Windows std does it."));
    assert!(page.contains("In the ledger: L18"));
    let deviations = &site["deviations.html"];
    assert!(deviations.contains("href=\"lock.c.html#Gate_Enter\""), "{deviations}");
    let overview = &site["index.html"];
    assert!(overview.contains("href=\"deviations.html#D01\""));
    assert!(overview.contains("Nobody spins with the GIL."));
}

#[test]
fn bare_markers_are_links_without_a_reason() {
    let fixture = Fixture::new();
    fixture.edit(LIB, "// L27-L31: shut", "// L27-L30, L31");
    let page = &report(&fixture)["lock.c.html"];
    let marker = "<span class=\"c\">// <a href=\"lock.c.html#L27\">L27-L30</a>, \
                  <a href=\"lock.c.html#L31\">L31</a></span>";
    assert!(page.contains(marker), "{page}");
    assert_eq!(blocks(row(page, "L27")), blocks(row(page, "L31")));
}

#[test]
fn nothing_is_fetched_and_nothing_is_left_unescaped() {
    let fixture = Fixture::new();
    fixture.edit("cpython/Python/lock.c", "// somebody is inside", "// <script>alert(1)</script>");
    fixture.edit(LIB, "// L33: open", "// L33: <img src=x>");
    fixture.edit("parity/ledger.toml", "Nobody spins", "<b>Nobody</b> spins");
    for (name, text) in report(&fixture) {
        if name.ends_with(".html") {
            for bad in ["<script>alert", "<img", "<b>Nobody"] {
                assert!(!text.contains(bad), "{bad} in {name}");
            }
        }
        for outside in ["http://", "https://", "src=\"//", "@import", "url("] {
            let harmless = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!harmless.contains(outside), "{outside} in {name}");
        }
    }
}

#[test]
fn all_of_it_or_nothing() {
    let fixture = Fixture::new();
    let run = |out: &str| fixture.run(&["parity", "report", "--cpython", "cpython", "--out", out]);
    fixture.write("precious/notes.txt", "mine");
    assert_eq!(
        run("precious").error(),
        "precious: neither empty nor an earlier report; give a new folder"
    );
    assert_eq!(fixture.read("precious/notes.txt"), "mine");
    assert_eq!(
        run("precious/notes.txt").error(),
        "precious/notes.txt: this is a file; give a folder"
    );
    let ran = run("precious/notes.txt/site");
    assert!(ran.error().starts_with("precious/notes.txt/site: cannot write it: "), "{ran:?}");

    // An earlier report is replaced, and files that are no more go with it.
    let first = report(&fixture);
    fixture.write("site/gone.html", "");
    assert_eq!(report(&fixture), first);
    assert_eq!(run("site/").code, 0);
    assert_eq!(run("deep/er/site").code, 0);

    // A failure leaves it as it was, and nothing beside it.
    fixture.write("cpython/Include/patchlevel.h", "");
    assert_eq!(fixture.run(&REPORT).code, 2);
    assert_eq!(files(&fixture.path("site")), first);
    let beside: Vec<String> = std::fs::read_dir(fixture.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".parity"))
        .collect();
    assert_eq!(beside, [""; 0]);
}

#[test]
fn it_needs_the_pinned_source() {
    let fixture = Fixture::new();
    let run =
        |source: &str| fixture.run(&["parity", "report", "--cpython", source, "--out", "site"]);
    assert!(run("nowhere").error().starts_with("nowhere: no such file or folder; "));
    fixture.write_cpython("next", "3.14.0");
    assert_eq!(
        run("next").error(),
        "next: this is CPython 3.14.0, and parity/cpython-3.13.15.toml pins 3.13.15; give that release"
    );
    fixture.edit("cpython/Python/lock.c", "return -1", "return -2");
    assert_eq!(
        run("cpython").error(),
        "cpython: not the source that parity/cpython-3.13.15.toml was made from: Python/lock.c:25: \
         Gate_Enter is not the one of parity/cpython-3.13.15.toml: its text has changed"
    );
    assert!(!fixture.path("site").exists());
}
