//! A counter under std's mutex and condition variable, for platforms without a parker of their
//! own: the third branch of the C.
//!
//! std reports no signals, so they are slept through. Where its mutex is a boxed pthread one
//! (Apple's systems), a first wait allocates that box; nothing else does.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{Deadline, ParkStatus, monotonic_now};

/// The wakeups that the waiter has not taken yet.
pub(super) struct Sleep {
    count: Mutex<u32>,
    condvar: Condvar,
}

impl Sleep {
    /// CPython: Python/parking_lot.c:L54 _PySemaphore_Init
    pub(super) const fn new() -> Self {
        // L73-L79: std sets its pthread objects up when they are first used.
        Self { count: Mutex::new(0), condvar: Condvar::new() }
    }

    /// CPython: Python/parking_lot.c:L97 _PySemaphore_PlatformWait
    pub(super) fn wait(&self, deadline: Deadline) -> ParkStatus {
        // L171-L173: count and sleep under one mutex.
        let mut count = self.lock();
        while *count == 0 {
            count = if deadline.is_never() {
                // L188-L190: no limit.
                self.condvar.wait(count).unwrap_or_else(PoisonError::into_inner)
            } else {
                // L174-L187: out of order: after the wait without limit. std waits for a duration
                // on the monotonic clock.
                let left = deadline.as_nanos().saturating_sub(monotonic_now());
                if left == 0 {
                    // L196-L198: too late.
                    return ParkStatus::Timeout;
                }
                let left = Duration::from_nanos(left);
                self.condvar.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0
            };
            // L199-L201: nothing tells a signal from a spurious return, so look again instead of
            // calling every such return interrupted, as C does.
        }
        // L192-L195, L202-L204: out of order: take the wakeup.
        *count -= 1;
        ParkStatus::Ok
    }

    pub(super) fn has_wakeup(&self) -> bool {
        *self.lock() > 0
    }

    /// CPython: Python/parking_lot.c:L230 _PySemaphore_Wakeup
    ///
    /// # Safety
    /// `this` is valid until its waiter has seen this wakeup.
    pub(super) unsafe fn wake(this: *const Self) {
        // SAFETY: the waiter needs the mutex to see the count, so it stays until the guard's
        // unlock; and that accesses the mutex for the last time with the step that lets it in
        // (std's futex mutex), or may be followed by its destruction (POSIX).
        let this = unsafe { &*this };
        // L244-L247: the signal is given with the lock held, since after it nothing is left.
        let mut count = this.lock();
        *count += 1;
        this.condvar.notify_one();
    }

    /// # Safety
    /// As for `wake`, for each of them.
    pub(super) unsafe fn wake_all(others: impl Iterator<Item = *const Self>, last: *const Self) {
        for this in others {
            // SAFETY: by contract.
            unsafe { Self::wake(this) };
        }
        // SAFETY: by contract.
        unsafe { Self::wake(last) };
    }

    fn lock(&self) -> MutexGuard<'_, u32> {
        // Nothing panics with the lock held.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
