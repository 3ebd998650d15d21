//! Counting semaphores: acquire, a little work, release.

use std::hint::black_box;

use crossbeam_utils::CachePadded;
use pysync_platform::monotonic_now;

use super::monitor::{self, Monitor};
use crate::cli::Matrix;
use crate::harness::{self, switches};
use crate::mutex::cores;
use crate::runner::{Entrant, Job, Pass, Plan, Sample};
use crate::stats::{jain, min_by_max};
use crate::work::{Work, work};

/// Work with a permit.
const INSIDE: &str = "0.01us";

trait Contender: Sync {
    fn new(permits: u32) -> Self;
    fn acquire(&self);
    fn release(&self);
}

impl Contender for pysync_cond::Semaphore {
    fn new(permits: u32) -> Self {
        Self::new(permits)
    }

    #[inline(always)]
    fn acquire(&self) {
        self.acquire();
    }

    #[inline(always)]
    fn release(&self) {
        self.release(1);
    }
}

/// A count under a mutex, with a condition.
struct Built<M: Monitor> {
    permits: M::Mutex<u32>,
    not_zero: M::Condvar,
}

impl<M: Monitor> Contender for Built<M> {
    fn new(permits: u32) -> Self {
        Self { permits: M::mutex(permits), not_zero: M::Condvar::default() }
    }

    #[inline(always)]
    fn acquire(&self) {
        let mut permits = M::lock(&self.permits);
        while *permits == 0 {
            permits = M::wait(&self.not_zero, permits);
        }
        *permits -= 1;
    }

    #[inline(always)]
    fn release(&self) {
        *M::lock(&self.permits) += 1;
        M::notify_one(&self.not_zero);
    }
}

impl Contender for tokio::sync::Semaphore {
    fn new(permits: u32) -> Self {
        Self::new(permits as usize)
    }

    #[inline(always)]
    fn acquire(&self) {
        // tokio assigns permits to the waiters as they are released, so an attempt overtakes no waiter.
        let permit = self.try_acquire().unwrap_or_else(|_| {
            pollster::block_on(self.acquire()).expect("the semaphore is not closed")
        });
        permit.forget();
    }

    #[inline(always)]
    fn release(&self) {
        self.add_permits(1);
    }
}

impl Contender for async_lock::Semaphore {
    fn new(permits: u32) -> Self {
        Self::new(permits as usize)
    }

    #[inline(always)]
    fn acquire(&self) {
        self.acquire_blocking().forget();
    }

    #[inline(always)]
    fn release(&self) {
        self.add_permits(1);
    }
}

pub(crate) fn plan(matrix: &Matrix) -> Plan {
    let mut shapes: Vec<(usize, u32)> =
        matrix.threads_or(&[1, 2, 4, 8]).into_iter().map(|threads| (threads, 1)).collect();
    shapes.push((8, 4));
    let inside = INSIDE.parse::<Work>().expect("a valid amount").units();
    let mut jobs = Vec::new();
    for &placement in &matrix.placement {
        for &(threads, permits) in &shapes {
            let cores = cores(placement);
            macro_rules! entrant {
                ($name:literal, $semaphore:ty) => {{
                    let cores = cores.clone();
                    Entrant::new($name, move |pass| {
                        measure::<$semaphore>(threads, permits, inside, &cores, pass)
                    })
                }};
            }
            let entrants = vec![
                entrant!("std cond", Built<monitor::Std>),
                entrant!("pl-0.12 cond", Built<monitor::Pl012>),
                entrant!("pl-0.13 cond", Built<monitor::Pl013>),
                entrant!("tokio", tokio::sync::Semaphore),
                entrant!("async-lock", async_lock::Semaphore),
                entrant!("pysync", pysync_cond::Semaphore),
            ];
            let case = [
                ("placement", placement.to_string()),
                ("permits", permits.to_string()),
                ("threads", threads.to_string()),
            ];
            jobs.push(Job::new(case, entrants));
        }
    }
    Plan {
        name: "semaphore",
        title: "Semaphore: acquire, 10 ns of work, release",
        unit: "Mops/s",
        higher_is_better: true,
        x: "threads",
        timed_rounds: matrix.timed_rounds,
        jobs,
    }
}

/// What a thread brings back.
struct Tally {
    operations: u64,
    slept: u64,
    displaced: u64,
    longest_wait: u64,
}

fn measure<S: Contender>(
    threads: usize,
    permits: u32,
    inside: u32,
    cores: &[core_affinity::CoreId],
    pass: Pass,
) -> Sample {
    let semaphore = CachePadded::new(S::new(permits));
    let seen = harness::run(threads, cores, pass.window, |worker| {
        let (slept, displaced) = switches();
        let (mut local, mut longest_wait) = (1.0, 0);
        let operations = if pass.timed {
            worker.repeat(|| {
                let asked = monotonic_now();
                semaphore.acquire();
                longest_wait = longest_wait.max(monotonic_now().saturating_sub(asked));
                local = work(local, inside);
                semaphore.release();
            })
        } else {
            worker.repeat(|| {
                semaphore.acquire();
                local = work(local, inside);
                semaphore.release();
            })
        };
        black_box(local);
        let after = switches();
        Tally { operations, slept: after.0 - slept, displaced: after.1 - displaced, longest_wait }
    });
    let sample = Sample::new(seen.mops());
    if pass.timed {
        let longest = seen.results.iter().map(|tally| tally.longest_wait).max().unwrap_or(0);
        return sample.with("longest_wait_us", longest as f64 / 1e3);
    }
    let total = |part: fn(&Tally) -> u64| seen.results.iter().map(part).sum::<u64>() as f64;
    let operations = total(|tally| tally.operations).max(1.0);
    sample
        .with("jain", jain(&seen.shares))
        .with("min_by_max", min_by_max(&seen.shares))
        .with("sleeps_per_1000", total(|tally| tally.slept) * 1000.0 / operations)
        .with("displaced_per_1000", total(|tally| tally.displaced) * 1000.0 / operations)
}
