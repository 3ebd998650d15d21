//! The binary as a user runs it: every cell is there, and mistakes cost one line.

#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::Value;

const CONTENDERS: [&str; 7] =
    ["std", "pl-0.12", "pl-0.13", "usync", "pthread", "pysync", "faithful"];

fn lockbench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockbench"));
    command.args(arguments).output().expect("the binary runs")
}

/// Runs with tiny windows and reads the JSON.
fn measured(arguments: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("run.json");
    let tiny = ["--quick", "--window", "0.5", "--rounds", "1", "--json", json.to_str().unwrap()];
    let output = lockbench(&[arguments, &tiny].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

fn each<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap()
}

/// What a case says of `key`.
fn case<'a>(cell: &'a Value, key: &str) -> &'a str {
    let pairs = each(cell, "case");
    pairs.iter().find(|pair| pair[0] == key).unwrap()[1].as_str().unwrap()
}

#[test]
fn the_quick_matrix_has_every_cell_and_every_contender() {
    let report = measured(&[]);
    let family = &report["families"][0];
    let mut cells = BTreeSet::new();
    for cell in each(family, "cells") {
        cells.insert(
            ["threads", "inside", "outside", "locks"].map(|key| case(cell, key).to_owned()),
        );
        let contenders: Vec<&str> =
            each(cell, "results").iter().map(|result| text(result, "contender")).collect();
        assert_eq!(contenders, CONTENDERS);
        for result in each(cell, "results") {
            assert_eq!(each(result, "samples").len(), 1);
            for extra in ["jain", "min_by_max", "longest_wait_us", "sleeps_per_1000"] {
                assert!(result["extra"][extra].is_number(), "{extra} in {result}");
            }
        }
    }
    let mut expected = BTreeSet::new();
    for threads in ["1", "2", "4", "8", "16"] {
        for (inside, outside) in [("1", "0"), ("5", "20"), ("100", "0")] {
            expected.insert([threads, inside, outside, "1"].map(str::to_owned));
        }
    }
    assert_eq!(cells, expected);
}

#[test]
fn given_lists_make_the_matrix() {
    let report = measured(&[
        "--threads=2,3",
        "--inside=1,10us",
        "--outside=0,20,200",
        "--locks=1,24",
        "--placement=free,pinned",
        "--contenders=std,pysync",
    ]);
    let cells = each(&report["families"][0], "cells");
    assert_eq!(cells.len(), 2 * 2 * 3 * 2 * 2);
    assert!(cells.iter().all(|cell| each(cell, "results").len() == 2));
}

#[test]
fn every_family_measures_something() {
    let families = [
        "rwlock",
        "seqlock",
        "wake",
        "ping-pong",
        "bucket",
        "cond",
        "buffer",
        "semaphore",
        "timeout",
        "memory",
        "--threads=2",
    ];
    let report = measured(&families);
    let measured: Vec<&str> =
        each(&report, "families").iter().map(|family| text(family, "name")).collect();
    assert_eq!(measured, &families[..10]);
    for family in each(&report, "families") {
        assert!(!each(family, "cells").is_empty(), "{}", family["name"]);
        for result in each(family, "cells").iter().flat_map(|cell| each(cell, "results")) {
            assert!(result["median"].is_number(), "{result}");
        }
    }
}

#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn mutexes_between_processes_are_measured_beside_their_peers() {
    let report = measured(&["robust", "--threads=2"]);
    let robust = ["robust", "posix-sync", "file lock"];
    let expected = [
        ("robust", 1, [&["robust try"], &robust[..], &["pthread", "futex"], &OURS].concat()),
        ("robust contended", 3, [&robust[..], &["pthread", "futex"], &OURS].concat()),
        ("robust death", 2, [&robust[..], &OURS].concat()),
        ("robust waiter", 1, [&robust[..], &["pysync"]].concat()),
    ];
    const OURS: [&str; 2] = ["pysync", "pysync guard"];
    assert_eq!(each(&report, "families").len(), expected.len());
    for (family, (name, cells, contenders)) in each(&report, "families").iter().zip(expected) {
        assert_eq!(text(family, "name"), name);
        assert_eq!(each(family, "cells").len(), cells);
        for cell in each(family, "cells") {
            let found: Vec<&str> =
                each(cell, "results").iter().map(|result| text(result, "contender")).collect();
            let dies = name == "robust death" && case(cell, "owner") == "thread";
            // A file lock lives on with the other threads of its process.
            let able = contenders.iter().filter(|&&name| !(dies && name == "file lock"));
            assert_eq!(found, able.copied().collect::<Vec<_>>());
            for result in each(cell, "results") {
                let is_peer = !["pthread", "futex"].contains(&text(result, "contender"));
                assert_eq!(result["is_peer"], is_peer);
                assert!(result["median"].is_number(), "{result}");
                let waits = result["extra"]["longest_wait_us"].is_number();
                assert_eq!(waits, ["robust contended", "robust death"].contains(&name));
            }
        }
    }
}

