//! The CI runner, on scripts of our own.

mod fixture;

use fixture::Fixture;

fn with_scripts(scripts: &[(&str, &str)]) -> Fixture {
    let fixture = Fixture::new();
    for (step, script) in scripts {
        fixture.write(&format!("ci/{step}.sh"), script);
    }
    fixture
}

/// Step and result of each line of the summary.
fn summary(stdout: &str) -> Vec<(String, String)> {
    let lines = stdout.lines().skip_while(|line| !line.starts_with("step")).skip(1);
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let step = words.next().unwrap().to_owned();
            let rest: Vec<&str> = words.filter(|word| word.parse::<f64>().is_err()).collect();
            (step, rest.join(" "))
        })
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(step, result)| ((*step).to_owned(), (*result).to_owned())).collect()
}

#[test]
fn says_how_each_step_went() {
    let fixture = with_scripts(&[
        ("fmt", "echo fine"),
        ("doc", "echo skipped by one part; echo documented"),
        ("loom", "echo looking; echo 'skipped: no nightly here'; echo"),
        ("clippy", "echo bad; exit 3"),
        ("test", "echo never"),
    ]);
    let ran = fixture.run(&["ci", "fmt", "doc", "loom", "clippy", "test"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.starts_with("==> fmt\nfine\n==> doc\n"), "{ran:?}");
    assert!(!ran.stdout.contains("never"), "{ran:?}");
    let expected = [
        ("fmt", "ok"),
        ("doc", "ok"),
        ("loom", "skipped"),
        ("clippy", "FAILED"),
        ("test", "not run"),
    ];
    assert_eq!(summary(&ran.stdout), pairs(&expected));
}

#[test]
fn keeps_going_when_told_to() {
    let fixture = with_scripts(&[("fmt", "exit 1"), ("test", "echo tested")]);
    let ran = fixture.run(&["ci", "--keep-going", "fmt", "test"]);
    assert_eq!(ran.code, 1);
    assert_eq!(summary(&ran.stdout), pairs(&[("fmt", "FAILED"), ("test", "ok")]));
}

#[test]
fn runs_in_the_root_and_is_happy_when_all_are() {
    let fixture = with_scripts(&[("fmt", "test -f ci/fmt.sh"), ("doc", "echo skipped")]);
    let ran = fixture.run(&["ci", "doc", "fmt"]);
    assert_eq!(ran.code, 0);
    assert_eq!(summary(&ran.stdout), pairs(&[("doc", "skipped"), ("fmt", "ok")]));
}

#[test]
fn unknown_steps_and_missing_scripts_stop_it_before_it_starts() {
    let fixture = with_scripts(&[("fmt", "echo started")]);
    let unknown = fixture.run(&["ci", "fmt", "lint"]);
    let expected = "no CI step is called \"lint\"; the steps are fmt, clippy, ";
    assert!(unknown.error().starts_with(expected), "{unknown:?}");
    let missing = fixture.run(&["ci", "fmt", "clippy"]);
    assert_eq!(missing.error(), "ci/clippy.sh: no such script; the step clippy is that file");
}
