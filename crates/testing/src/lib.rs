//! What the tests of pysync share. No test sleeps or asserts on a tight time; each waits for an
//! event or a state, and a watchdog ends a wait that has no end.

#[cfg(unix)]
mod fork;
#[cfg(unix)]
mod signal;

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

#[cfg(unix)]
pub use fork::fork;
#[cfg(unix)]
pub use signal::{ThreadId, signals_handled, watch_signals};

/// Aborts the process with a message unless it is dropped in time.
#[must_use]
#[derive(Debug)]
pub struct Watchdog {
    _alive: Sender<()>,
}

/// A minute for the scope that keeps the result: ample on a busy machine, and finite.
pub fn watchdog() -> Watchdog {
    watchdog_for(Duration::from_secs(60))
}

/// `limit` for the scope that keeps the result.
pub fn watchdog_for(limit: Duration) -> Watchdog {
    let (alive, dropped) = channel::<()>();
    let test = thread::current().name().unwrap_or("a test").to_owned();
    thread::spawn(move || {
        if dropped.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            eprintln!("watchdog: {test} hangs ({limit:?} are over); aborting");
            std::process::abort();
        }
    });
    Watchdog { _alive: alive }
}

/// Yields until `condition` holds. The caller keeps a watchdog.
pub fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}
