//! loom: are the orderings enough? Two threads exhaustively, three within a bound of preemptions,
//! 3 unless `LOOM_MAX_PREEMPTIONS` says otherwise.
//!
//! `RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-parking-lot --test loom -- --nocapture`
//!
//! The data that a lock or a wake is to publish is a `loom::cell::UnsafeCell`, which reports two
//! accesses that nothing orders. A lost wake shows as a deadlock. A timed wait gives up unless a
//! wake has come, so both ends of it are explored.
#![cfg(pysync_loom)]

mod events;
mod park_args;
mod protocols;
mod raw_mutex;
mod semaphore;
mod timeouts;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize as PlainUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::atomic::{AtomicU8, AtomicU32};
use loom::thread;
use pysync_parking_lot::{ParkStatus, Parker, RawMutex, park, unpark, unpark_all, unpark_all_with};
use pysync_testing::hush_panics;

const SOON: Option<Duration> = Some(Duration::from_millis(1));

/// Every order of the steps of two threads.
fn exhaustive(name: &str, model: impl Fn() + Send + Sync + 'static) {
    check(name, None, model);
}

/// Every order of the steps of some threads with not too many preemptions.
fn bounded(name: &str, model: impl Fn() + Send + Sync + 'static) {
    check(name, Builder::new().preemption_bound.or(Some(3)), model);
}

fn check(name: &str, preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(PlainUsize::new(0));
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 10_000;
    builder.check({
        let executions = Arc::clone(&executions);
        move || {
            executions.fetch_add(1, Relaxed);
            model();
        }
    });
    println!("{name}: {} executions", executions.load(Relaxed));
}

/// Data with no protection of its own.
struct Data(UnsafeCell<u32>);

// SAFETY: loom checks each access.
unsafe impl Sync for Data {}

impl Data {
    fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn get(&self) -> u32 {
        // SAFETY: loom reports a write at the same time.
        self.0.with(|value| unsafe { *value })
    }

    fn set(&self, new: u32) {
        // SAFETY: loom reports any access at the same time.
        self.0.with_mut(|value| unsafe { *value = new });
    }

    fn add(&self, more: u32) {
        self.set(self.get() + more);
    }
}

/// Runs the bodies over shared state, the last one on this thread, and returns the state.
fn run<T: Send + Sync + 'static>(state: T, bodies: &[fn(&T)]) -> Arc<T> {
    let state = Arc::new(state);
    let (own, others) = bodies.split_last().unwrap();
    let threads: Vec<_> = others
        .iter()
        .map(|&body| {
            let state = Arc::clone(&state);
            thread::spawn(move || body(&state))
        })
        .collect();
    own(&state);
    for thread in threads {
        thread.join().unwrap();
    }
    state
}

fn no_arg() -> *mut () {
    null_mut()
}
