//! A lock of which there is one in the process, and which the child of a fork finds unlocked.

use std::cell::UnsafeCell;

use pysync_parking_lot::RawMutex;

/// A lock for a static.
pub(crate) struct GlobalLock(UnsafeCell<RawMutex>);

// SAFETY: the mutex is for all threads, and is replaced only where there is one.
unsafe impl Sync for GlobalLock {}
// SAFETY: as above.
unsafe impl Send for GlobalLock {}

impl GlobalLock {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(RawMutex::new()))
    }

    /// Calls `f` with the lock. A panic of `f` leaves it locked.
    pub(crate) fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        // SAFETY: replaced only where there is one thread.
        let mutex = unsafe { &*self.0.get() };
        mutex.lock();
        let result = f();
        mutex.unlock();
        result
    }

    /// Unlocks it, whichever thread of the parent had it.
    ///
    /// # Safety
    /// The calling thread is the only one in the process, and does not have the lock.
    pub(crate) unsafe fn after_fork(&self) {
        // SAFETY: by contract, no reference to it is used again.
        unsafe { *self.0.get() = RawMutex::new() };
    }
}
