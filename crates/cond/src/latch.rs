use std::fmt;
use std::time::Duration;

use pysync_platform::primitive::const_fn;
use pysync_platform::{Deadline, LockFlags, LockStatus, Native, Runtime};

use crate::WaitGroup;

/// A door that opens, once and for good, when it has been counted down to zero. Four bytes.
///
/// It is a [`WaitGroup`] whose count only falls; the word and its bits are the same, and so are
/// blocking, signals and forks. The thread that opens the latch touches it no more, so that a waiter
/// may free it.
///
/// **Publishing**: a thread that finds the latch open sees all that was done before each
/// [`count_down`](Self::count_down).
///
/// ```
/// use pysync_cond::Latch;
///
/// static READY: Latch = Latch::new(2);
///
/// let threads = [0, 1].map(|_| std::thread::spawn(|| READY.count_down()));
/// READY.wait();
/// assert!(READY.is_open());
/// # threads.map(|thread| thread.join().unwrap());
/// ```
#[repr(transparent)]
pub struct Latch {
    group: WaitGroup,
}

impl Latch {
    const_fn! {
        /// A latch that opens after `count` counts; with 0 it is open. Not `const` in a model.
        ///
        /// # Panics
        /// `the count of a latch is too large`, if it is more than half of `u32::MAX`.
        #[inline]
        #[track_caller]
        pub const fn new(count: u32) -> Self {
            assert!(count <= WaitGroup::MAX, "the count of a latch is too large");
            Self { group: WaitGroup::with_count(count) }
        }
    }

    /// Counts down by one. Wakes all that wait if the latch opens. Does not block, but for the lock of a
    /// bucket of the parking lot.
    ///
    /// # Panics
    /// `the latch is open already`. Nothing has changed then.
    #[inline]
    #[track_caller]
    pub fn count_down(&self) {
        self.count_down_by(1);
    }

    /// Counts down by `n` at once.
    ///
    /// # Panics
    /// `the latch is open already`, if less than `n` is left. Nothing has changed then.
    #[inline]
    #[track_caller]
    pub fn count_down_by(&self, n: u32) {
        if self.group.subtract(n).is_err() {
            Native::fatal_error("Latch::count_down", "the latch is open already");
        }
    }

    /// Whether the latch is open. Never blocks.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.group.count() == 0
    }

    /// Blocks until the latch is open, through signals, and detached while it sleeps.
    #[inline]
    pub fn wait(&self) {
        self.group.wait();
    }

    /// Blocks until the latch is open, for `timeout` at most, or until a signal ends the wait, if
    /// `flags` let it: `Acquired`, `Failure` or `Interrupted`, as for
    /// [`WaitGroup::wait_timed`].
    ///
    /// # Panics
    /// If a pending call panics.
    #[inline]
    pub fn wait_timed(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
        self.group.wait_timed(timeout, flags)
    }

    /// [`wait_timed`](Self::wait_timed) until a deadline, in a runtime of the caller's choice.
    #[inline]
    pub fn wait_in<R: Runtime>(&self, deadline: Deadline, flags: LockFlags) -> LockStatus {
        self.group.wait_in::<R>(deadline, flags)
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latch").field("count", &self.group.count()).finish()
    }
}
