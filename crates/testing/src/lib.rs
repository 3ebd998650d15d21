//! What the tests of pysync share. No test sleeps or asserts on a tight time; each waits for an
//! event or a state, and a watchdog ends a wait that has no end.
//!
//! Under `--cfg pysync_loom` and `--cfg pysync_shuttle` there is `model`, by which all models run.

mod allocator;
#[cfg(unix)]
mod fork;
mod misuse;
#[cfg(any(pysync_loom, pysync_shuttle))]
pub mod model;
#[cfg(unix)]
mod signal;
mod sleeper;
mod stress;
#[cfg(unix)]
mod target;
mod watchdog;

use std::thread;

pub use allocator::{Asked, CountingAllocator, allocations, asked, measured};
#[cfg(unix)]
pub use fork::{child_succeeds, fork};
pub use misuse::{aborts_with, hush_panics, panics_with};
#[cfg(unix)]
pub use signal::{ThreadId, rain, rain_until, signals_handled, watch_signals};
pub use sleeper::{Sleeper, sleeping};
pub use stress::{StressTime, random, report_stress};
#[cfg(unix)]
pub use target::{Target, alone};
pub use watchdog::{Watchdog, watchdog, watchdog_for};

/// Runs `body` on `threads` threads, each with its number, and joins them one by one: the end of
/// a scope synchronises inside of std, where ThreadSanitizer does not see it.
///
/// # Panics
/// If one of them has.
pub fn together(threads: usize, body: impl Fn(usize) + Sync) {
    thread::scope(|s| {
        let body = &body;
        let threads: Vec<_> = (0..threads).map(|id| s.spawn(move || body(id))).collect();
        let ends: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        if let Some(panic) = ends.into_iter().find_map(Result::err) {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Yields until `condition` holds. The caller keeps a watchdog.
pub fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}
