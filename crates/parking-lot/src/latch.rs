//! The one-shot wake of the raw mutex: untimed, deaf to signals.

#[cfg(not(any(pysync_loom, pysync_shuttle)))]
mod imp {
    use pysync_platform::preserve_errno;
    use pysync_platform::primitive::atomic::{AtomicU32, Ordering};

    /// Blocks one thread until another sets it. Lives on the waiter's stack.
    #[derive(Debug)]
    pub(crate) struct Latch {
        // 0: not set, 1: set.
        set: AtomicU32,
    }

    impl Latch {
        pub(crate) const fn new() -> Self {
            Self { set: AtomicU32::new(0) }
        }

        /// Returns once the latch is set, and only then, whatever signals arrive.
        pub(crate) fn wait(&self) {
            // Ordering: Acquire pairs with the Release in `set`; the setter is done with our
            // waiter node, so the caller may let it go out of scope.
            while self.set.load(Ordering::Acquire) == 0 {
                preserve_errno(|| atomic_wait::wait(&self.set, 0));
            }
        }

        /// Sets the latch and wakes its waiter.
        ///
        /// # Safety
        /// `this` is valid until the latch is set. It may be gone right after, which is why this
        /// takes a pointer.
        pub(crate) unsafe fn set(this: *const Self) {
            // SAFETY: valid until the store below, by contract.
            let word: *const AtomicU32 = unsafe { &raw const (*this).set };
            // Ordering: Release pairs with the Acquire in `wait`.
            // SAFETY: as above; the waiter cannot leave before this store.
            unsafe { (*word).store(1, Ordering::Release) };
            // The waiter may have left already. `wake_one` uses the address only as a key, and
            // whoever sleeps on that address next re-checks its own word.
            preserve_errno(|| atomic_wait::wake_one(word));
        }
    }
}

#[cfg(any(pysync_loom, pysync_shuttle))]
mod imp {
    use crate::{Deadline, ParkStatus};
    use pysync_platform::Parker;

    /// The latch of the models: their semaphore, waited for until the wake has come.
    #[derive(Debug)]
    pub(crate) struct Latch(Parker);

    impl Latch {
        pub(crate) fn new() -> Self {
            Self(Parker::new())
        }

        pub(crate) fn wait(&self) {
            while self.0.wait_until(Deadline::NEVER) != ParkStatus::Ok {}
        }

        pub(crate) unsafe fn set(this: *const Self) {
            // SAFETY: valid until set, by contract.
            unsafe { Parker::wakeup_raw(&raw const (*this).0) }
        }
    }
}

pub(crate) use imp::Latch;
