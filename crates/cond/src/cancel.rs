use std::fmt;

use pysync_platform::primitive::Zeroed;
use pysync_platform::primitive::atomic::{
    AtomicU8,
    Ordering::{Acquire, Release},
};

/// Ends waits, those that are under way and those that begin later. Set once, it stays set.
///
/// A wait is given a `Cancel` by [`Cond::wait_while`](crate::Cond::wait_while) or
/// [`wait_cancellable`](crate::Cond::wait_cancellable), and
/// [`Cond::cancel`](crate::Cond::cancel) sets it. No wait falls in between: the waiter looks at the
/// flag and the canceller sets it under the same bucket lock.
///
/// One `Cancel` may serve waits on several condition variables: `cancel` is called on each of them,
/// and on all, or the waits on the others go on until they are notified.
///
/// ```
/// use pysync_cond::{Cancel, Cond, Deadline, LockFlags, WaitStatus};
/// use pysync_lock::Mutex;
///
/// static MUTEX: Mutex = Mutex::new();
/// static NEVER_TRUE: Cond = Cond::new();
/// static STOP: Cancel = Cancel::new();
///
/// let waiter = std::thread::spawn(|| {
///     MUTEX.lock();
///     let flags = LockFlags::DETACH;
///     let status = NEVER_TRUE.wait_while(&MUTEX, || true, Deadline::NEVER, flags, Some(&STOP));
///     MUTEX.unlock();
///     status
/// });
/// NEVER_TRUE.cancel(&STOP);
/// assert_eq!(waiter.join().unwrap(), WaitStatus::Cancelled);
/// ```
#[derive(Default)]
#[repr(transparent)]
pub struct Cancel {
    state: Zeroed<AtomicU8>,
}

impl Cancel {
    /// One that is not set.
    pub const fn new() -> Self {
        Self { state: Zeroed::<AtomicU8>::new() }
    }

    /// Whether it is set. What the canceller did before is then seen. Never blocks.
    pub fn is_set(&self) -> bool {
        // Ordering: Acquire pairs with the Release in `set`.
        self.state.load(Acquire) != 0
    }

    pub(crate) fn set(&self) {
        // Ordering: Release pairs with the Acquire in `is_set`.
        self.state.store(1, Release);
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_set()).finish()
    }
}
