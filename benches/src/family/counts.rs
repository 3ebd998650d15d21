//! Reference counts: to clone and to drop, by the owner, by other threads and by many at a time, and to make and to
//! drop an object.
//!
//! A contender is a kind of handle. Those of hybrid-rc and trc that are cheap stay on their thread, and their compilers
//! see to that; pysync's tell the owner by a look.

use std::hint::black_box;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use crossbeam_utils::CachePadded;
use pysync_reclaim::{Shared, Spread};

use crate::cli::Matrix;
use crate::harness;
use crate::runner::{Entrant, Job, Pass, Plan, Sample};
use crate::stats::{jain, median, quantile};

/// What is counted: a line by itself, so that no other object is on it.
type Object = CachePadded<u64>;

fn object() -> Object {
    CachePadded::new(0)
}

pub(crate) fn plans(matrix: &Matrix) -> Vec<Plan> {
    vec![alone(), together(matrix)]
}

/// One entrant for each kind of handle: what it is called, how the first is made, and how the one that is used comes
/// from that.
macro_rules! entrants {
    ($measure:ident: $($name:literal, $new:expr;)*) => {
        vec![$(Entrant::new($name, |pass| $measure(pass, $new))),*]
    };
}

fn alone() -> Plan {
    let job = |what: &str, entrants| Job::new([("what", what.to_owned())], entrants);
    Plan {
        name: "counts",
        title: "Counts: a clone and its drop, or an object and its end, alone",
        unit: "ns",
        higher_is_better: false,
        x: "what",
        timed_rounds: 0,
        jobs: vec![
            job(
                "owner",
                entrants! { clone_here:
                    "Rc", || std::rc::Rc::new(object());
                    "Arc", || std::sync::Arc::new(object());
                    "hybrid-rc", || hybrid_rc::Rc::new(object());
                    "trc", || trc::Trc::new(object());
                    "pysync", || Shared::new(object());
                },
            ),
            job(
                "foreign",
                entrants! { clone_elsewhere:
                    "Arc", || std::sync::Arc::new(object());
                    "hybrid-rc", || hybrid_rc::Arc::new(object());
                    "trc", || trc::SharedTrc::new(object());
                    "pysync", || Shared::new(object());
                },
            ),
            job(
                "new and last drop",
                entrants! { make:
                    "Rc", || std::rc::Rc::new(0_u64);
                    "Arc", || std::sync::Arc::new(0_u64);
                    "hybrid-rc", || hybrid_rc::Rc::new(0_u64);
                    "trc", || trc::Trc::new(0_u64);
                    "pysync", || Shared::new(0_u64);
                },
            ),
        ],
    }
}

/// What `operation` takes in the batch that a tenth of all are as cheap as: what else the machine does only adds to
/// it.
fn cheapest(pass: Pass, mut operation: impl FnMut()) -> Sample {
    const BATCH: u32 = 2_000;
    let (started, mut nanos) = (Instant::now(), Vec::new());
    while nanos.is_empty() || started.elapsed() < pass.window {
        let began = Instant::now();
        (0..BATCH).for_each(|_| operation());
        nanos.push(began.elapsed().as_nanos() as f64 / f64::from(BATCH));
    }
    Sample::new(quantile(&nanos, 0.1))
}

/// Calls `body` on a thread of its own, in a process that has several.
fn on_a_thread(body: impl FnOnce() -> Sample + Send) -> Sample {
    thread::scope(|scope| scope.spawn(body).join().expect("no body panics"))
}

fn clone_and_drop<H: Clone + Deref<Target = Object>>(handle: &H) {
    drop(black_box(black_box(handle).clone()));
}

/// By the thread that has made the object.
fn clone_here<H: Clone + Deref<Target = Object>>(pass: Pass, new: fn() -> H) -> Sample {
    on_a_thread(|| {
        let handle = new();
        cheapest(pass, || clone_and_drop(&handle))
    })
}