#[test]
fn behaviours_are_measured_beside_locks_and_tasks() {
    let report = measured(&["boc", "--threads=2"]);
    let names: Vec<&str> =
        each(&report, "families").iter().map(|family| text(family, "name")).collect();
    assert_eq!(names, ["boc", "boc scaling", "boc wake", "boc memory"]);
    for family in each(&report, "families") {
        assert!(!each(family, "cells").is_empty(), "{}", family["name"]);
        for cell in each(family, "cells") {
            let results = each(cell, "results");
            assert!(results.iter().any(|result| text(result, "contender") == "pysync"), "{cell}");
            assert!(results.iter().all(|result| result["median"].is_number()), "{cell}");
        }
    }
}

#[test]
fn monitors_are_measured_beside_mutexes_and_reports() {
    let report = measured(&["deadlock", "--threads=2"]);
    let no_detection = ["std", "pl-0.13", "guarded"];
    // deloxide is there for Linux only, and reports of it come from a process of its own.
    let deloxide: &[&str] = if cfg!(target_os = "linux") { &["deloxide"] } else { &[] };
    let expected = [
        ("deadlock", 2, [deloxide, &no_detection].concat()),
        ("deadlock contended", 3, no_detection.to_vec()),
        ("deadlock hand-over", 2, no_detection.to_vec()),
        ("deadlock ring", 2, deloxide.to_vec()),
        ("deadlock convoy", 2, no_detection.to_vec()),
        ("deadlock turns", 1, vec!["std", "pl-0.13", "cond"]),
        ("deadlock attempts", 2, vec!["std sorted", "happylock", "enter_all"]),
    ];
    assert_eq!(each(&report, "families").len(), expected.len());
    for (family, (name, cells, peers)) in each(&report, "families").iter().zip(expected) {
        assert_eq!(text(family, "name"), name);
        // One for each way to place two threads, and so at least one, in turn.
        assert!(each(family, "cells").len() >= cells, "{name}");
        for cell in each(family, "cells") {
            let found: Vec<&str> =
                each(cell, "results").iter().map(|result| text(result, "contender")).collect();
            assert_eq!(found, [&peers[..], &["pysync"]].concat());
            for result in each(cell, "results") {
                assert!(result["median"].as_f64().unwrap() >= 0.0, "{result}");
                let aborts = result["extra"]["aborts_each"].is_number();
                assert_eq!(aborts, name == "deadlock attempts");
                if name == "deadlock ring" {
                    assert!(result["median"].as_f64().unwrap() > 0.0, "no deadlock in {result}");
                }
            }
        }
    }
}

#[test]
fn counts_are_measured_beside_arc() {
    let report = measured(&["counts", "--threads=2"]);
    let all = ["Rc", "Arc", "hybrid-rc", "trc", "pysync"];
    let expected = [
        ("counts", vec![all.to_vec(), all[1..].to_vec(), all.to_vec()]),
        ("counts together", vec![vec!["Arc", "hybrid-rc", "trc", "biased", "pysync"]]),
    ];
    assert_eq!(each(&report, "families").len(), expected.len());
    for (family, (name, cells)) in each(&report, "families").iter().zip(expected) {
        assert_eq!(text(family, "name"), name);
        assert_eq!(each(family, "cells").len(), cells.len());
        for (cell, contenders) in each(family, "cells").iter().zip(cells) {
            let found: Vec<&str> =
                each(cell, "results").iter().map(|result| text(result, "contender")).collect();
            assert_eq!(found, contenders);
            for result in each(cell, "results") {
                assert!(result["median"].as_f64().unwrap() > 0.0, "{result}");
            }
        }
    }
}

