//! Undefined behaviour by the letter: small tests for Miri, which `ci/miri.sh` runs with several
//! seeds. They run natively too, with more rounds.
//!
//! What a lock guards here is neither atomic nor locked otherwise, so that only the lock orders the
//! accesses, and Miri reports a race where it does not.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod guarded;
mod mutex;
mod once;
mod recursive_mutex;
mod rw_mutex;
mod seq_lock;
mod thread_exit;

use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pysync_parking_lot::{Native, ThreadHooks};
use pysync_testing::wait_until;

/// `native` rounds of a test, or `miri` ones, which take a thousand times as long each.
const fn rounds(miri: usize, native: usize) -> usize {
    if cfg!(miri) { miri } else { native }
}

/// A value with no protection of its own, on the heap, so that a stale pointer to it shows.
#[derive(Default)]
struct Unprotected<T>(UnsafeCell<Box<T>>);

// SAFETY: each test says why its accesses are ordered.
unsafe impl<T: Send + Sync> Sync for Unprotected<T> {}

impl<T: Copy> Unprotected<T> {
    fn new(value: T) -> Self {
        Self(UnsafeCell::new(Box::new(value)))
    }

    /// # Safety
    /// No other thread writes at the same time.
    unsafe fn get(&self) -> T {
        // SAFETY: by contract.
        unsafe { **self.0.get() }
    }

    /// # Safety
    /// There is no other access at the same time.
    #[allow(clippy::replace_box)] // The old box is to go.
    unsafe fn set(&self, value: T) {
        // SAFETY: by contract.
        unsafe { *self.0.get() = Box::new(value) };
    }
}

/// Knows how many threads sleep, or are about to: a thread detaches once it has queued itself.
struct Queued(AtomicUsize);

thread_local! {
    static QUEUED: Cell<Option<&'static Queued>> = const { Cell::new(None) };
}

static HOOKS: ThreadHooks = ThreadHooks {
    detach: || {
        let queued = QUEUED.get().expect("set with the hooks");
        // Relaxed, so that the test itself orders nothing.
        queued.0.fetch_add(1, Relaxed);
        false
    },
    attach: || (),
};

impl Queued {
    const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Counts the calling thread each time that it is queued.
    fn count_this_thread(&'static self) {
        QUEUED.set(Some(self));
        Native::set_thread_hooks(Some(&HOOKS));
    }

    fn wait_for(&self, threads: usize) {
        wait_until(|| self.0.load(Relaxed) >= threads);
    }
}
