//! What a kernel decides is a choice of the model: when a wait is cut short, and what time it is.
//!
//! Under shuttle each wait may be cut short by a signal, and each timed wait by its deadline, at
//! random. loom has no randomness to offer, but every order of steps: a timed wait takes a wake
//! that has come and else gives up, there are no signals, and the clock is set by the model
//! ([`set_clock_step`]).

use crate::primitive::plain::{AtomicU64, Ordering};
use crate::{Deadline, ParkStatus};

#[cfg(pysync_loom)]
pub(crate) mod choice {
    use super::*;

    /// A timed wait never blocks, so that a model explores both ends of it.
    pub(crate) fn cut_short(deadline: Deadline, woken: impl Fn() -> bool) -> Option<ParkStatus> {
        (!deadline.is_never() && !woken()).then_some(ParkStatus::Timeout)
    }

    pub(crate) fn tick() -> u64 {
        STEP.load(Ordering::Relaxed)
    }
}

#[cfg(all(pysync_shuttle, not(pysync_loom)))]
pub(crate) mod choice {
    use super::*;
    use crate::primitive::checker::{rand, thread};
    use rand::Rng;

    /// A signal before the wait, or for a timed wait its deadline some steps into it. A timed
    /// wait never blocks: it takes a wake that comes in time, or gives up.
    pub(crate) fn cut_short(deadline: Deadline, woken: impl Fn() -> bool) -> Option<ParkStatus> {
        let mut random = rand::thread_rng();
        if random.gen_ratio(1, 8) {
            return Some(ParkStatus::Interrupted);
        }
        if deadline.is_never() {
            return None;
        }
        for _ in 0..random.gen_range(0..8) {
            if woken() {
                return None;
            }
            thread::yield_now();
        }
        (!woken()).then_some(ParkStatus::Timeout)
    }

    pub(crate) fn tick() -> u64 {
        let late = rand::thread_rng().gen_ratio(1, 2);
        if late { 2_000_000 } else { STEP.load(Ordering::Relaxed) }
    }
}

// Not the model's atomics: the clock is part of its environment, and reading it is no step.
static NOW: AtomicU64 = AtomicU64::new(0);
static STEP: AtomicU64 = AtomicU64::new(0);

/// How many nanoseconds pass with each reading of the clock, for a loom model that wants a
/// hand-off always (a step past the millisecond of fairness) or never (0, the default). Under
/// shuttle a reading is late at random whatever the step.
pub fn set_clock_step(nanos: u64) {
    STEP.store(nanos, Ordering::Relaxed);
}

/// A clock that moves only when it is read.
pub(crate) fn now() -> u64 {
    NOW.fetch_add(choice::tick(), Ordering::Relaxed)
}