#[test]
fn queues_are_measured_beside_channels() {
    let report = measured(&["queues"]);
    let mut contenders = BTreeSet::new();
    for family in each(&report, "families") {
        assert!(!each(family, "cells").is_empty(), "{}", family["name"]);
        for result in each(family, "cells").iter().flat_map(|cell| each(cell, "results")) {
            assert!(result["median"].is_number(), "{result}");
            contenders.insert(text(result, "contender").to_owned());
        }
    }
    for peer in ["crossbeam", "flume", "kanal"] {
        assert!(contenders.iter().any(|name| name.contains(peer)), "{peer} in {contenders:?}");
    }
}

#[test]
fn a_trace_of_behaviours_is_a_page_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("trace.html");
    let output = lockbench(&["boc", "--trace", page.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.starts_with("<!doctype html>"));
    assert!(!text.contains("src=\"http") && !text.contains("href=\"http"), "it needs the network");
}

#[test]
fn notifications_are_measured_under_the_lock_and_after_it() {
    let report = measured(&["cond", "buffer"]);
    let mut kinds = BTreeSet::new();
    for family in each(&report, "families") {
        for cell in each(family, "cells") {
            let contenders: Vec<&str> =
                each(cell, "results").iter().map(|result| text(result, "contender")).collect();
            assert_eq!(contenders, ["std", "pl-0.12", "pl-0.13", "usync", "event-l", "pysync"]);
            let what = match text(family, "name") {
                "cond" => case(cell, "what"),
                buffer => buffer,
            };
            kinds.insert((what.to_owned(), case(cell, "notify").to_owned()));
            for result in each(cell, "results") {
                assert_eq!(result["extra"]["sleeps_per_1000"].is_number(), what != "notify_one");
                assert_eq!(result["extra"]["jain"].is_number(), what == "buffer");
            }
        }
    }
    let mut expected = BTreeSet::from([("notify_one".to_owned(), "-".to_owned())]);
    for what in ["ping-pong", "broadcast", "buffer"] {
        for notify in ["under lock", "after unlock"] {
            expected.insert((what.to_owned(), notify.to_owned()));
        }
    }
    assert_eq!(kinds, expected);
}

#[test]
fn a_run_compares_with_itself_and_makes_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (json, html) = (path("run.json"), path("run.html"));
    let tiny = ["--threads=1,2", "--window=0.5", "--rounds=1", "--contenders=std,pysync"];
    assert!(lockbench(&[&tiny[..], &["--json", &json, "--html", &html]].concat()).status.success());

    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.starts_with("<!doctype html>"));
    // Three pairs of work, each with throughput and fairness.
    assert_eq!(page.matches("<svg").count(), 6);
    assert!(
        !page.contains("http://")
            || page.matches("http://").count() == page.matches("xmlns=").count()
    );

    let output = lockbench(&[&tiny[..], &["--compare", &json]].concat());
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("not in the old file: 0"), "{text}");
}

#[test]
fn tables_fit_120_columns() {
    let output = lockbench(&[
        "--window=0.5",
        "--rounds=1",
        "--threads=1,16",
        "--locks=1,2",
        "--placement=free,pinned",
        "--show=value,spread,jain,min-max,wait,hand-off,switches",
    ]);
    let text = String::from_utf8(output.stdout).unwrap();
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn mistakes_cost_one_line_and_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let not_json = dir.path().join("not.json");
    std::fs::write(&not_json, "{}").unwrap();
    let not_json = not_json.to_str().unwrap();
    let empty = dir.path().to_str().unwrap();
    for (arguments, said) in [
        (["--contenders", "mutex"], "not one of std"),
        (["--contenders", "PyMutex"], "needs --libpython"),
        (["--libpython", "/nowhere"], "no such folder"),
        (["--libpython", empty], "build folder of a free-threaded CPython"),
        (["--compare", "/nowhere.json"], "No such file"),
        (["--compare", not_json], "not a file that --json wrote"),
        (["--json", "/nowhere/run.json"], "cannot be written"),
        (["--threads", "0"], "from 1 to 10000"),
        (["--inside", "5ms"], "no amount of work"),
        (["--window", "0"], "from 0.1 to 60000"),
        (["--rounds", "x"], "from 1 to 10000"),
        (["--placement", "there"], "invalid value"),
        (["--full", "--quick"], "cannot be used with"),
    ] {
        let output = lockbench(&arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(message.contains(said), "{arguments:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}
