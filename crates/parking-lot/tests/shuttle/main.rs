//! shuttle: is the protocol right when waits end by timeouts and signals, at any moment?
//!
//! `RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-parking-lot --test shuttle -- --nocapture`
//!
//! Each model runs under random schedules and under PCT's, which look for bugs that take few
//! preemptions. Each wait may be interrupted by a signal, and each timed one by its deadline, at
//! random. A lost wake shows as a deadlock; a wake too many as a letter that nobody has answered.
#![cfg(pysync_shuttle)]

mod letters;
mod raw_mutex;
mod runtimes;
mod semaphore;
mod timeouts;

use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize as PlainUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use pysync_parking_lot::{
    Deadline, Native, ParkStatus, Parker, PendingCallError, RawMutex, Runtime, park, park_in,
    unpark, unpark_all, unpark_all_with,
};
use pysync_platform::primitive::UnsafeCell;
use shuttle::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize};
use shuttle::thread;

const SOON: Option<Duration> = Some(Duration::from_millis(1));

/// How often each model runs under each scheduler.
const RUNS: usize = 10_000;

fn check(name: &str, model: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(PlainUsize::new(0));
    let counted = {
        let executions = Arc::clone(&executions);
        Arc::new(move || {
            executions.fetch_add(1, Relaxed);
            model();
        })
    };
    let model = Arc::clone(&counted);
    shuttle::check_random(move || model(), RUNS);
    for depth in [2, 4] {
        let model = Arc::clone(&counted);
        shuttle::check_pct(move || model(), RUNS / 2, depth);
    }
    println!("{name}: {} executions", executions.load(Relaxed));
}

/// Runs the bodies on threads of their own, over shared state, and returns that.
fn run<T: Send + Sync + 'static>(state: T, bodies: &[fn(&T)]) -> Arc<T> {
    let state = Arc::new(state);
    let threads: Vec<_> = bodies
        .iter()
        .map(|&body| {
            let state = Arc::clone(&state);
            thread::spawn(move || body(&state))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    state
}

fn no_arg() -> *mut () {
    null_mut()
}

/// Data with no protection of its own. shuttle does not see it, so reading and writing are two
/// steps with a switch in between.
struct Data(UnsafeCell<u32>);

// SAFETY: shuttle runs one thread at a time.
unsafe impl Sync for Data {}

impl Data {
    fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn get(&self) -> u32 {
        // SAFETY: as for `Sync`.
        self.0.with(|value| unsafe { *value })
    }

    fn increment(&self) {
        let before = self.get();
        thread::yield_now();
        // SAFETY: as for `Sync`.
        self.0.with_mut(|value| unsafe { *value = before + 1 });
    }
}
