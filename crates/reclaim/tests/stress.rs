//! Sixteen threads that clone, drop, send and spread, end and go away, under oversubscription, with plain
//! data in the objects for ThreadSanitizer and AddressSanitizer. Each object is dropped once, and none is
//! left.
//!
//! Each test takes a second, or as many as `PYSYNC_STRESS_SECONDS` in the environment says:
//!
//! ```text
//! PYSYNC_STRESS_SECONDS=60 cargo test --release -p pysync-reclaim --test stress -- --nocapture
//! ```
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering::*};

use pysync_lock::guarded::Mutex;
use pysync_reclaim::{Deadline, Finalize, Finalized, Finalizer, Shared, Spread, away};
use pysync_testing::{StressTime, random, report_stress, together};

const THREADS: usize = 16;

/// Counts the objects that there are.
struct Live {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

/// Read by who has a handle, and written by the drop: a sanitizer sees a drop that comes too early.
struct Plain {
    live: &'static Live,
    number: UnsafeCell<usize>,
}

// SAFETY: it is written only when it is dropped.
unsafe impl Sync for Plain {}

impl Plain {
    fn new(live: &'static Live) -> Self {
        live.made.fetch_add(1, Relaxed);
        Self { live, number: UnsafeCell::new(1) }
    }

    fn read(&self) {
        // SAFETY: not written while there is a handle.
        assert_eq!(unsafe { *self.number.get() }, 1);
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.read();
        *self.number.get_mut() = 0;
        self.live.dropped.fetch_add(1, Relaxed);
    }
}

impl Live {
    const fn new() -> Self {
        Self { made: AtomicUsize::new(0), dropped: AtomicUsize::new(0) }
    }

