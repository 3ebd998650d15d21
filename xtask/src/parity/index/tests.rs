//! C that looks like CPython's, in our own words.

use super::extract::extract;
use super::{Kind, Symbol};

fn symbols(source: &str) -> Vec<Symbol> {
    extract("a.c", source).unwrap().symbols
}

/// Kind, name, anchor line, first and last line.
fn outline(source: &str) -> Vec<(Kind, String, u32, u32, u32)> {
    symbols(source)
        .into_iter()
        .map(|symbol| (symbol.kind, symbol.name, symbol.line, symbol.first, symbol.last))
        .collect()
}

#[track_caller]
fn assert_outline(source: &str, expected: &[(Kind, &str, u32, u32, u32)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(kind, name, line, first, last)| (*kind, (*name).to_owned(), *line, *first, *last))
        .collect();
    assert_eq!(outline(source), expected);
}

#[test]
fn functions_of_every_storage() {
    let source = "int\nopen(void)\n{\n}\n\nstatic Door *\nfind(Door *d)\n{\n}\n\
                  static inline void\nfast(void)\n{\n}\nint one_line(void) { return 1; }\n";
    assert_outline(
        source,
        &[
            (Kind::Function, "open", 2, 1, 4),
            (Kind::StaticFunction, "find", 7, 6, 9),
            (Kind::StaticInline, "fast", 11, 10, 13),
            (Kind::Function, "one_line", 14, 14, 14),
        ],
    );
}

#[test]
fn types_go_by_the_name_that_people_use() {
    let source = "typedef struct {\n    int a, *b;\n} Door;\nstruct entry {\n    int c[4];\n};\n\
                  enum {\n    OPEN = 0,\n    SHUT = -1,\n};\ntypedef enum _state { ON } state;\n\
                  typedef void callback_t(void *arg, int more);\ntypedef unsigned long ident_t;\n";
    assert_outline(
        source,
        &[
            (Kind::Struct, "Door", 1, 1, 3),
            (Kind::Struct, "entry", 4, 4, 6),
            (Kind::Enum, "OPEN", 7, 7, 10),
            (Kind::Enum, "state", 11, 11, 11),
            (Kind::Typedef, "callback_t", 12, 12, 12),
            (Kind::Typedef, "ident_t", 13, 13, 13),
        ],
    );
    let members: Vec<Vec<String>> = symbols(source)
        .into_iter()
        .map(|symbol| symbol.members.into_iter().map(String::from).collect())
        .collect();
    assert_eq!(members[0], ["a:2", "b:2"]);
    assert_eq!(members[1], ["c:5"]);
    assert_eq!(members[2], ["OPEN:8", "SHUT:9"]);
}

#[test]
fn macros_and_the_tables_they_fill() {
    let source = "#define SIZE 17\n#define INIT(b, i) [i] = { .root = ROOT(b[i].root) }\n\
                  #define INIT_2(b, i)   INIT(b, i), \\\n    INIT(b, i+1)\n\
                  static Slot table[SIZE] = {\n    INIT_2(table, 0),\n    INIT(table, 2),\n};\n\
                  static const long WAIT_NS = 10*10;\n#  define INDENTED 1\n";
    assert_outline(
        source,
        &[
            (Kind::Macro, "SIZE", 1, 1, 1),
            (Kind::Macro, "INIT", 2, 2, 2),
            (Kind::Macro, "INIT_2", 3, 3, 4),
            (Kind::Table, "table", 5, 5, 8),
            (Kind::Constant, "WAIT_NS", 9, 9, 9),
            (Kind::Macro, "INDENTED", 10, 10, 10),
        ],
    );
    assert_eq!(symbols(source)[2].head.to_string(), "3-4");
    assert_eq!(symbols(source)[3].head.to_string(), "5-7");
}

#[test]
fn switches_are_no_symbols_but_empty_macros_with_parameters_are() {
    let source =
        "#ifndef GUARD_H\n#define GUARD_H\n#define ASSERT_HELD(op)\n#undef ASSERT_HELD\n#endif\n";
    assert_outline(source, &[(Kind::Macro, "ASSERT_HELD", 3, 3, 3)]);
}

#[test]
fn every_branch_of_a_conditional_is_seen() {
    let source = "#ifdef FAST\nstatic int SPINS = 40;\n#else\nstatic int SPINS = 0;\n#endif\n\
                  #if defined(A) && \\\n    defined(B)\nvoid\nf(void)\n{\n#if A\n    a();\n#elif B\n    if (b) {\n#else\n    {\n#endif\n    }\n#endif\n}\n#endif\nint last;\n";
    let found = outline(source);
    let names: Vec<&str> = found.iter().map(|(_, name, ..)| name.as_str()).collect();
    assert_eq!(names[..3], ["SPINS", "SPINS", "f"]);
}

