//! A futex word with an absolute monotonic deadline.

use crate::futex::{self, Outcome, Scope};
use crate::primitive::atomic::{AtomicU32, Ordering};
use crate::{Deadline, ParkStatus};

/// The wakeups that the waiter has not taken yet.
pub(super) struct Sleep {
    count: AtomicU32,
}

impl Sleep {
    pub(super) const fn new() -> Self {
        Self { count: AtomicU32::new(0) }
    }

    /// CPython: Python/parking_lot.c:L97 _PySemaphore_PlatformWait
    pub(super) fn wait(&self, deadline: Deadline) -> ParkStatus {
        // L99, L204: the result is what the arms below return.
        loop {
            // L166-L168: a wakeup is there.
            if self.take() {
                return ParkStatus::Ok;
            }
            // The kernel may let a timer sleep on for its slack, 50 us, even if it is due.
            if deadline.has_passed() {
                return ParkStatus::Timeout;
            }
            // Deviation D09: a futex word where C has a `sem_t`.
            // L127-L152: out of order: taking a wakeup comes first. Sleep, with or without a
            // deadline.
            match futex::wait(&self.count, 0, deadline, Scope::Private) {
                // Woken, for us or for the last user of this address; or a wakeup came between
                // the look and the sleep. Look again.
                Outcome::Woken | Outcome::Changed => {}
                // L153-L157: a handler ran.
                Outcome::Interrupted => return ParkStatus::Interrupted,
                // L158-L165: the wakeup may have come with the deadline; then it counts. So the
                // next turn looks for one first, and then at the clock.
                Outcome::TimedOut => {}
            }
        }
    }

    #[inline]
    pub(super) fn has_wakeup(&self) -> bool {
        // Ordering: Relaxed. A look; `take` decides.
        self.count.load(Ordering::Relaxed) > 0
    }

    fn take(&self) -> bool {
        // Ordering: Relaxed to look; Acquire on taking pairs with the Release in `wake`. For a
        // lock that is handed off this is the one edge from its last holder to the next.
        let mut count = self.count.load(Ordering::Relaxed);
        while count > 0 {
            match self.count.compare_exchange_weak(
                count,
                count - 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(actual) => count = actual,
            }
        }
        false
    }

    /// CPython: Python/parking_lot.c:L230 _PySemaphore_Wakeup
    ///
    /// # Safety
    /// `this` is valid until its waiter has seen this wakeup.
    pub(super) unsafe fn wake(this: *const Self) {
        // L240-L242: the call cannot fail on an address that was once a word.
        // SAFETY: by contract.
        futex::wake(unsafe { Self::grant(this) }, 1, Scope::Private);
    }

    /// Wakes each of `others` and `last`, with one system call that wakes them together.
    ///
    /// # Safety
    /// As for `wake`, for each of them.
    pub(super) unsafe fn wake_all(others: impl Iterator<Item = *const Self>, last: *const Self) {
        // Deviation D14: to wake them one by one would be to be preempted by each, and to rouse
        // an idle processor for each. A sleeper is moved to the word of `last` instead.
        for this in others {
            // SAFETY: by contract; `last` is valid until its own wake, below.
            let (from, to) = unsafe { (Self::grant(this), &raw const (*last).count) };
            // Miri knows waits and wakes only, and a sandbox may not know of the requeue.
            if cfg!(miri) || futex::requeue(from, to, Scope::Private).is_err() {
                futex::wake(from, 1, Scope::Private);
            }
        }
        // SAFETY: by contract.
        futex::wake(unsafe { Self::grant(last) }, u32::MAX, Scope::Private);
    }

    /// Stores a wakeup; returns the word that the waiter sleeps on, which is only a key to the
    /// kernel now: the waiter may take the wakeup, return, and reuse its stack. A thread that
    /// sleeps there by then looks again.
    ///
    /// CPython: Python/parking_lot.c:L230 _PySemaphore_Wakeup
    ///
    /// # Safety
    /// As for `wake`.
    unsafe fn grant(this: *const Self) -> *const AtomicU32 {
        // L239: one more.
        // Ordering: Release pairs with the Acquire in `take`.
        // SAFETY: valid until the addition, by contract.
        unsafe {
            let word = &raw const (*this).count;
            (*word).fetch_add(1, Ordering::Release);
            word
        }
    }
}
