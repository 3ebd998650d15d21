//! One contender in one cell, once.

use std::hint::black_box;
use std::time::Duration;

use core_affinity::CoreId;
use crossbeam_utils::CachePadded;
use hdrhistogram::Histogram;
use pysync_platform::monotonic_now;

use super::contender::{Contender, Data};
use crate::harness::{self, Worker, random, seed, switches};
use crate::runner::Sample;
use crate::stats;
use crate::work::work;

#[derive(Clone, Debug)]
pub(crate) struct Contest {
    pub(crate) threads: usize,
    pub(crate) inside: u32,
    pub(crate) outside: u32,
    pub(crate) locks: usize,
    pub(crate) cores: Vec<CoreId>,
    pub(crate) window: Duration,
}

/// What a thread brings back.
struct Tally {
    operations: u64,
    slept: u64,
    displaced: u64,
    waits: Option<Waits>,
}

struct Waits {
    longest: u64,
    hand_offs: Histogram<u64>,
}

/// Threads lock and unlock for as long as the window lasts.
///
/// `timed`: time each wait, which costs three looks at the clock an operation, so that the
/// throughput of such a run says nothing.
pub(crate) fn run<L: Contender>(contest: &Contest, timed: bool) -> Sample {
    let locks: Box<[CachePadded<L>]> =
        (0..contest.locks).map(|_| CachePadded::new(L::new())).collect();
    let seen = harness::run(contest.threads, &contest.cores, contest.window, |worker| {
        let (slept, displaced) = switches();
        let (operations, waits) = match (timed, &*locks) {
            (false, [lock]) => (count(contest, &worker, || lock), None),
            (false, locks) => (count(contest, &worker, choose(locks, worker.id)), None),
            (true, locks) => {
                let (operations, waits) = time(contest, &worker, choose(locks, worker.id));
                (operations, Some(waits))
            }
        };
        let after = switches();
        Tally { operations, slept: after.0 - slept, displaced: after.1 - displaced, waits }
    });

    let mut sample = Sample::new(seen.mops());
    if timed {
        add_waits(&mut sample, seen.results);
        return sample;
    }
    let total = |part: fn(&Tally) -> u64| seen.results.iter().map(part).sum::<u64>() as f64;
    let operations = total(|tally| tally.operations).max(1.0);
    sample.extra("jain", stats::jain(&seen.shares));
    sample.extra("min_by_max", stats::min_by_max(&seen.shares));
    sample.extra("sleeps_per_1000", total(|tally| tally.slept) * 1000.0 / operations);
    sample.extra("displaced_per_1000", total(|tally| tally.displaced) * 1000.0 / operations);
    sample
}

fn add_waits(sample: &mut Sample, tallies: Vec<Tally>) {
    let mut longest = 0;
    let mut hand_offs = histogram();
    for waits in tallies.into_iter().filter_map(|tally| tally.waits) {
        longest = longest.max(waits.longest);
        hand_offs.add(waits.hand_offs).expect("histograms of one kind add up");
    }
    sample.extra("longest_wait_us", longest as f64 / 1e3);
    if hand_offs.is_empty() {
        return;
    }
    for (name, quantile) in
        [("hand_off_p50_us", 0.5), ("hand_off_p99_us", 0.99), ("hand_off_p999_us", 0.999)]
    {
        sample.extra(name, hand_offs.value_at_quantile(quantile) as f64 / 1e3);
    }
}

/// 1 ns to 1,000 s with two significant digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 1_000_000_000_000, 2).expect("the bounds are in order")
}

/// A lock at random; the sequence is the same for every contender.
fn choose<'a, L>(locks: &'a [CachePadded<L>], id: usize) -> impl FnMut() -> &'a CachePadded<L> {
    let mut state = seed(id);
    move || &locks[random(&mut state) as usize % locks.len()]
}

#[inline(always)]
fn count<'a, L: Contender + 'a>(
    contest: &Contest,
    worker: &Worker,
    mut next: impl FnMut() -> &'a CachePadded<L>,
) -> u64 {
    let (inside, outside) = (contest.inside, contest.outside);
    let mut local = 1.0;
    let operations = worker.repeat(|| {
        next().locked(|data: &mut Data| data.value = work(data.value, inside));
        local = work(local, outside);
    });
    black_box(local);
    operations
}

fn time<'a, L: Contender + 'a>(
    contest: &Contest,
    worker: &Worker,
    mut next: impl FnMut() -> &'a CachePadded<L>,
) -> (u64, Waits) {
    let (inside, outside) = (contest.inside, contest.outside);
    let id = worker.id as u32 + 1;
    let mut local = 1.0;
    let mut waits = Waits { longest: 0, hand_offs: histogram() };
    let operations = worker.repeat(|| {
        let asked = monotonic_now();
        next().locked(|data| {
            let got = monotonic_now();
            waits.longest = waits.longest.max(got.saturating_sub(asked));
            // A hand-off is what comes from another thread while this one waits for it. A lock
            // that lay about unlocked was not handed to anybody.
            if data.last_holder != id && data.released_at > asked {
                waits.hand_offs.saturating_record(got.saturating_sub(data.released_at));
            }
            data.value = work(data.value, inside);
            data.last_holder = id;
            data.released_at = monotonic_now();
        });
        local = work(local, outside);
    });
    black_box(local);
    (operations, waits)
}
