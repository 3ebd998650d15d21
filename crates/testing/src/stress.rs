//! Tests that go on for a while. Made of atomics and thread locals only, as the watchdog is: the
//! sanitizers do not see into std.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::{Watchdog, watchdog_for};

const SECONDS: &str = "PYSYNC_STRESS_SECONDS";

/// How long a stress test goes on: a second, or as many as `PYSYNC_STRESS_SECONDS` in the environment
/// says. A watchdog ends one that does not notice.
#[derive(Debug)]
pub struct StressTime {
    ends: Instant,
    _watchdog: Watchdog,
}

impl StressTime {
    /// From now on.
    pub fn begin() -> Self {
        let seconds = std::env::var(SECONDS);
        let seconds = seconds.map_or(1.0, |seconds| seconds.parse().expect("a number"));
        let duration = Duration::from_secs_f64(seconds);
        Self {
            ends: Instant::now() + duration,
            _watchdog: watchdog_for(2 * duration + Duration::from_secs(60)),
        }
    }

    /// Whether it is over.
    pub fn is_up(&self) -> bool {
        Instant::now() >= self.ends
    }
}

/// Prints what a long run has counted. Short ones are silent: a sanitizer would report std's output.
pub fn report_stress(counts: impl FnOnce() -> String) {
    if std::env::var_os(SECONDS).is_some() {
        println!("{}", counts());
    }
}

/// A number less than `end`, of the calling thread's own, that differs each time.
pub fn random(end: usize) -> usize {
    thread_local! {
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    static SEED: AtomicUsize = AtomicUsize::new(1);

    let mut x = STATE.get();
    if x == 0 {
        x = (SEED.fetch_add(1, Relaxed) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    STATE.set(x);
    (x >> 16) as usize % end
}
