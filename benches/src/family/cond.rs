//! Condition variables: nobody to notify, two threads in turn, and one thread that notifies many.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use pysync_platform::monotonic_now;

use super::monitor::{Monitor, Notify, monitors};
use super::ping_pong::placements;
use crate::cli::Matrix;
use crate::harness::switches;
use crate::runner::{Job, Pass, Plan, Sample};
use crate::stats::median;

pub(crate) fn plan(matrix: &Matrix, full: bool) -> Plan {
    let case = |what: &str, notify: String, at: String| {
        [("what", what.to_owned()), ("notify", notify), ("at", at)]
    };
    let mut jobs =
        vec![Job::new(case("notify_one", "-".into(), "nobody waits".into()), monitors!(idle()))];
    for notify in Notify::BOTH {
        for (name, cores) in placements() {
            let entrants = monitors!(ping_pong(notify, cores));
            jobs.push(Job::new(case("ping-pong", notify.to_string(), name.into()), entrants));
        }
    }
    let waiters = matrix.threads_or(if full { &[10, 100, 1000] } else { &[10, 100] });
    for notify in Notify::BOTH {
        for &waiters in &waiters {
            let entrants = monitors!(broadcast(waiters, notify));
            let at = format!("{waiters} waiters");
            jobs.push(Job::new(case("broadcast", notify.to_string(), at), entrants));
        }
    }
    Plan {
        name: "cond",
        title: "Condition variable: a notification, a round trip, or until the last waiter is through",
        unit: "µs",
        higher_is_better: false,
        x: "at",
        timed_rounds: 0,
        jobs,
    }
}

/// A notification without a waiter.
fn idle<M: Monitor>(pass: Pass) -> Sample {
    const BATCH: u32 = 64;
    let condvar = M::Condvar::default();
    let (started, mut count) = (Instant::now(), 0);
    let elapsed = loop {
        (0..BATCH).for_each(|_| M::notify_one(std::hint::black_box(&condvar)));
        count += BATCH;
        let elapsed = started.elapsed();
        if elapsed >= pass.window {
            break elapsed;
        }
    };
    Sample::new(elapsed.as_nanos() as f64 / f64::from(count) / 1e3)
}

/// What the calling thread's [`switches`] have become more by.
fn since(before: (u64, u64)) -> (u64, u64) {
    let after = switches();
    (after.0 - before.0, after.1 - before.1)
}

fn with_switches(sample: Sample, switches: &[(u64, u64)], operations: usize) -> Sample {
    let per_1000 = |part: fn(&(u64, u64)) -> u64| {
        switches.iter().map(part).sum::<u64>() as f64 * 1000.0 / operations as f64
    };
    sample
        .with("sleeps_per_1000", per_1000(|switches| switches.0))
        .with("displaced_per_1000", per_1000(|switches| switches.1))
}

/// A round trip: two threads take turns, each with a condition of its own.
fn ping_pong<M: Monitor>(notify: Notify, cores: Option<[CoreId; 2]>, pass: Pass) -> Sample {
    const WARM_UP: u32 = 10;
    let turn = M::mutex(0);
    let condvars = <[M::Condvar; 2]>::default();
    let over = AtomicBool::new(false);
    let ready = Barrier::new(2);
    let enter = |side: usize| {
        if let Some(cores) = cores {
            core_affinity::set_for_current(cores[side]);
        }
        ready.wait();
        switches()
    };
    // Waits for its turn, and gives it to the other.
    let take_turn = |side: usize| {
        let mut guard = M::lock(&turn);
        while *guard != side {
            guard = M::wait(&condvars[side], guard);
        }
        *guard = 1 - side;
        // Read before the other's turn, in which it may be set.
        let last = over.load(Ordering::Relaxed);
        notify.unlock(guard, || M::notify_one(&condvars[1 - side]));
        last
    };
    thread::scope(|scope| {
        let (enter, take_turn, over) = (&enter, &take_turn, &over);
        let ponger = scope.spawn(move || {
            let before = enter(1);
            while !take_turn(1) {}
            since(before)
        });
        let pinger = scope.spawn(move || {
            let before = enter(0);
            (0..WARM_UP).for_each(|_| _ = take_turn(0));
            let (started, mut count) = (Instant::now(), 0_u32);
            let elapsed = loop {
                take_turn(0);
                count += 1;
                let elapsed = started.elapsed();
                if elapsed >= pass.window {
                    break elapsed;
                }
            };
            // The mutex brings it to the other.
            over.store(true, Ordering::Relaxed);
            take_turn(0);
            (elapsed, count, since(before))
        });
        let theirs = ponger.join().expect("the ponger does not panic");
        let (elapsed, count, ours) = pinger.join().expect("the pinger does not panic");
        let sample = Sample::new(elapsed.as_nanos() as f64 / f64::from(count) / 1e3);
        with_switches(sample, &[theirs, ours], (count + WARM_UP + 1) as usize)
    })
}

/// What the mutex guards that the waiters of a broadcast wait with.
struct Round {
    number: u64,
    /// How many wait for its end.
    waiting: usize,
    over: bool,
}

/// From a notification to all until the last of the waiters holds the mutex. The waiters stay, and
/// wait again each time. So each has released the mutex before the next gets it.
fn broadcast<M: Monitor>(waiters: usize, notify: Notify, pass: Pass) -> Sample {
    let round = M::mutex(Round { number: 0, waiting: 0, over: false });
    let condvar = M::Condvar::default();
    let notifier = thread::current();
    // When the last waiter had the mutex; 0 while it has not had it.
    let last = AtomicU64::new(0);
    let waiter = || {
        let before = switches();
        let mut guard = M::lock(&round);
        while !guard.over {
            guard.waiting += 1;
            if guard.waiting == waiters {
                last.store(monotonic_now(), Ordering::Release);
                notifier.unpark();
            }
            let number = guard.number;
            while guard.number == number {
                guard = M::wait(&condvar, guard);
            }
        }
        drop(guard);
        since(before)
    };
    let all_wait = || loop {
        match last.swap(0, Ordering::Acquire) {
            0 => thread::park(),
            at => break at,
        }
    };
    // Ends the round, or all of them; returns when.
    let notify_all = |over: bool| {
        // From "about to wait" to "asleep" nothing can be seen from outside.
        thread::sleep(Duration::from_micros(100));
        let mut guard = M::lock(&round);
        (guard.number, guard.waiting, guard.over) = (guard.number + 1, 0, over);
        let notified = monotonic_now();
        notify.unlock(guard, || M::notify_all(&condvar));
        notified
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..waiters)
            .map(|_| {
                let builder = thread::Builder::new().stack_size(64 << 10);
                builder.spawn_scoped(scope, waiter).expect("a thread")
            })
            .collect();
        all_wait();
        let measure = || {
            let notified = notify_all(false);
            (all_wait() - notified) as f64 / 1e3
        };
        // The first one is to warm up.
        measure();
        let started = Instant::now();
        let mut micros = vec![measure()];
        while started.elapsed() < pass.window {
            micros.push(measure());
        }
        notify_all(true);
        let switches: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("a waiter")).collect();
        let waits = waiters * (micros.len() + 2);
        with_switches(Sample::new(median(&micros)), &switches, waits)
    })
}
