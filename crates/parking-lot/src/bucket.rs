//! The table of waiters, by address.

use std::ops::{Deref, DerefMut};

use crate::wait_queues::WaitQueues;
use crate::{RawMutex, fork};
use pysync_platform::abort;
use pysync_platform::primitive::{self, UnsafeCell};

/// A prime, so that the addresses of neighbouring objects spread. Models have one bucket: every
/// address then collides, and their executions do not depend on where memory happens to lie.
///
/// CPython: Python/parking_lot.c:L35 NUM_BUCKETS
pub(crate) const NUM_BUCKETS: usize = if cfg!(any(pysync_loom, pysync_shuttle)) { 1 } else { 257 };

/// Queues of waiters behind their lock, alone on their cache line.
///
/// CPython: Python/parking_lot.c:L14 Bucket
// Deviation D02: C packs two buckets to a line; threads on unrelated locks then share it.
#[repr(align(64))]
pub(crate) struct Bucket {
    // L16: guards the rest.
    mutex: RawMutex,
    // L19-L20: a queue for each address, and no count over all of them.
    queues: UnsafeCell<WaitQueues>,
}

// SAFETY: the queues are reached through the lock only.
unsafe impl Sync for Bucket {}

primitive::model_static! {
    /// CPython: Python/parking_lot.c:L48 buckets
    static BUCKETS: [Bucket; NUM_BUCKETS] = {
        // L49-L50: no queues are all zeroes, there are no self-pointers to set up.
        #[cfg(not(any(pysync_loom, pysync_shuttle)))]
        {
            [const { Bucket::new() }; NUM_BUCKETS]
        }
        #[cfg(any(pysync_loom, pysync_shuttle))]
        {
            [Bucket::new()]
        }
    }
}

impl Bucket {
    primitive::const_fn! {
        pub(crate) const fn new() -> Self {
            Self { mutex: RawMutex::new(), queues: UnsafeCell::new(WaitQueues::new()) }
        }
    }

    /// The bucket that `addr` falls into.
    pub(crate) fn of(addr: usize) -> &'static Bucket {
        #[allow(clippy::modulo_one)] // In models.
        &BUCKETS[addr % NUM_BUCKETS]
    }

    /// Every bucket, for [`after_fork`](crate::after_fork).
    pub(crate) fn all() -> &'static [Bucket] {
        &BUCKETS[..]
    }

    pub(crate) fn lock(&self) -> BucketGuard<'_> {
        // Before the lock: a handler may fork just after it.
        let generation = fork::generation();
        self.mutex.lock();
        held::enter();
        BucketGuard { bucket: self, generation }
    }

    /// Forgets the lock's holder and all waiters.
    ///
    /// # Safety
    /// This thread is the only one left.
    pub(crate) unsafe fn reset(&self) {
        // SAFETY: nobody else is there, by contract.
        unsafe { self.mutex.reset() };
        // SAFETY: as above.
        self.queues.with_mut(|queues| unsafe { *queues = WaitQueues::new() });
    }
}

/// A locked bucket.
pub(crate) struct BucketGuard<'a> {
    bucket: &'a Bucket,
    generation: u32,
}

impl Deref for BucketGuard<'_> {
    type Target = WaitQueues;

    fn deref(&self) -> &WaitQueues {
        // SAFETY: the lock is held as long as the guard lives.
        self.bucket.queues.with(|queues| unsafe { &*queues })
    }
}

impl DerefMut for BucketGuard<'_> {
    fn deref_mut(&mut self) -> &mut WaitQueues {
        // SAFETY: as above, and the guard is borrowed mutably.
        self.bucket.queues.with_mut(|queues| unsafe { &mut *queues })
    }
}

impl Drop for BucketGuard<'_> {
    fn drop(&mut self) {
        held::leave();
        // A handler that interrupted us has forked, and this is the child: the queues that we were
        // at work on have been emptied under our hands.
        if self.generation != fork::generation() {
            abort(FORKED);
        }
        // The handler may also have forked after the comparison.
        if self.bucket.mutex.try_unlock().is_err() {
            abort(FORKED);
        }
    }
}

const FORKED: &str = "a signal handler forked inside park or unpark, and the child came back to it";

/// How many bucket locks the calling thread holds. Counted in debug builds, where foreign code
/// called with one held is an error that should show; always 0 otherwise.
#[doc(hidden)]
pub fn bucket_locks_held() -> usize {
    held::count()
}

#[cfg(debug_assertions)]
mod held {
    use pysync_platform::primitive;
    use std::cell::Cell;

    primitive::thread_local! {
        static HELD: Cell<usize> = Cell::new(0)
    }

    pub(super) fn enter() {
        HELD.with(|held| held.set(held.get() + 1));
    }

    pub(super) fn leave() {
        HELD.with(|held| held.set(held.get() - 1));
    }

    pub(super) fn count() -> usize {
        HELD.with(Cell::get)
    }
}

#[cfg(not(debug_assertions))]
mod held {
    pub(super) fn enter() {}
    pub(super) fn leave() {}
    pub(super) fn count() -> usize {
        0
    }
}

#[cfg(all(test, not(any(pysync_loom, pysync_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_a_cache_line() {
        assert_eq!((size_of::<Bucket>(), align_of::<Bucket>()), (64, 64));
        assert_eq!(Bucket::all().len(), NUM_BUCKETS);
    }
}
