//! The mutants, on a workspace of three packages: which are run, which survive, and which need not be run
//! since nothing that they depend on has changed.

mod fixture;

use std::process::Command;

use fixture::{Fixture, Ran};

const UNCHANGED: &str = "unchanged since all its mutants were killed";

/// `high` stands on `low`. Each has a mutant and a test that kills it; `aside` has both too.
fn workspace() -> Fixture {
    let fixture = Fixture::new();
    fixture.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n");
    let toolchain = concat!(env!("CARGO_MANIFEST_DIR"), "/../rust-toolchain.toml");
    fixture.write("rust-toolchain.toml", &std::fs::read_to_string(toolchain).unwrap());
    fixture.write(".gitignore", "target\nci/mutants.verified\n");
    std::fs::remove_dir_all(fixture.path("crates/gate")).unwrap();
    let mut mutants = String::new();
    for (name, dependency) in [("low", ""), ("high", "low = { path = \"../low\" }"), ("aside", "")]
    {
        let folder = format!("crates/{name}");
        fixture.write(
            &format!("{folder}/Cargo.toml"),
            &format!(
                "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
                 [dependencies]\n{dependency}\n"
            ),
        );
        fixture.write(&format!("{folder}/src/lib.rs"), "pub fn two() -> u32 {\n    1 + 1\n}\n");
        fixture.write(
            &format!("{folder}/tests/sum.rs"),
            &format!("#[test]\nfn sum() {{\n    assert_eq!({name}::two(), 2);\n}}\n"),
        );
        mutants.push_str(&format!(
            "[[mutant]]\nname = \"{name}/sum\"\nfile = \"{folder}/src/lib.rs\"\nafter = \"two\"\n\
             find = \"1 + 1\"\nreplace = \"1 + 2\"\n\
             killed_by = {{ tool = \"test\", package = \"{name}\", target = \"sum\", tests = \"\" }}\n\n"
        ));
    }
    fixture.write("ci/mutants.toml", &mutants);
    let git = Command::new("git").args(["init", "--quiet"]).current_dir(fixture.path("")).status();
    assert!(git.unwrap().success());
    fixture
}

fn mutants(fixture: &Fixture, args: &[&str]) -> Ran {
    let ran = fixture.run(&[&["mutants"], args].concat());
    assert!([0, 1].contains(&ran.code), "{ran:?}");
    ran
}

/// The packages that were left out, and the mutants that were run, with what has become of each.
fn seen(ran: &Ran) -> (Vec<&str>, Vec<(&str, &str)>) {
    let left_out = ran.stdout.lines().filter_map(|line| line.strip_suffix(UNCHANGED));
    let left_out = left_out.map(|line| line.trim_end_matches([':', ' '])).collect();
    let of_mutant = |line: &'_ str| line.contains("/sum ");
    let mutants = ran.stdout.lines().filter(|line| of_mutant(line)).map(|line| {
        let mut words = line.split_whitespace();
        (words.next().unwrap(), words.next().unwrap())
    });
    (left_out, mutants.collect())
}

#[test]
fn only_what_has_changed_is_run_again() {
    let fixture = workspace();
    let all = [("low/sum", "killed"), ("high/sum", "killed"), ("aside/sum", "killed")];

    // Nothing is recorded, and nothing is without being asked for.
    assert_eq!(seen(&mutants(&fixture, &["--changed"])), (vec![], all.to_vec()));
    assert_eq!(seen(&mutants(&fixture, &["--changed", "--record"])), (vec![], all.to_vec()));
    let ran = mutants(&fixture, &["--changed"]);
    assert_eq!(seen(&ran), (vec!["aside", "high", "low"], vec![]));
    assert!(ran.stdout.contains("0 mutants"), "{ran:?}");

    // Who stands on what has changed is run too.
    fixture.edit("crates/low/src/lib.rs", "1 + 1", "/* one */ 1 + 1");
    let (left_out, run) = (vec!["aside"], vec![("low/sum", "killed"), ("high/sum", "killed")]);
    assert_eq!(seen(&mutants(&fixture, &["--changed"])), (left_out, run));

    // A test, and the mutant itself, count as well.
    fixture.edit("crates/low/src/lib.rs", "/* one */ ", "");
    fixture.edit("crates/aside/tests/sum.rs", "2);", "2, \"two\");");
    assert_eq!(seen(&mutants(&fixture, &["--changed"])).1, [("aside/sum", "killed")]);
    fixture.edit("crates/aside/tests/sum.rs", "2, \"two\");", "2);");
    let list = fixture.read("ci/mutants.toml");
    fixture.write("ci/mutants.toml", &list.replacen("1 + 2", "1 + 3", 1));
    assert_eq!(seen(&mutants(&fixture, &["--changed"])).1, [("low/sum", "killed")]);
}

