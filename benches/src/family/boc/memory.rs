//! How many bytes are allocated for something that is pending.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::sync::mpsc;

use pysync_boc::{Cown, Runtime};

use super::engine::Engine;
use super::locks::{Rayon, Std};
use super::tasks::Tokio;
use crate::runner::{Entrant, Job, Pass, Plan, Sample};

/// The system's allocator, with a count of what is asked of it while that is [asked for](counted).
struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: isize) {
    if COUNTS.load(Ordering::Relaxed) {
        BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: it is that of the system.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: by contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: by contract.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: by contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PENDING: usize = 10_000;

/// The bytes of one, of as many as are pending after `ask` was called with each of the numbers.
fn counted(ask: impl FnMut(usize)) -> f64 {
    // The first ones may allocate what all of them use.
    BYTES.store(0, Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    (0..PENDING).for_each(ask);
    COUNTS.store(false, Ordering::Relaxed);
    BYTES.load(Ordering::Relaxed) as f64 / PENDING as f64
}

pub(super) fn plan() -> Plan {
    let mut jobs = Vec::new();
    macro_rules! job {
        ($closure:literal) => {{
            let case = [("cowns", "1".to_owned()), ("closure, bytes", $closure.to_string())];
            let entrants = vec![
                Entrant::new("rayon std", rayon::<$closure>),
                Entrant::new("tokio", tokio::<$closure>),
                Entrant::new("channel", channel::<$closure>),
                Entrant::new("pysync", |_| ours::<$closure, 1, false>()),
                Entrant::new("pysync when", |_| ours::<$closure, 1, true>()),
            ];
            jobs.push(Job::new(case, entrants));
        }};
    }
    job!(0);
    job!(64);
    let case = [("cowns", "2".to_owned()), ("closure, bytes", "0".to_owned())];
    jobs.push(Job::new(
        case,
        vec![
            Entrant::new("pysync", |_| ours::<0, 2, false>()),
            Entrant::new("pysync when", |_| ours::<0, 2, true>()),
        ],
    ));
    Plan {
        name: "boc memory",
        title: "Behaviours: bytes that are asked of the allocator for one that is pending",
        unit: "bytes",
        higher_is_better: false,
        x: "closure, bytes",
        timed_rounds: 0,
        jobs,
    }
}

fn ours<const CLOSURE: usize, const COWNS: usize, const OUTCOME: bool>() -> Sample {
    let runtime = Runtime::builder().workers(1).build().expect("a thread for the worker");
    let cowns = [(); COWNS].map(|()| Cown::new(0_u64));
    let held = cowns.each_ref().map(Cown::acquire);
    let captured = black_box([0_u8; CLOSURE]);
    let mut outcomes = Vec::with_capacity(PENDING);
    let bytes = counted(|_| {
        let cowns = cowns.each_ref();
        if OUTCOME {
            outcomes.push(runtime.when(cowns, move |_| _ = black_box(captured)));
        } else {
            runtime.fire(cowns, move |_| _ = black_box(captured));
        }
    });
    drop(held);
    runtime.quiesce(None).expect("it waits forever");
    Sample::new(bytes)
}

/// Tasks that wait for a mutex in the queue of the pool, whose only worker waits for it too.
fn rayon<const CLOSURE: usize>(_: Pass) -> Sample {
    let engine = Rayon::<Std>::new(1);
    let mutex = Rayon::<Std>::cown(0_u64);
    let held = mutex.lock().expect("no panic");
    let captured = black_box([0_u8; CLOSURE]);
    let (sender, receiver) = mpsc::channel();
    let ask = |last: bool| {
        let sender = last.then(|| sender.clone());
        Rayon::one(Some(&engine), mutex.clone(), move |_| {
            black_box(captured);
            sender.into_iter().for_each(|sender| sender.send(()).expect("the receiver waits"));
        })
    };
    let bytes = counted(|i| ask(i + 1 == PENDING)) - size_of::<Option<mpsc::Sender<()>>>() as f64;
    drop(held);
    receiver.recv().expect("the last one runs");
    Sample::new(bytes)
}

/// Tasks that wait for a mutex.
fn tokio<const CLOSURE: usize>(_: Pass) -> Sample {
    let engine = Tokio::new(1);
    let mutex = Tokio::cown(0_u64);
    let held = mutex.blocking_lock();
    let captured = black_box([0_u8; CLOSURE]);
    let bytes =
        counted(|_| Tokio::one(Some(&engine), mutex.clone(), move |_| _ = black_box(captured)));
    drop(held);
    Sample::new(bytes)
}

/// Closures in the channel of an actor.
fn channel<const CLOSURE: usize>(_: Pass) -> Sample {
    type Message = Box<dyn FnOnce(&mut u64) + Send>;
    let (sender, receiver) = crossbeam_channel::unbounded::<Message>();
    let captured = black_box([0_u8; CLOSURE]);
    let bytes = counted(|_| {
        sender.send(Box::new(move |_| _ = black_box(captured))).expect("there is a receiver");
    });
    drop(sender);
    receiver.iter().for_each(|message| message(&mut 0));
    Sample::new(bytes)
}
