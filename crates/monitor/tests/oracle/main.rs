//! Threads enter monitors in random orders, wait for conditions, leave for a while, give up in time and join others,
//! and an oracle that knows nothing of the implementation replays what they have noted.
//!
//! It runs a fixed number of seeds, and as many more as there is time for if `PYSYNC_STRESS_SECONDS` says so.
//! `PYSYNC_ORACLE_SEED` runs one. `PYSYNC_ORACLE_STRICT` has each cycle be gone 50 ms after its last edge, which a
//! loaded machine may be too slow for.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod oracle;
mod programs;
mod recorder;

use std::time::Duration;

use programs::{Shape, run};
use pysync_testing::{StressTime, watchdog_for};

/// How much has happened.
#[derive(Debug, Default)]
struct Counts {
    seeds: usize,
    commits: usize,
    aborts: usize,
    aborts_by_joins: usize,
    cycles: usize,
    slow_cycles: usize,
    slowest: Duration,
}

/// Runs the seeds of a shape. There are enough for it to happen that attempts lose, by joins if there are any.
fn seeds(name: &str, first: u64, has_joins: bool, shape: impl Fn(u64) -> Shape) {
    /// Says which seed it was.
    struct Says(u64);
    impl Drop for Says {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("PYSYNC_ORACLE_SEED={}", self.0);
            }
        }
    }
    let mut counts = Counts::default();
    let mut one = |seed| {
        let _says = Says(seed);
        // Many seeds take longer than a wait that has no end may.
        let _watchdog = watchdog_for(Duration::from_secs(60));
        oracle::check(&run(&shape(seed), seed), &mut counts);
        counts.seeds += 1;
    };
    if let Ok(seed) = std::env::var("PYSYNC_ORACLE_SEED") {
        one(seed.parse().expect("a number"));
        println!("{name}: {counts:?}");
        return;
    }
    const FEW: u64 = if cfg!(miri) { 8 } else { 60 };
    (first..first + FEW).for_each(&mut one);
    if std::env::var_os("PYSYNC_STRESS_SECONDS").is_some() {
        let time = StressTime::begin();
        for seed in first + FEW.. {
            if time.is_up() {
                break;
            }
            one(seed);
        }
    }
    println!("{name}: {counts:?}");
    if std::env::var_os("PYSYNC_ORACLE_STRICT").is_some() {
        assert_eq!(counts.slow_cycles, 0, "{counts:?}");
    }
    assert!(counts.aborts > 0 && counts.commits > 0, "{counts:?}");
    assert_eq!(counts.aborts_by_joins > 0, has_joins, "{counts:?}");
}

fn between(seed: u64, from: usize, to: usize) -> usize {
    from + seed as usize % (to + 1 - from)
}

/// From two threads and two monitors to 32 and 16.
fn plain(seed: u64) -> Shape {
    let (threads, monitors) = match seed % 8 {
        7 => (32, 16),
        _ => (between(seed / 8 + seed, 2, 12), between(seed / 3, 2, 16)),
    };
    Shape { threads, monitors, attempts: 200 / threads, ..Shape::default() }
}

#[test]
fn entries_alone() {
    seeds("entries", 0, false, plain);
}

#[test]
fn entries_for_a_time_and_leaves() {
    let shape = |seed| Shape { timed: 25, leaves: 20, yields: 30, ..plain(seed) };
    seeds("timed", 10_000, false, shape);
}

#[test]
fn conditions() {
    let shape = |seed| {
        let shape = plain(seed);
        let attempts = shape.attempts.div_ceil(6);
        Shape { waits: 8, leaves: 10, timed: 10, yields: 20, attempts, ..shape }
    };
    seeds("conditions", 20_000, false, shape);
}

#[test]
fn joins() {
    let shape = |seed| {
        let shape = plain(seed);
        let (threads, attempts) = (shape.threads.min(8), shape.attempts.min(12));
        Shape { joins: 30, yields: 20, leaves: 5, waits: 5, threads, attempts, ..shape }
    };
    seeds("joins", 30_000, true, shape);
}

/// The errors go up by hand, and all that was entered has been left.
#[test]
fn without_attempts() {
    let shape = |seed| Shape { is_repeated: false, waits: 10, leaves: 10, ..plain(seed) };
    seeds("without attempts", 40_000, false, shape);
}
