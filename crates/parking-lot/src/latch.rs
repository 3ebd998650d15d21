//! The one wake of a raw mutex's waiter: untimed, and signals do not end the wait for it.

use pysync_platform::{Deadline, ParkStatus, Parker};

/// Blocks one thread until another sets it. Lives on the waiter's stack.
#[derive(Debug)]
pub(crate) struct Latch(Parker);

impl Latch {
    pub(crate) fn new() -> Self {
        Self(Parker::new())
    }

    /// Returns once the latch is set, and only then, whatever signals arrive.
    pub(crate) fn wait(&self) {
        // The setter is done with our waiter node by then, so the caller may let it go out of
        // scope.
        while self.0.wait_until(Deadline::NEVER) != ParkStatus::Ok {}
    }

    /// Sets the latch and wakes its waiter.
    ///
    /// # Safety
    /// `this` is valid until the latch is set. It may be gone right after, which is why this takes a
    /// pointer.
    pub(crate) unsafe fn set(this: *const Self) {
        // SAFETY: valid until set, by contract.
        unsafe { Parker::wakeup_raw(&raw const (*this).0) }
    }
}
