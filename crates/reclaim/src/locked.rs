//! A value behind a lock that no code of a user's runs under.

use pysync_parking_lot::RawMutex;
use pysync_platform::primitive::{UnsafeCell, const_fn};

/// A value behind a raw mutex, which a child of a fork can reset.
pub(crate) struct Locked<T> {
    mutex: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: the mutex gives the value to one thread at a time.
unsafe impl<T: Send> Sync for Locked<T> {}

impl<T> Locked<T> {
    const_fn! {
        pub(crate) const fn new(value: T) -> Self {
            // A model's mutex is made at once, so that it hides no ordering.
            #[cfg(any(pysync_loom, pysync_shuttle))]
            let mutex = RawMutex::default();
            #[cfg(not(any(pysync_loom, pysync_shuttle)))]
            let mutex = RawMutex::new();
            Self { mutex, value: UnsafeCell::new(value) }
        }
    }

    /// Calls `f` with the value. `f` calls nothing that is a user's, and does not panic.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        struct Unlock<'a>(&'a RawMutex);
        impl Drop for Unlock<'_> {
            fn drop(&mut self) {
                self.0.unlock();
            }
        }
        self.mutex.lock();
        let _unlock = Unlock(&self.mutex);
        // SAFETY: the mutex is held.
        self.value.with_mut(|value| f(unsafe { &mut *value }))
    }

    /// Unlocks it, in the child of a fork: the holder is gone.
    ///
    /// # Safety
    /// The calling thread is the only one in the process, and does not hold the lock.
    pub(crate) unsafe fn after_fork(&self) {
        // No thread waits any more either, whatever the word says.
        // SAFETY: the only thread, by contract. A mutex needs no dropping.
        unsafe { (&raw const self.mutex).cast_mut().write(RawMutex::new()) };
    }
}
