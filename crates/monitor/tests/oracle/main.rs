//! Threads enter monitors in random orders, wait for conditions, leave for a while, give up in time and join others,
//! and an oracle that knows nothing of the implementation replays what they have noted.
//!
//! It runs some seeds of each kind, and as many more as there is time for if `PYSYNC_STRESS_SECONDS` says so.
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
    /// In cycles with a wait for a condition.
    aborts_by_conditions: usize,
    /// Of those that have lost, such as waited for a condition.
    lost_conditions: usize,
    /// For conditions that were not true at once.
    waits: usize,
    joins: usize,
    /// Waits to enter whose time was over.
    gave_up: usize,
    /// Waits for conditions whose time was over.
    still_false: usize,
    /// Waits of threads whose branch had failed.
    cancelled: usize,
    cycles: usize,
    slow_cycles: usize,
    slowest: Duration,
}

impl Counts {
    /// What the programs of a shape can do and has not happened.
    fn lacks(&self, &Shape { joins, waits, timed, .. }: &Shape) -> Option<&'static str> {
        let happens = [
            ("commits", self.commits, 1),
            ("aborts", self.aborts, 1),
            ("joins", self.joins, joins),
            ("aborts_by_joins", self.aborts_by_joins, joins),
            ("cancelled", self.cancelled, joins.min(waits)),
            ("waits", self.waits, waits),
            ("aborts_by_conditions", self.aborts_by_conditions, waits),
            ("lost_conditions", self.lost_conditions, waits),
            ("still_false", self.still_false, waits),
            ("gave_up", self.gave_up, timed),
        ];
        happens.into_iter().find(|&(_, count, share)| count == 0 && share > 0).map(|it| it.0)
    }
}

/// Runs the seeds of a shape: a few, or as many as it takes for all to happen that its programs can do.
fn seeds(name: &str, first: u64, shape: impl Fn(u64) -> Shape) {
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
    let one = |counts: &mut Counts, seed| {
        let _says = Says(seed);
        // Many seeds take longer than a wait that has no end may.
        let _watchdog = watchdog_for(Duration::from_secs(60));
        oracle::check(&run(&shape(seed), seed), counts);
        counts.seeds += 1;
    };
    if let Ok(seed) = std::env::var("PYSYNC_ORACLE_SEED") {
        one(&mut counts, seed.parse().expect("a number"));
        println!("{name}: {counts:?}");
        return;
    }
    const FEW: usize = if cfg!(miri) { 8 } else { 60 };
    let time = std::env::var_os("PYSYNC_STRESS_SECONDS").map(|_| StressTime::begin());
    for seed in first.. {
        let is_enough = counts.seeds >= FEW && counts.lacks(&shape(first)).is_none();
        let is_up = time.as_ref().is_none_or(StressTime::is_up);
        if (is_enough || counts.seeds >= 10 * FEW) && is_up {
            break;
        }
        one(&mut counts, seed);
    }
    println!("{name}: {counts:?}");
    if std::env::var_os("PYSYNC_ORACLE_STRICT").is_some() {
        assert_eq!(counts.slow_cycles, 0, "{counts:?}");
    }
    assert_eq!(counts.lacks(&shape(first)), None, "{counts:?}");
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
    seeds("entries", 0, plain);
}

#[test]
fn entries_for_a_time_and_leaves() {
    let shape = |seed| Shape { timed: 25, leaves: 20, yields: 30, ..plain(seed) };
    seeds("timed", 10_000, shape);
}

#[test]
fn conditions() {
    let shape = |seed| {
        let shape = plain(seed);
        let attempts = shape.attempts.div_ceil(2);
        Shape { waits: 40, leaves: 10, timed: 10, yields: 20, attempts, ..shape }
    };
    seeds("conditions", 20_000, shape);
}

#[test]
fn joins() {
    let shape = |seed| {
        let shape = plain(seed);
        let (threads, attempts) = (shape.threads.min(8), shape.attempts.min(12));
        Shape { joins: 30, yields: 20, leaves: 10, timed: 5, waits: 30, threads, attempts, ..shape }
    };
    seeds("joins", 30_000, shape);
}

/// The errors go up by hand, and all that was entered has been left.
#[test]
fn without_attempts() {
    let shape = |seed| Shape { is_repeated: false, waits: 30, leaves: 10, ..plain(seed) };
    seeds("without attempts", 40_000, shape);
}
