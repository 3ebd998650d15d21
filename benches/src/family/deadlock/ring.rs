//! From the last wait of a deadlock to the error of the thread that loses, or to the report of deloxide, which lets
//! the threads wait for ever.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pysync_monitor::{Monitor, snapshot};
use pysync_platform::monotonic_now;

use crate::cli::Matrix;
use crate::runner::{Entrant, Job, Pass, Plan, Sample};
use crate::stats::{median, quantile};

/// Which thread loses.
#[derive(Clone, Copy)]
enum Loser {
    /// The one that waits last, and finds the cycle.
    Finder,
    /// One that was parked.
    Parked,
}

pub(super) fn plan(matrix: &Matrix) -> Plan {
    let mut jobs = Vec::new();
    for (name, loser) in [("finder", Loser::Finder), ("parked", Loser::Parked)] {
        for size in matrix.threads_or(&[2, 16, 64]) {
            // A thread alone makes no ring.
            let size = size.max(2);
            let mut entrants = peers(size);
            entrants.push(Entrant::new("pysync", move |pass| {
                sample(repeat(pass.window, || ours(size, loser)))
            }));
            let case = [("loser", name.to_owned()), ("threads", size.to_string())];
            jobs.push(Job::new(case, entrants));
        }
    }
    Plan {
        name: "deadlock ring",
        title: "Deadlock: from the last wait to the loser's error, or to the callback of deloxide",
        unit: "µs",
        higher_is_better: false,
        x: "threads",
        timed_rounds: 0,
        jobs,
    }
}

/// Calls `ring` for a window, and at least once after a warm-up.
fn repeat(window: Duration, mut ring: impl FnMut() -> u64) -> Vec<f64> {
    ring();
    let (started, mut micros) = (Instant::now(), Vec::new());
    while micros.is_empty() || started.elapsed() < window {
        micros.push(ring() as f64 / 1e3);
    }
    micros
}

fn sample(micros: Vec<f64>) -> Sample {
    Sample::new(median(&micros)).with("wait_p90_us", quantile(&micros, 0.9))
}

/// A thread's own monitor, then that of the next.
fn ours(size: usize, loser: Loser) -> u64 {
    let monitors: Vec<Monitor<()>> = (0..size).map(|_| Monitor::new(())).collect();
    let (all_inside, others_wait) = (Barrier::new(size), Barrier::new(2));
    let [waits_since, lost_at] = [(); 2].map(|()| AtomicU64::new(0));
    let enter_next = |i: usize| {
        waits_since.fetch_max(monotonic_now(), Ordering::Relaxed);
        if monitors[(i + 1) % size].enter(|_| ()).is_err() {
            lost_at.store(monotonic_now(), Ordering::Relaxed);
        }
    };
    let go = |i: usize| {
        let inside = || {
            all_inside.wait();
            if i + 1 == size {
                others_wait.wait();
            }
            enter_next(i);
        };
        monitors[i].enter(|_| inside()).expect("its own");
    };
    thread::scope(|scope| {
        let go = &go;
        let spawn = |i| {
            let builder = thread::Builder::new().stack_size(64 << 10);
            builder.spawn_scoped(scope, move || go(i)).expect("a thread")
        };
        match loser {
            Loser::Finder => (0..size).for_each(|i| _ = spawn(i)),
            // The last one waits for its own monitor, before any other does.
            Loser::Parked => monitors[size - 1]
                .enter(|_| {
                    spawn(size - 1);
                    while snapshot().is_empty() {
                        thread::yield_now();
                    }
                    (0..size - 1).for_each(|i| _ = spawn(i));
                })
                .expect("no other thread is there"),
        }
        while snapshot().len() + 1 < size {
            thread::sleep(Duration::from_micros(100));
        }
        others_wait.wait();
    });
    let lost_at = lost_at.into_inner();
    assert_ne!(lost_at, 0, "all threads of a ring have got through");
    lost_at - waits_since.into_inner()
}

#[cfg(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64"
))]
fn peers(size: usize) -> Vec<Entrant> {
    vec![Entrant::new("deloxide", move |pass| peer::measure(size, pass))]
}

#[cfg(not(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64"
)))]
fn peers(_: usize) -> Vec<Entrant> {
    Vec::new()
}

#[cfg(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64"
))]
mod peer {
    //! deloxide, in a process of its own: with that the threads end which its deadlocks keep.

    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::sync::Arc;

    use deloxide::{Deloxide, Mutex};

    use super::*;
    use crate::family::robust::processes::{self, Shared};

    /// A report that takes longer is missed.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// So many threads are kept by the deadlocks of one process at most.
    const MOST_THREADS: usize = 4_096;

    pub(super) fn measure(size: usize, pass: Pass) -> Sample {
        let most = MOST_THREADS / size;
        // SAFETY: they may be zero.
        let results = unsafe { Shared::<AtomicU64>::zeroed(most) };
        processes::spawn(|| {
            start();
            let mut results = results.iter();
            let mut rings = 0;
            repeat(pass.window, || {
                rings += 1;
                // The first is for the warm-up. What there is no place for is not run.
                let place = if rings == 1 { None } else { results.next() };
                if rings > 1 && place.is_none() {
                    thread::sleep(pass.window / 10);
                    return 0;
                }
                let nanos = ring(size);
                place.inspect(|place| place.store(nanos, Ordering::Relaxed));
                nanos
            });
        })
        .join();
        let nanos = results.iter().map(|nanos| nanos.load(Ordering::Relaxed));
        sample(nanos.filter(|&nanos| nanos > 0).map(|nanos| nanos as f64 / 1e3).collect())
    }

    /// When it was called last; 0 before that.
    static CALLED_AT: AtomicU64 = AtomicU64::new(0);

    fn start() {
        // It greets on the standard output.
        let null = File::options().write(true).open("/dev/null").expect("it is there");
        // SAFETY: both are open, and the process ends with this.
        unsafe { libc::dup2(null.as_raw_fd(), libc::STDOUT_FILENO) };
        let measuring = thread::current();
        let callback = move |_| {
            CALLED_AT.store(monotonic_now(), Ordering::Release);
            measuring.unpark();
        };
        Deloxide::new().callback(callback).start().expect("nothing to log to");
    }

    fn ring(size: usize) -> u64 {
        struct Ring {
            mutexes: Vec<Mutex<()>>,
            all_inside: Barrier,
            waits_since: AtomicU64,
        }
        let ring = Arc::new(Ring {
            mutexes: (0..size).map(|_| Mutex::new(())).collect(),
            all_inside: Barrier::new(size),
            waits_since: AtomicU64::new(0),
        });
        for i in 0..size {
            let ring = ring.clone();
            let body = move || {
                let _mine = ring.mutexes[i].lock();
                ring.all_inside.wait();
                if i + 1 == size {
                    // Until the others are asleep, of which nothing can be seen from outside.
                    thread::sleep(Duration::from_micros(1_000 + 200 * size as u64));
                }
                ring.waits_since.fetch_max(monotonic_now(), Ordering::Relaxed);
                drop(ring.mutexes[(i + 1) % size].lock());
            };
            thread::Builder::new().stack_size(64 << 10).spawn(body).expect("a thread");
        }
        let asked = Instant::now();
        loop {
            match CALLED_AT.swap(0, Ordering::Acquire) {
                0 => thread::park_timeout(PATIENCE),
                called_at => break called_at - ring.waits_since.load(Ordering::Relaxed),
            }
            assert!(asked.elapsed() < PATIENCE, "no deadlock is reported");
        }
    }
}
