//! The table of waiters, by address.

use std::ops::{Deref, DerefMut};

use crate::wait_queues::{WaitEntry, WaitQueues};
use crate::{Key, RawMutex, fork};
use pysync_platform::abort;
use pysync_platform::primitive::{self, UnsafeCell};

/// A prime, so that the addresses of neighbouring objects spread. Models have one bucket: every
/// address then collides, and their executions do not depend on where memory happens to lie. With
/// `--cfg pysync_two_buckets` they have two, for what happens between two: see [`index`].
///
/// CPython: Python/parking_lot.c:L35 NUM_BUCKETS
pub(crate) const NUM_BUCKETS: usize =
    if cfg!(all(any(pysync_loom, pysync_shuttle), pysync_two_buckets)) {
        2
    } else if cfg!(any(pysync_loom, pysync_shuttle)) {
        1
    } else {
        257
    };

/// Which bucket `key` falls into. In a model with two buckets it is the seventh bit of the address.
/// A model whose words lie in a struct that is aligned to 128 bytes so chooses their buckets itself,
/// and can be replayed.
fn index(key: Key) -> usize {
    let granule = if cfg!(pysync_two_buckets) { 64 } else { 1 };
    #[allow(clippy::modulo_one)] // In models.
    let index = key.addr() / granule % NUM_BUCKETS;
    index
}

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
            std::array::from_fn(|_| Bucket::new())
        }
    }
}

impl Bucket {
    primitive::const_fn! {
        pub(crate) const fn new() -> Self {
            Self { mutex: RawMutex::new(), queues: UnsafeCell::new(WaitQueues::new()) }
        }
    }

    /// The bucket that `key` falls into.
    pub(crate) fn of(key: Key) -> &'static Bucket {
        &BUCKETS[index(key)]
    }

    /// Locks the bucket on one of whose queues `entry` is.
    pub(crate) fn lock_of(entry: &WaitEntry) -> BucketGuard {
        loop {
            let key = entry.key();
            let guard = Self::of(key).lock();
            // The entry may have been moved before we had the lock. With the lock it stays.
            if entry.key() == key {
                return guard;
            }
        }
    }

    /// Locks the bucket of `to` besides `from`, the locked bucket of another key. None if it is the
    /// same bucket, and then one lock is enough.
    ///
    /// Bucket locks are taken in the order of their indices, so that two threads never wait for
    /// each other. Where the order asks for it, `from` is unlocked and locked again, and the flag
    /// says so: the queues may have changed meanwhile.
    pub(crate) fn lock_second(
        from: &mut BucketGuard,
        key: Key,
        to: Key,
    ) -> (Option<BucketGuard>, bool) {
        let (first, second) = (index(key), index(to));
        if first == second {
            return (None, false);
        }
        let bucket = &BUCKETS[second];
        if first < second {
            return (Some(bucket.lock_besides()), false);
        }
        if let Some(guard) = bucket.try_lock() {
            return (Some(guard), false);
        }
        from.unlock();
        let guard = bucket.lock();
        from.lock_again();
        (Some(guard), true)
    }

    /// Every bucket, for [`after_fork`](crate::after_fork).
    pub(crate) fn all() -> &'static [Bucket] {
        &BUCKETS[..]
    }

    /// Locks the bucket, for a thread that holds no bucket lock: a callback that came here would wait for
    /// itself, or hold two locks in the wrong order.
    pub(crate) fn lock(&'static self) -> BucketGuard {
        if bucket_locks_held() != 0 {
            abort(IN_A_CALLBACK);
        }
        self.lock_besides()
    }

    /// Locks the bucket besides another one.
    fn lock_besides(&'static self) -> BucketGuard {
        // Before the lock: a handler may fork just after it.
        let generation = fork::generation();
        self.mutex.lock();
        held::enter();
        BucketGuard { bucket: self, generation }
    }

    fn try_lock(&'static self) -> Option<BucketGuard> {
        let generation = fork::generation();
        self.mutex.try_lock().then(|| {
            held::enter();
            BucketGuard { bucket: self, generation }
        })
    }

    /// Forgets the lock's holder and all waiters.
    ///
    /// # Safety
    /// This thread is the only one left.
    pub(crate) unsafe fn reset(&self) {
        // SAFETY: this is the only thread, by contract.
        unsafe { self.mutex.reset() };
        // SAFETY: as above.
        self.queues.with_mut(|queues| unsafe { *queues = WaitQueues::new() });
    }
}

/// A locked bucket.
pub(crate) struct BucketGuard {
    bucket: &'static Bucket,
    generation: u32,
}

impl BucketGuard {
    fn unlock(&mut self) {
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

    /// Undoes [`unlock`](Self::unlock).
    fn lock_again(&mut self) {
        self.generation = fork::generation();
        self.bucket.mutex.lock();
        held::enter();
    }
}

impl Deref for BucketGuard {
    type Target = WaitQueues;

    fn deref(&self) -> &WaitQueues {
        // SAFETY: the lock is held as long as the guard lives.
        self.bucket.queues.with(|queues| unsafe { &*queues })
    }
}

impl DerefMut for BucketGuard {
    fn deref_mut(&mut self) -> &mut WaitQueues {
        // SAFETY: as above, and the guard is borrowed mutably.
        self.bucket.queues.with_mut(|queues| unsafe { &mut *queues })
    }
}

impl Drop for BucketGuard {
    fn drop(&mut self) {
        self.unlock();
    }
}

const IN_A_CALLBACK: &str = "park, unpark or notify was called by a callback under a bucket lock";
const FORKED: &str = "a signal handler forked inside park or unpark, and the child came back to it";

/// How many bucket locks the calling thread holds. Foreign code that is called with one held must not
/// come back here.
#[doc(hidden)]
pub fn bucket_locks_held() -> usize {
    held::count()
}

mod held {
    use pysync_platform::primitive;
    use std::cell::Cell;

    primitive::thread_local! {
        static HELD: Cell<usize> = Cell::new(0)
    }

    #[inline]
    pub(super) fn enter() {
        HELD.with(|held| held.set(held.get() + 1));
    }

    #[inline]
    pub(super) fn leave() {
        HELD.with(|held| held.set(held.get() - 1));
    }

    #[inline]
    pub(super) fn count() -> usize {
        HELD.with(Cell::get)
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