    /// All objects are gone once the threads have ended and this one has looked.
    fn are_all_dropped(&self) -> usize {
        Shared::collect();
        let made = self.made.load(SeqCst);
        assert_eq!(made, self.dropped.load(SeqCst));
        made
    }
}

/// Places that all threads put handles into and take them from.
type Places<T> = [Mutex<Option<T>>];

fn places<T>(count: usize) -> Box<Places<T>> {
    (0..count).map(|_| Mutex::new(None)).collect()
}

fn swap<T>(places: &Places<T>, new: Option<T>) -> Option<T> {
    std::mem::replace(&mut *places[random(places.len())].lock(), new)
}

/// Handles go from thread to thread, and are cloned and dropped anywhere.
#[test]
fn handles_travel() {
    static LIVE: Live = Live::new();
    let (time, live, steps) = (StressTime::begin(), &LIVE, AtomicUsize::new(0));
    while !time.is_up() {
        let places = places::<Shared<Plain>>(8);
        // The threads end soon, so that nodes change hands.
        together(THREADS, |_| {
            let mut kept = Vec::new();
            for _ in 0..2_000 {
                match random(8) {
                    0 => kept.push(Shared::new(Plain::new(live))),
                    1 => kept.extend(swap(&places, None)),
                    2 => drop(swap(&places, kept.pop())),
                    3 => kept.truncate(kept.len() / 2),
                    4 => away(|| kept.truncate(random(4))),
                    5 => {
                        if let Some(handle) = kept.last_mut() {
                            if let Some(plain) = Shared::get_mut(handle) {
                                *plain.number.get_mut() = 1;
                            }
                        }
                    }
                    _ => {
                        if let Some(handle) = kept.last() {
                            handle.read();
                            drop(swap(&places, Some(handle.clone())));
                        }
                    }
                }
            }
            steps.fetch_add(2_000, Relaxed);
        });
    }
    let (steps, objects) = (steps.load(SeqCst), live.are_all_dropped());
    report_stress(|| format!("handles travel: {steps} steps, {objects} objects"));
}

/// Objects that are spread, drain and are spread again, under the hands of their users.
#[test]
fn objects_are_spread_and_drain() {
    static LIVE: Live = Live::new();
    let (time, live, steps) = (StressTime::begin(), &LIVE, AtomicUsize::new(0));
    while !time.is_up() {
        let places = places::<Shared<Plain>>(4);
        let bases = self::places::<Spread<Plain>>(4);
        together(THREADS, |_| {
            let mut kept = Vec::new();
            for _ in 0..2_000 {
                match random(10) {
                    0 => {
                        let new = Shared::new(Plain::new(live));
                        drop(swap(&bases, Some(Shared::spread(&new))));
                        kept.push(new);
                    }
                    1 => {
                        if let Some(handle) = kept.last() {
                            drop(swap(&bases, Some(Shared::spread(handle))));
                        }
                    }
                    2 => drop(swap(&bases, None)),
                    3 => kept.extend(swap(&places, None)),
                    4 => kept.truncate(kept.len() / 2),
                    5 => {
                        if let Some(Err(handle)) = kept.pop().map(Shared::try_unwrap) {
                            kept.push(handle);
                        }
                    }
                    _ => {
                        if let Some(handle) = kept.last() {
                            handle.read();
                            drop(swap(&places, Some(handle.clone())));
                        }
                    }
                }
            }
            steps.fetch_add(2_000, Relaxed);
        });
    }
    let (steps, objects) = (steps.load(SeqCst), live.are_all_dropped());
    report_stress(|| format!("spread: {steps} steps, {objects} objects"));
}

/// One object, which all threads clone and drop while its base comes and goes.
#[test]
fn one_object_for_all() {
    static LIVE: Live = Live::new();
    let (time, live, rounds) = (StressTime::begin(), &LIVE, AtomicUsize::new(0));
    while !time.is_up() {
        let first = Shared::new(Plain::new(live));
        let base = Mutex::new(Some(Shared::spread(&first)));
        let handles = Mutex::new((0..THREADS).map(|_| first.clone()).collect::<Vec<_>>());
        drop(first);
        together(THREADS, |id| {
            let handle = handles.lock().pop().unwrap();
            for round in 0..random(500) {
                handle.clone().read();
                if id == 0 && round == 20 {
                    drop(base.lock().take());
                }
            }
        });
        drop(base);
        rounds.fetch_add(1, Relaxed);
    }
    let (rounds, objects) = (rounds.load(SeqCst), live.are_all_dropped());
    report_stress(|| format!("one object: {rounds} rounds, {objects} objects"));
}

struct Core(Plain, usize);

impl Finalize for Core {
    fn finalize(self) {
        self.0.read();
        assert!(self.1 != 0, "in the test");
    }
}

/// Cores in shared objects, on several finalizers, of which some are shut down meanwhile.
#[test]
fn cores_end_anywhere() {
    pysync_testing::hush_panics("in the test");
    static LIVE: Live = Live::new();
    let (time, live, cores) = (StressTime::begin(), &LIVE, AtomicUsize::new(0));
    while !time.is_up() {
        let finalizers = ["a", "b"].map(|name| Finalizer::new(name).unwrap());
        let places = places::<Shared<Finalized<Core>>>(4);
        together(THREADS, |id| {
            for round in 0..200 {
                let finalizer = &finalizers[random(2)];
                let core = Core(Plain::new(live), random(50));
                let shared = Shared::new(Finalized::new_on(finalizer, core));
                drop(swap(&places, Some(shared.clone())));
                shared.0.read();
                if id == 0 && round == 100 {
                    finalizer.shutdown(Deadline::NOW);
                }
            }
        });
        drop(places);
        Shared::collect();
        for finalizer in &finalizers {
            assert_eq!(finalizer.shutdown(Deadline::NEVER).left, 0);
        }
        cores.fetch_add(THREADS * 200, Relaxed);
    }
    let (cores, objects) = (cores.load(SeqCst), live.are_all_dropped());
    report_stress(|| format!("cores: {cores} cores, {objects} objects"));
}
