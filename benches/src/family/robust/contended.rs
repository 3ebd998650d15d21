//! Processes that acquire, work and release.

use std::hint::black_box;

use pysync_platform::monotonic_now;

use super::contender::{
    Arena, Contender, FileLock, Futex, Guarded, PosixSync, PthreadRobust, PthreadShared, Raw,
    entrants,
};
use super::processes;
use crate::cli::Matrix;
use crate::harness::switches;
use crate::runner::{Job, Pass, Plan, Sample};
use crate::stats::{jain, min_by_max};
use crate::work::{Work, work};

/// Work inside and outside, besides the count.
const WORK: [(&str, &str); 3] = [("0", "0"), ("0.1us", "0.1us"), ("1us", "10us")];

pub(super) fn plan(matrix: &Matrix) -> Plan {
    let mut jobs = Vec::new();
    for (inside, outside) in WORK {
        let [inside, outside] =
            [inside, outside].map(|amount| -> Work { amount.parse().expect("a valid amount") });
        for processes in matrix.threads_or(&[2, 4]) {
            let case = (processes, inside.units(), outside.units());
            let entrants = entrants!(measure(case):
                PthreadRobust, PosixSync, FileLock, PthreadShared, Futex, Raw, Guarded);
            let labels = [
                ("inside", inside.to_string()),
                ("outside", outside.to_string()),
                ("processes", processes.to_string()),
            ];
            jobs.push(Job::new(labels, entrants));
        }
    }
    Plan {
        name: "robust contended",
        title: "Mutex between processes: acquire, count, work, release, work",
        unit: "Mops/s",
        higher_is_better: true,
        x: "processes",
        timed_rounds: matrix.timed_rounds,
        jobs,
    }
}

fn measure<C: Contender>((processes, inside, outside): (usize, u32, u32), pass: Pass) -> Sample {
    let arena = Arena::new();
    let mutex = C::new(arena);
    let seen = processes::run(processes, pass.window, |worker| {
        let mutex = mutex.open();
        let (slept, displaced) = switches();
        let (mut here, mut there, mut longest_wait) = (1.0, 1.0, 0);
        let operations = if pass.timed {
            worker.repeat(|| {
                let asked = monotonic_now();
                mutex.with(|| {
                    longest_wait = longest_wait.max(monotonic_now().saturating_sub(asked));
                    // SAFETY: the caller holds the mutex.
                    unsafe { arena.count() };
                    here = work(here, inside);
                });
                there = work(there, outside);
            })
        } else {
            worker.repeat(|| {
                mutex.with(|| {
                    // SAFETY: the caller holds the mutex.
                    unsafe { arena.count() };
                    here = work(here, inside);
                });
                there = work(there, outside);
            })
        };
        black_box((here, there));
        let after = switches();
        [operations, after.0 - slept, after.1 - displaced, longest_wait]
    });
    let total = |part: usize| seen.results.iter().map(|tally| tally[part]).sum::<u64>();
    assert_eq!(arena.counted(), total(0), "{}: two owners at once", C::NAME);
    let sample = Sample::new(seen.mops());
    if pass.timed {
        let longest = seen.results.iter().map(|tally| tally[3]).max().unwrap_or(0);
        return sample.with("longest_wait_us", longest as f64 / 1e3);
    }
    let operations = total(0).max(1) as f64;
    sample
        .with("jain", jain(&seen.shares))
        .with("min_by_max", min_by_max(&seen.shares))
        .with("sleeps_per_1000", total(1) as f64 * 1000.0 / operations)
        .with("displaced_per_1000", total(2) as f64 * 1000.0 / operations)
}
