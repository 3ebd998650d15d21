//! The parker of the models: a mutex and a condition variable of the model checker, so that a
//! lost wake shows as a deadlock. A yield loop would hide it.
//!
//! What a kernel decides is a choice of the model here. Under shuttle each wait may be cut short
//! by a signal, and each timed wait by its deadline, at random. loom has no randomness to offer,
//! but every order of steps: a timed wait takes a wake that has come and else gives up, there are
//! no signals, and the clock is set by the model ([`set_clock_step`]).

use crate::primitive::model::sync::{Condvar, Mutex};
use crate::primitive::plain::{AtomicU64, Ordering};
use crate::{Deadline, ParkStatus};
use std::sync::Arc;

/// Wakeups that nobody has taken yet.
pub(super) struct Parker {
    // Shared, so that a waker never touches a condition variable that its waiter has dropped:
    // the checkers' objects are not made for that, the real parkers are.
    inner: Arc<(Mutex<u32>, Condvar)>,
}

impl Parker {
    pub(super) fn new() -> Self {
        Self { inner: Arc::new((Mutex::new(0), Condvar::new())) }
    }

    pub(super) fn wait(&self, deadline: Deadline) -> ParkStatus {
        let (count, condvar) = &*self.inner;
        if let Some(status) = choice::cut_short(deadline, || *count.lock().unwrap() > 0) {
            return status;
        }
        let mut count = count.lock().unwrap();
        while *count == 0 {
            count = condvar.wait(count).unwrap();
        }
        *count -= 1;
        ParkStatus::Ok
    }

    /// # Safety
    /// `this` is valid until its waiter has seen this wakeup.
    pub(super) unsafe fn wake(this: *const Self) {
        // SAFETY: valid until the count is seen, by contract.
        let inner = unsafe { Arc::clone(&(*this).inner) };
        let (count, condvar) = &*inner;
        let mut count = count.lock().unwrap();
        *count += 1;
        condvar.notify_one();
    }

    /// # Safety
    /// As for `wake`.
    pub(super) unsafe fn wake_before(this: *const Self, _last: *const Self) {
        // SAFETY: by contract.
        unsafe { Self::wake(this) };
    }

    /// # Safety
    /// As for `wake`.
    pub(super) unsafe fn wake_last(this: *const Self) {
        // SAFETY: by contract.
        unsafe { Self::wake(this) };
    }
}

#[cfg(loom)]
mod choice {
    use super::*;

    /// A timed wait never blocks, so that a model explores both ends of it.
    pub(super) fn cut_short(deadline: Deadline, woken: impl Fn() -> bool) -> Option<ParkStatus> {
        (!deadline.is_never() && !woken()).then_some(ParkStatus::Timeout)
    }

    pub(super) fn tick() -> u64 {
        STEP.load(Ordering::Relaxed)
    }
}

#[cfg(all(shuttle, not(loom)))]
mod choice {
    use super::*;
    use crate::primitive::model::{rand, thread};
    use rand::Rng;

    /// A signal before the wait, or for a timed wait its deadline some steps into it. A timed
    /// wait never blocks: it takes a wake that comes in time, or gives up.
    pub(super) fn cut_short(deadline: Deadline, woken: impl Fn() -> bool) -> Option<ParkStatus> {
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

    pub(super) fn tick() -> u64 {
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
#[doc(hidden)]
pub fn set_clock_step(nanos: u64) {
    STEP.store(nanos, Ordering::Relaxed);
}

/// A clock that moves only when it is read.
pub(crate) fn monotonic_now() -> u64 {
    NOW.fetch_add(choice::tick(), Ordering::Relaxed)
}