#[test]
fn declarations_are_kept_apart() {
    let source = "#ifdef __cplusplus\nextern \"C\" {\n#endif\nEXPORT(int) open(Door *d);\nEXPORT(void)\nshut(Door *d,\n     int flags);\n\
                  extern int knock(Door *d);\ntypedef struct Door Door;\nstruct Other;\n#ifdef __cplusplus\n}\n#endif\n";
    let contents = extract("a.h", source).unwrap();
    let declared: Vec<(&str, String)> = contents
        .declarations
        .iter()
        .map(|found| (found.name.as_str(), found.head.to_string()))
        .collect();
    let expected = [("open", "4"), ("shut", "5-7"), ("knock", "8"), ("Door", "9"), ("Other", "10")];
    assert_eq!(declared, expected.map(|(name, lines)| (name, lines.to_owned())));
    assert_eq!(contents.symbols, []);
}

#[test]
fn code_lines_of_a_body() {
    let source = "void\nf(void)\n{\n    // why\n    int a = 1;\n\n    for_each(node, root) {\n        g(a,\n          a);\n    }\n    while (h())\n        ;\n}\n";
    let f = &symbols(source)[0];
    assert_eq!((f.head.to_string().as_str(), f.body.to_string().as_str()), ("1-2", "5 7-9 11-12"));
}

#[test]
fn assertions_and_what_nobody_can_name_are_not_lost() {
    let source =
        "static_assert(sizeof(int) >= 4,\n              \"small\");\nWEIRD_MACRO(x, y)\nint a;\n";
    let found = outline(source);
    assert_eq!(found[0], (Kind::Assertion, "static_assert".to_owned(), 1, 1, 2));
    let lines: Vec<u32> =
        symbols(source).iter().flat_map(|s| s.head.iter().collect::<Vec<_>>()).collect();
    assert_eq!(lines, [1, 2, 3, 4]);
}

#[test]
fn functions_behind_macros_and_in_halves() {
    let source = "Py_NO_INLINE static int\nslow(Door *d)\n{\n}\nEXPORT(void) shown(Door *d)\n{\n}\n\
                  int UNSANITIZED\nfree(Door *d)\n{\n}\n#ifdef A\nint\nknock(int a)\n#else\nint\nknock(void)\n#endif\n{\n    return 1;\n}\n\
                  static int __attribute__((noinline))\nhalved(Door *d)\n{\n#if A\n    if (d) {\n#else\n    if (!d) {\n#endif\n        BEGIN(d);\n        END();\n    }\n}\n\
                  static void (*hook)(int) = NULL;\n";
    assert_outline(
        source,
        &[
            (Kind::StaticFunction, "slow", 2, 1, 4),
            (Kind::Function, "shown", 5, 5, 7),
            (Kind::Function, "free", 9, 8, 11),
            (Kind::Function, "knock", 14, 13, 21),
            (Kind::StaticFunction, "halved", 23, 22, 33),
            (Kind::Constant, "hook", 34, 34, 34),
        ],
    );
    assert_eq!(symbols(source)[4].body.to_string(), "26 28 30-31");
}

#[test]
fn what_cannot_be_parsed_is_one_item_and_not_the_rest_of_the_file() {
    let source = "int before(void)\n{\n    if (x) {\n        y();\n    CLOSE\n}\nint after(void)\n{\n}\n\
                  @@ ??\n)(\nint last;\n";
    let found = outline(source);
    let names: Vec<&str> = found.iter().map(|(_, name, ..)| name.as_str()).collect();
    assert!(names.starts_with(&["before", "after"]) && names.contains(&"last"), "{names:?}");
    assert_eq!((found[0].2, found[0].4), (1, 6));
    assert_eq!((found[1].2, found[1].4), (7, 9));
}

#[test]
fn every_code_line_is_in_an_item() {
    // Nonsense of all kinds, deterministic: a line is taken from here by a simple generator.
    let lines = [
        "int f(void)",
        "{",
        "}",
        "};",
        "#if A",
        "#else",
        "#elif B",
        "#endif",
        "    if (x) {",
        "    }",
        "#define M(x) \\",
        "    (x)",
        "MACRO(a, b)",
        "/* open",
        "close */",
        "struct s {",
        "    int a;",
        "static int t[] = {",
        "    1,",
        "case 1:",
        "\"unclosed",
        "extern \"C\" {",
        "",
    ];
    let mut state = 12345_u32;
    for _ in 0..300 {
        let source: String = (0..40)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                lines[(state >> 8) as usize % lines.len()].to_owned() + "\n"
            })
            .collect();
        let contents = extract("a.c", &source).unwrap();
        let mut left = super::Text::new(&source).code_lines(1, 41);
        for symbol in contents.symbols.iter().chain(&contents.declarations) {
            left = left.minus(&symbol.code());
        }
        assert!(left.is_empty(), "lines {left} of\n{source}");
    }
}

#[test]
fn the_hash_ignores_layout_and_comments_and_nothing_else() {
    let hash = |source: &str| symbols(source)[0].hash.clone();
    let plain = hash("int f(int a) { return a + 1; }\n");
    assert_eq!(plain, hash("/* doc */\nint\nf( int a )\n{\n    // add\n    return a+1;\n}\n"));
    assert_ne!(plain, hash("int f(int a) { return a + 2; }\n"));
    assert_ne!(plain, hash("int f(long a) { return a + 1; }\n"));
}
