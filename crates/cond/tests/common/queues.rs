//! Who is queued where. A waiter queues itself before it gives its lock up, so that a test need not
//! see it asleep.

use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

use pysync_cond::{Cond, NotifyList};
use pysync_lock::Mutex;
use pysync_parking_lot::{Key, inspect};
use pysync_testing::wait_until;

/// How many threads are queued on a [`Cond`] or a [`NotifyList`].
pub(crate) fn waiters<T>(of: &T) -> usize {
    inspect(Key::of(ptr::from_ref(of)), |park_args| park_args.count())
}

/// How many threads are queued on the mutex: those that were moved there, and those that lock it.
pub(crate) fn parked_at(mutex: &Mutex) -> usize {
    inspect(mutex.requeue_key(), |park_args| park_args.count())
}

/// Returns once so many threads are queued. The caller keeps a watchdog.
pub(crate) fn wait_for_waiters<T>(of: &T, count: usize) {
    wait_until(|| waiters(of) == count);
}

/// The byte that `T` consists of.
fn byte<T>(of: &T) -> u8 {
    assert_eq!(size_of::<T>(), 1);
    // SAFETY: only ever called with types that are nothing but an atomic byte.
    unsafe { &*ptr::from_ref(of).cast::<AtomicU8>() }.load(SeqCst)
}

pub(crate) fn cond_bits(cond: &Cond) -> u8 {
    byte(cond)
}

pub(crate) fn list_bits(list: &NotifyList) -> u8 {
    byte(list)
}

pub(crate) fn mutex_bits(mutex: &Mutex) -> u8 {
    byte(mutex)
}

/// Data that only a lock protects, and that is no atomic on purpose.
#[derive(Default)]
pub(crate) struct Plain<T>(UnsafeCell<T>);

// SAFETY: whether the lock that goes with it keeps the accesses apart is what is tested.
unsafe impl<T: Send> Sync for Plain<T> {}

impl<T: Copy> Plain<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    pub(crate) fn get(&self) -> T {
        // SAFETY: as above.
        unsafe { *self.0.get() }
    }

    pub(crate) fn set(&self, value: T) {
        // SAFETY: as above.
        unsafe { *self.0.get() = value }
    }
}
