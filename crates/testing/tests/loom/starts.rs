//! The threads of a model are started in every order that differs.

use std::collections::BTreeSet;
use std::sync::Mutex;

use pysync_testing::model::Explore;

/// The threads that have run, in order. It is std's, so that loom has nothing to reorder.
type Log = Mutex<Vec<char>>;
/// The logs of all executions.
type Logs = Mutex<BTreeSet<String>>;

fn a(log: &Log) {
    log.lock().unwrap().push('a');
}

fn b(log: &Log) {
    log.lock().unwrap().push('b');
}

fn c(log: &Log) {
    log.lock().unwrap().push('c');
}

fn keep(logs: &Logs, log: &Log) {
    logs.lock().unwrap().insert(log.lock().unwrap().iter().collect());
}

fn sorted(logs: &Logs) -> Vec<String> {
    logs.lock().unwrap().iter().cloned().collect()
}

#[test]
fn three_unlike_threads_have_six_starts() {
    static LOGS: Logs = Mutex::new(BTreeSet::new());
    Explore::new("starts of 3").run(Log::default, [a, b, c], |log| keep(&LOGS, log));
    assert_eq!(sorted(&LOGS), ["abc", "acb", "bac", "bca", "cab", "cba"]);
}

#[test]
fn like_threads_are_not_told_apart() {
    static LOGS: Logs = Mutex::new(BTreeSet::new());
    Explore::new("starts of 2 and 1").run(Log::default, [a, a, b], |log| keep(&LOGS, log));
    assert_eq!(sorted(&LOGS), ["aab", "aba", "baa"]);
}

#[test]
fn the_thread_that_builds_the_state_has_every_place_too() {
    static LOGS: Logs = Mutex::new(BTreeSet::new());
    Explore::new("starts beside").run_beside(Log::default, a, [b, c], |log| keep(&LOGS, log));
    let sorted = sorted(&LOGS);
    for start in ["abc", "acb", "bac", "bca", "cab", "cba"] {
        assert!(sorted.iter().any(|log| log == start), "{start} is not in {sorted:?}");
    }
}