/// The copy of an earlier run is used again, without the files that have been moved since.
#[test]
fn a_file_that_is_gone_is_not_seen() {
    let fixture = workspace();
    let aside = ["aside/sum"];
    assert_eq!(seen(&mutants(&fixture, &aside)).1, [("aside/sum", "killed")]);
    let test = fixture.read("crates/aside/tests/sum.rs");
    std::fs::remove_file(fixture.path("crates/aside/tests/sum.rs")).unwrap();
    fixture.write("crates/aside/tests/sum/main.rs", &test);
    assert_eq!(seen(&mutants(&fixture, &aside)).1, [("aside/sum", "killed")]);
}

#[test]
fn a_mutant_whose_test_has_another_name_is_an_error() {
    let fixture = workspace();
    let list = fixture.read("ci/mutants.toml");
    fixture.write("ci/mutants.toml", &list.replacen("tests = \"\"", "tests = \"product\"", 1));
    let ran = fixture.run(&["mutants", "low/sum"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("test low sum product: no test has such a name"), "{ran:?}");
}

#[test]
fn a_package_that_is_left_out_is_neither_run_nor_recorded() {
    let fixture = workspace();
    let rest = [("low/sum", "killed"), ("high/sum", "killed")];
    let ran = mutants(&fixture, &["--changed", "--record", "--except", "aside"]);
    assert_eq!(seen(&ran), (vec![], rest.to_vec()));
    assert!(ran.stdout.contains("aside: left out"), "{ran:?}");
    assert_eq!(seen(&mutants(&fixture, &["--changed"])).1, [("aside/sum", "killed")]);

    let ran = fixture.run(&["mutants", "--except", "beside"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--except beside: no mutant belongs to that package"), "{ran:?}");
}

#[test]
fn what_survives_is_not_recorded() {
    let fixture = workspace();
    fixture.edit("crates/aside/tests/sum.rs", "aside::two(), 2", "aside::two() > 0, true");
    let ran = mutants(&fixture, &["--record"]);
    assert_eq!(ran.code, 1);
    assert!(seen(&ran).1.contains(&("aside/sum", "SURVIVED")), "{ran:?}");
    let again = mutants(&fixture, &["--changed"]);
    assert_eq!(seen(&again), (vec!["high", "low"], vec![("aside/sum", "SURVIVED")]));
    assert_eq!(again.code, 1);

    // Nor is a package of which only some were run.
    fixture.edit("crates/aside/tests/sum.rs", "aside::two() > 0, true", "aside::two(), 2");
    let one = "[[mutant]]\nname = \"aside/other\"\nfile = \"crates/aside/src/lib.rs\"\nafter = \"two\"\n\
               find = \"1 + 1\"\nreplace = \"0\"\n\
               killed_by = { tool = \"test\", package = \"aside\", target = \"sum\", tests = \"\" }\n";
    fixture.write("ci/mutants.toml", &(fixture.read("ci/mutants.toml") + one));
    assert_eq!(mutants(&fixture, &["--record", "aside/other"]).code, 0);
    assert_eq!(seen(&mutants(&fixture, &["--changed"])).1, [("aside/sum", "killed")]);
}
