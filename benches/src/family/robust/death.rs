//! From the death of an owner to the return of a waiter.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pysync_platform::monotonic_now;

use super::contender::{
    Arena, Contender, FileLock, Guarded, PosixSync, PthreadRobust, Raw, entrants,
};
use super::processes::{self, Shared};
use crate::runner::{Job, Pass, Plan, Sample};
use crate::stats::{median, quantile};

/// How long a waiter waits before the owner dies, and how many deaths that is a round, in a quick run
/// and in a full one.
const WAITS: [(&str, Duration, [u32; 2]); 2] =
    [("5 ms", Duration::from_millis(5), [10, 200]), ("1 s", Duration::from_secs(1), [0, 5])];

pub(super) fn plan(full: bool) -> Plan {
    let mut jobs = Vec::new();
    for (waited, wait, deaths) in WAITS {
        let deaths = deaths[usize::from(full)];
        if deaths == 0 {
            continue;
        }
        let case = |owner: &str| [("owner", owner.to_owned()), ("waited", waited.to_owned())];
        let entrants = entrants!(process_dies((wait, deaths)):
            PthreadRobust, PosixSync, FileLock, Raw, Guarded);
        jobs.push(Job::new(case("process"), entrants));
        // A file lock lives on with the other threads of its process.
        let entrants =
            entrants!(thread_dies((wait, deaths)): PthreadRobust, PosixSync, Raw, Guarded);
        jobs.push(Job::new(case("thread"), entrants));
    }
    Plan {
        name: "robust death",
        title: "Mutex between processes: from the owner's death to the return of a waiter",
        unit: "ms",
        higher_is_better: false,
        x: "waited",
        timed_rounds: 0,
        jobs,
    }
}

/// The owner is a process, which is killed.
fn process_dies<C: Contender>((wait, deaths): (Duration, u32), _: Pass) -> Sample {
    let mutex = C::new(Arena::new());
    // SAFETY: it may be zero.
    let held = &unsafe { Shared::<AtomicBool>::zeroed(1) }[0];
    sample((0..deaths).map(|_| {
        held.store(false, Ordering::Relaxed);
        let owner = processes::spawn(|| {
            // Stays open: a file lock ends with its file.
            let mutex = mutex.open();
            mutex.abandon();
            held.store(true, Ordering::Release);
            loop {
                thread::park();
            }
        });
        while !held.load(Ordering::Acquire) {
            thread::yield_now();
        }
        thread::scope(|scope| {
            let waiter = scope.spawn(|| mutex.with(monotonic_now));
            thread::sleep(wait);
            let killed = monotonic_now();
            owner.kill();
            waiter.join().expect("a waiter does not panic").saturating_sub(killed)
        })
    }))
}

/// The owner is a thread, which returns.
fn thread_dies<C: Contender>((wait, deaths): (Duration, u32), _: Pass) -> Sample {
    let mutex = C::new(Arena::new());
    sample((0..deaths).map(|_| {
        thread::scope(|scope| {
            let (held, is_held) = mpsc::channel();
            let (end, ends) = mpsc::channel::<()>();
            let mutex = &mutex;
            let owner = scope.spawn(move || {
                mutex.abandon();
                held.send(()).expect("the measuring thread listens");
                // It is not sent to: the sender is dropped.
                let _ = ends.recv();
                monotonic_now()
            });
            is_held.recv().expect("the owner does not panic");
            let waiter = scope.spawn(|| mutex.with(monotonic_now));
            thread::sleep(wait);
            drop(end);
            let returned = owner.join().expect("an owner does not panic");
            waiter.join().expect("a waiter does not panic").saturating_sub(returned)
        })
    }))
}

fn sample(nanos: impl Iterator<Item = u64>) -> Sample {
    let millis: Vec<f64> = nanos.map(|nanos| nanos as f64 / 1e6).collect();
    Sample::new(median(&millis))
        .with("wait_p90_us", quantile(&millis, 0.9) * 1e3)
        .with("longest_wait_us", quantile(&millis, 1.0) * 1e3)
}
