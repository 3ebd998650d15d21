//! How every crate here runs its models: under loom by `Explore`, under shuttle by `TryOut`.
//!
//! A model is a state that threads share, one body for each thread, and a check of the state once all
//! threads have ended:
//!
//! ```text
//! Explore::new("event, 2 waiters").preemptions(2).run(shared, [wait, wait, notify], |s| {
//!     assert!(s.event.is_set());
//! });
//! TryOut::new("event, 3 waiters", 16_000).run(shared, [wait, wait, notify, wait], |s| {
//!     assert!(s.event.is_set());
//! });
//! ```
//!
//! Each execution builds a state of its own. A thread leaves its result in the state, in a [`Data`]
//! say, where the check finds it. A lost wake needs no check: both checkers report the deadlock.
//!
//! The locks of a model come from `Default::default()`. loom makes what comes from `new` at its first
//! use, and may thereby hide an ordering; see `pysync_platform::primitive::Zeroed`. Only a model of a
//! `static` wants that.
//!
//! The layout is the same in each crate: `tests/loom/main.rs` and `tests/shuttle/main.rs`, with a
//! module for each subject. `ci/loom.sh` and `ci/shuttle.sh` find them there.

mod data;
#[cfg(pysync_loom)]
#[path = "loom.rs"]
mod runner;
#[cfg(pysync_shuttle)]
#[path = "shuttle.rs"]
mod runner;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;

pub use data::{Data, Section};
pub use runner::*;

/// Counts the runs of a model, and prints the count when the model is done or has failed.
struct Runs {
    model: String,
    unit: &'static str,
    count: AtomicUsize,
}

impl Runs {
    /// Calls `check` with a new count. Models run one at a time: the clock is the process's, and so
    /// is the standard output that shows the counts.
    fn count(model: String, unit: &'static str, check: impl FnOnce(std::sync::Arc<Self>)) {
        static ALONE: Mutex<()> = Mutex::new(());
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        check(std::sync::Arc::new(Self { model, unit, count: AtomicUsize::new(0) }));
    }

    fn add_one(&self) {
        self.count.fetch_add(1, Relaxed);
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        let end = if thread::panicking() { ", and the last one failed" } else { "" };
        println!("{}: {} {}{end}", self.model, self.count.get_mut(), self.unit);
    }
}
