use super::{Range, RustFile};

fn parse(text: &str) -> RustFile {
    RustFile::parse("a.rs", text).unwrap()
}

/// Symbol and item of every anchor.
fn anchors(text: &str) -> Vec<(String, String)> {
    let file = parse(text);
    assert_eq!(file.malformed, [], "{text}");
    file.anchors
        .iter()
        .map(|anchor| (anchor.symbol.clone(), file.items[anchor.item].name.clone()))
        .collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(symbol, item)| ((*symbol).to_owned(), (*item).to_owned())).collect()
}

#[test]
fn anchors_stand_on_items_of_every_kind() {
    let found = anchors(
        "/// CPython: a.c:L1 s\nstruct S {\n    /// CPython: a.c:L2 field\n    field: u8,\n}\n\
         impl<T> Drop for S<T> {\n    /// CPython: a.c:L3 f\n    #[inline]\n    fn drop(&mut self) {}\n}\n\
         enum E {\n    /// CPython: a.c:L4 v\n    V = 1,\n}\n\
         /// CPython: a.c:L5 T\n/// CPython: a.c:L6 T2\npub(crate) static TABLE: u8 = 1;\n\
         trait Tr {\n    /// CPython: a.c:L7 g\n    fn g() {\n        /// CPython: a.c:L8 inner\n        fn inner() {}\n    }\n}\n\
         /// CPython: a.c:L9 M\nmacro_rules! m { () => {} }\n",
    );
    let expected = [
        ("s", "S"),
        ("field", "S::field"),
        ("f", "S::drop"),
        ("v", "E::V"),
        ("T", "TABLE"),
        ("T2", "TABLE"),
        ("g", "Tr::g"),
        ("inner", "Tr::g::inner"),
        ("M", "m!"),
    ];
    assert_eq!(found, owned(&expected));
}

#[test]
fn anchors_are_found_in_macro_input() {
    let found = anchors(
        "bitflags! {\n    /// CPython: a.c:L1 flags\n    #[derive(Clone)]\n    pub struct Flags: u32 {\n        \
         /// CPython: a.c:L2 DETACH\n        const DETACH = 1;\n        /// CPython: a.c:L3 HANDLE\n        const HANDLE = 2;\n    }\n}\n\
         impl S {\n    const_fn! {\n        /// CPython: a.c:L4 new\n        pub const fn new() -> Self { S }\n    }\n}\n\
         fn f() { thread_local! { /// CPython: a.c:L5 HEAD\n static HEAD: Cell<u8> = 0; } }\n",
    );
    let expected = [
        ("flags", "Flags"),
        ("DETACH", "Flags::DETACH"),
        ("HANDLE", "Flags::HANDLE"),
        ("new", "S::new"),
        ("HEAD", "f::HEAD"),
    ];
    assert_eq!(found, owned(&expected));
}

#[test]
fn what_looks_like_an_anchor_and_is_none_is_said() {
    let file = parse(
        "//! CPython: a.c:L1 module\n/// CPython: a.c:53 no_l\nfn f() {\n    // CPython: a.c:L3 plain\n    \
         let s = \"/// CPython: a.c:L9 string\";\n}\n/// CPython: a.c:L4 adapted (adapted)\nfn g() {}\n",
    );
    let mut said: Vec<String> = file.malformed.iter().map(ToString::to_string).collect();
    said.sort();
    let form = "the form is `/// CPython: Python/lock.c:L53 _PyMutex_LockTimed`";
    let expected = [
        "a.rs:1: an anchor stands on an item, with `///`".to_owned(),
        format!("a.rs:2: not an anchor: \"CPython: a.c:53 no_l\"; {form}"),
        "a.rs:4: an anchor is a doc comment: `/// CPython: …`".to_owned(),
        format!("a.rs:7: not an anchor: \"CPython: a.c:L4 adapted (adapted)\"; {form}"),
    ];
    assert_eq!(said, expected);
    assert_eq!(file.anchors, []);
}

#[test]
fn reads_markers() {
    let file = parse(
        "fn f() {\n    // L95-L102: first waiter\n    // L7, L9-L11\n    // lock.h:L45: fast\n    // L10 of `g`: no\n    // Later\n    // L9-L7: no\n    // L8:\n    // lock.h:L47  \n    // L8,\n    // L8; no\n}\n",
    );
    let markers: Vec<_> = file
        .markers
        .iter()
        .map(|m| (m.at, m.file.as_deref(), numbers(&m.ranges), m.why.as_deref()))
        .collect();
    assert_eq!(
        markers,
        [
            (2, None, vec![(95, 102, false)], Some("first waiter")),
            (3, None, vec![(7, 7, false), (9, 11, false)], None),
            (4, Some("lock.h"), vec![(45, 45, false)], Some("fast")),
            (8, None, vec![(8, 8, false)], Some("")),
            (9, Some("lock.h"), vec![(47, 47, false)], None),
        ]
    );
    let odd: Vec<u32> = file.malformed.iter().map(|problem| problem.line).collect();
    assert_eq!(odd, [5, 7, 10, 11]);
}

fn numbers(ranges: &[Range]) -> Vec<(u32, u32, bool)> {
    ranges.iter().map(|range| (range.first, range.last, range.unplaced)).collect()
}

#[test]
fn reads_what_markers_say_about_themselves() {
    let file = parse(
        "fn f() {\n    // L7: out of order: the clock first\n    // L8: out of order\n    // L9: out of orderly\n    // L3-L4?, L10: lost\n}\n",
    );
    let said: Vec<_> = file.markers.iter().map(|m| (m.out_of_order, m.why.as_deref())).collect();
    let expected = [
        (true, Some("the clock first")),
        (true, Some("")),
        (false, Some("out of orderly")),
        (false, Some("lost")),
    ];
    assert_eq!(said, expected);
    assert_eq!(numbers(&file.markers[3].ranges), [(3, 4, true), (10, 10, false)]);
}

#[test]
fn reads_deviation_tags() {
    let file = parse(
        "// Deviation D07: why\nfn f() {} // Deviation D12: why\n// see Deviation D08: not a tag\n",
    );
    let tags: Vec<_> = file.tags.iter().map(|tag| (tag.id.as_str(), tag.at)).collect();
    assert_eq!(tags, [("D07", 1), ("D12", 2)]);
}

#[test]
fn the_innermost_item_comes_first() {
    let file = parse(
        "/// doc\nimpl S {\n    /// doc\n    fn f() {\n        fn g() {\n        }\n    }\n}\n",
    );
    let names =
        |line| file.enclosing(line).map(|at| file.items[at].name.as_str()).collect::<Vec<_>>();
    assert_eq!(names(5), ["S::f::g", "S::f", "impl S"]);
    assert_eq!(names(3), ["S::f", "impl S"]);
    assert_eq!(names(1), ["impl S"]);
}

#[test]
fn what_is_not_rust_is_one_line() {
    let error = RustFile::parse("a.rs", "fn f() {\n    let = ;\n}\n").unwrap_err().to_string();
    assert!(error.starts_with("a.rs:2: not Rust (expected "), "{error}");
}