/// By another thread, while the one that has made the object sleeps and has a handle.
fn clone_elsewhere<H>(pass: Pass, new: fn() -> H) -> Sample
where
    H: Clone + Deref<Target = Object> + Send + Sync + 'static,
{
    let (over, is_over) = mpsc::channel::<()>();
    let (send, receive) = mpsc::channel();
    let owner = thread::spawn(move || {
        let handle = new();
        send.send(handle.clone()).expect("the measuring thread receives");
        // Nothing is sent: the sender is dropped.
        _ = is_over.recv();
        drop(handle);
    });
    let handle = receive.recv().expect("the owner does not panic");
    let sample = on_a_thread(|| cheapest(pass, || clone_and_drop(&handle)));
    drop(over);
    owner.join().expect("the owner does not panic");
    sample
}

/// A small object.
fn make<H: Deref<Target = u64>>(pass: Pass, new: fn() -> H) -> Sample {
    on_a_thread(|| cheapest(pass, || drop(black_box(new()))))
}

fn together(matrix: &Matrix) -> Plan {
    let job = |threads: usize| {
        let entrants = vec![
            Entrant::new("Arc", move |pass| {
                many(pass, threads, std::sync::Arc::new(object()), Clone::clone)
            }),
            Entrant::new("hybrid-rc", move |pass| {
                many(pass, threads, hybrid_rc::Arc::new(object()), Clone::clone)
            }),
            Entrant::new("trc", move |pass| {
                many(pass, threads, trc::SharedTrc::new(object()), Clone::clone)
            }),
            // Without a base: all threads but the owner share a count.
            Entrant::new("biased", move |pass| {
                many(pass, threads, Shared::new(object()), Clone::clone)
            }),
            Entrant::new("pysync", move |pass| {
                let base = Shared::spread(&Shared::new(object()));
                // The owner takes part: it has no other call here in which to do so.
                Shared::collect();
                many(pass, threads, base, Spread::share)
            }),
        ];
        Job::new([("threads", threads.to_string())], entrants)
    };
    Plan {
        name: "counts together",
        title: "Counts: a clone and its drop of one object, by threads at a time",
        unit: "ns",
        higher_is_better: false,
        x: "threads",
        timed_rounds: 0,
        jobs: matrix.threads_or(&[1, 2, 4, 16]).into_iter().map(job).collect(),
    }
}

/// Threads that each have a handle, and clone and drop it. Those of their batches count that were not interrupted, and
/// in which another thread has ended one: two were at it at a time.
fn many<B: Sync, H>(pass: Pass, threads: usize, base: B, share: fn(&B) -> H) -> Sample
where
    H: Clone + Deref<Target = Object>,
{
    const BATCH: u32 = 1_000;
    /// A thread notes so many.
    const MOST: usize = 1 << 16;
    /// After so many windows in which no two threads were at it, as on one processor, the last batches count.
    const PATIENCE: u32 = 50;

    for window in 0.. {
        let ended: Vec<CachePadded<AtomicU64>> = (0..threads).map(|_| Default::default()).collect();
        let seen = harness::run(threads, &[], pass.window, |worker| {
            let handle = share(&base);
            let by_others = || {
                let others = ended.iter().enumerate().filter(|&(id, _)| id != worker.id);
                others.map(|(_, ended)| ended.load(Ordering::Relaxed)).sum::<u64>()
            };
            let mut nanos = Vec::new();
            let mut displaced = harness::switches().1;
            worker.repeat(|| {
                let (before, began) = (by_others(), Instant::now());
                (0..BATCH).for_each(|_| clone_and_drop(&handle));
                let elapsed = began.elapsed();
                let together = threads == 1 || window == PATIENCE || by_others() != before;
                let before = std::mem::replace(&mut displaced, harness::switches().1);
                if together && displaced == before && nanos.len() < MOST {
                    nanos.push(elapsed.as_nanos() as f64 / f64::from(BATCH));
                }
                ended[worker.id].fetch_add(1, Ordering::Relaxed);
            });
            nanos
        });
        let nanos: Vec<f64> = seen.results.into_iter().flatten().collect();
        if !nanos.is_empty() || window == PATIENCE {
            return Sample::new(median(&nanos)).with("jain", jain(&seen.shares));
        }
    }
    unreachable!("the last window returns")
}
