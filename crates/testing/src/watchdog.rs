use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Aborts the process with a message unless it is dropped in time.
///
/// Made of a thread and a flag only: ThreadSanitizer sees no synchronisation inside of std, and
/// would report a channel.
#[must_use]
#[derive(Debug)]
pub struct Watchdog {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A minute for the scope that keeps the result: ample on a busy machine, and finite.
pub fn watchdog() -> Watchdog {
    watchdog_for(Duration::from_secs(60))
}

/// `limit` for the scope that keeps the result; `PYSYNC_WATCHDOG` in the environment, in seconds,
/// shortens it where a test is expected to hang.
pub fn watchdog_for(limit: Duration) -> Watchdog {
    let limit = match std::env::var("PYSYNC_WATCHDOG").map(|seconds| seconds.parse()) {
        Ok(Ok(seconds)) => limit.min(Duration::from_secs(seconds)),
        _ => limit,
    };
    let done = Arc::new(AtomicBool::new(false));
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let thread = thread::spawn({
        let done = Arc::clone(&done);
        let deadline = Instant::now() + limit;
        move || {
            while !done.load(Ordering::Acquire) {
                let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                    say(&format!(
                        "watchdog: {test} hangs ({limit:?} are over); aborting. If it failed \
                         before, it says so with --nocapture\n"
                    ));
                    std::process::abort();
                };
                thread::park_timeout(left);
            }
        }
    });
    Watchdog { done, thread: Some(thread) }
}

/// Not by `eprintln!`, which the harness captures and an abort throws away, and not through std's
/// stderr where that can be helped: the test that hangs may have locked it.
fn say(message: &str) {
    #[cfg(unix)]
    // SAFETY: the bytes of a string.
    unsafe {
        libc::write(2, message.as_ptr().cast(), message.len());
    }
    #[cfg(not(unix))]
    let _ = std::io::Write::write_all(&mut std::io::stderr(), message.as_bytes());
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It cannot panic.
            let _ = thread.join();
        }
    }
}
