//! Many threads that wait for one that runs, with detection and without: what that costs each of them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use pysync_platform::monotonic_now;

use super::contender::entrants;
use crate::harness::thread_processor_time;
use crate::mutex::contender::Contender;
use crate::runner::{Job, Pass, Plan, Sample};
use crate::stats::median;

pub(super) fn plan(full: bool) -> Plan {
    let waiters: &[usize] = if full { &[10, 100, 1_000] } else { &[1_000] };
    let mut jobs = Vec::new();
    for (what, which) in [("to wait and to get in", 0), ("leave to last in, each", 1)] {
        for &waiters in waiters {
            let case = [("time", what.to_owned()), ("waiters", waiters.to_string())];
            jobs.push(Job::new(case, entrants!(measure(waiters, which))));
        }
    }
    Plan {
        name: "deadlock convoy",
        title: "Monitor: threads that wait for one that runs; processor time of one, and time of all by their number",
        unit: "µs",
        higher_is_better: false,
        x: "waiters",
        timed_rounds: 0,
        jobs,
    }
}

/// `which` of the two times.
fn measure<L: Contender>(waiters: usize, which: usize, pass: Pass) -> Sample {
    let (started, mut times) = (monotonic_now(), Vec::new());
    while times.is_empty() || u128::from(monotonic_now() - started) < pass.window.as_nanos() {
        times.push(convoy::<L>(waiters)[which]);
    }
    Sample::new(median(&times))
}

/// The processor time of a waiter, from when it asks until it is in, and the time from the leave of the one that ran
/// to the entry of the last one, by their number; both in microseconds.
fn convoy<L: Contender>(waiters: usize) -> [f64; 2] {
    let lock = L::new();
    let about_to_wait = AtomicUsize::new(0);
    let [spent, last_in] = [(); 2].map(|()| AtomicU64::new(0));
    let wait = || {
        // What a thread does at its first lock is done at another.
        L::new().locked(|_| ());
        about_to_wait.fetch_add(1, Ordering::Release);
        let before = thread_processor_time();
        let (time, now) = lock.locked(|_| (thread_processor_time() - before, monotonic_now()));
        spent.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
        last_in.fetch_max(now, Ordering::Relaxed);
    };
    let left = thread::scope(|scope| {
        lock.locked(|_| {
            for _ in 0..waiters {
                let builder = thread::Builder::new().stack_size(64 << 10);
                builder.spawn_scoped(scope, wait).expect("a thread");
            }
            while about_to_wait.load(Ordering::Acquire) < waiters {
                thread::sleep(Duration::from_micros(100));
            }
            // From "about to wait" to "asleep" nothing can be seen from outside.
            thread::sleep(Duration::from_millis(2));
            monotonic_now()
        })
    });
    let each = |nanos: u64| nanos as f64 / waiters as f64 / 1e3;
    [each(spent.into_inner()), each(last_in.into_inner() - left)]
}
