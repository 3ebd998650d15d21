//! What a wait may do, and how it ended.

use std::fmt;

use bitflags::bitflags;

use crate::Runtime;

bitflags! {
    /// What a lock may do while it waits. The empty set neither detaches the thread nor heeds
    /// signals; C calls it `_Py_LOCK_DONT_DETACH`.
    ///
    /// ```
    /// use pysync_platform::LockFlags;
    ///
    /// let flags = LockFlags::DETACH | LockFlags::FAIL_IF_INTERRUPTED;
    /// assert!(flags.contains(LockFlags::DETACH));
    /// assert_eq!(LockFlags::default(), LockFlags::empty());
    /// ```
    ///
    /// CPython: Include/internal/pycore_lock.h:L41 _PyLockFlags
    #[doc(alias("_PyLockFlags", "_Py_LOCK_DONT_DETACH"))]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct LockFlags: u32 {
        // L43: the empty set.
        /// The thread is detached from its runtime while it sleeps.
        // L46
        #[doc(alias = "_PY_LOCK_DETACH")]
        const DETACH = 1;
        /// When a signal interrupts the wait, the runtime's pending calls are run. If they succeed,
        /// the wait goes on. If one fails, the wait ends as [`LockStatus::Interrupted`].
        // L49
        #[doc(alias = "_PY_LOCK_HANDLE_SIGNALS")]
        const HANDLE_SIGNALS = 2;
        /// When a signal interrupts the wait, it ends as [`LockStatus::Interrupted`], and nothing
        /// is run. Stronger than `HANDLE_SIGNALS`. New in CPython 3.15.
        // Deviation D04: 3.13 has no such flag.
        #[doc(alias = "_PY_FAIL_IF_INTERRUPTED")]
        const FAIL_IF_INTERRUPTED = 4;
    }
}

impl LockFlags {
    /// What a waiter does whose park was [interrupted](ParkStatus::Interrupted): it ends its wait
    /// with the status that this returns, or goes on if that is `None`.
    ///
    /// Runs the pending calls of `R` if the flags say so. So the caller holds no lock that these
    /// may want.
    ///
    /// # Panics
    /// If a pending call panics.
    ///
    /// CPython: Python/lock.c:L53 _PyMutex_LockTimed
    pub fn on_interrupt<R: Runtime>(self) -> Option<LockStatus> {
        // Deviation D04: 3.13 has only the second of these.
        let ends = self.contains(Self::FAIL_IF_INTERRUPTED)
            // L117-L121: a signal handler has left something to do.
            || (self.contains(Self::HANDLE_SIGNALS) && R::make_pending_calls().is_err());
        ends.then_some(LockStatus::Interrupted)
    }
}

/// How a timed or interruptible wait for a lock ended.
///
/// ```
/// use pysync_platform::LockStatus;
///
/// fn is_locked_by_us(status: LockStatus) -> bool {
///     match status {
///         LockStatus::Acquired => true,
///         LockStatus::Failure | LockStatus::Interrupted => false,
///     }
/// }
/// assert!(is_locked_by_us(LockStatus::Acquired));
/// ```
///
/// CPython: Include/pythread.h:L12 PyLockStatus
#[doc(alias = "PyLockStatus")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[must_use]
pub enum LockStatus {
    /// The deadline passed first. The caller does not hold the lock.
    // L13
    #[doc(alias = "PY_LOCK_FAILURE")]
    Failure = 0,
    /// The caller holds the lock.
    // L14
    #[doc(alias = "PY_LOCK_ACQUIRED")]
    Acquired = 1,
    /// A signal came, and the flags let it end the wait. The caller does not hold the lock.
    // L15
    #[doc(alias = "PY_LOCK_INTR")]
    Interrupted = 2,
}

/// How a park, or any sleep on a [`Parker`](crate::Parker), ended.
#[doc(alias("Py_PARK_OK", "Py_PARK_AGAIN", "Py_PARK_TIMEOUT", "Py_PARK_INTR"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum ParkStatus {
    /// Another thread unparked this one.
    ///
    /// CPython: Include/internal/pycore_parking_lot.h:L24 Py_PARK_OK
    Ok = 0,
    /// The caller is to look at its word again. Either the word did not hold the expected value,
    /// and there was no wait; or the thread forked while it was parked, and this is the child.
    ///
    /// CPython: Include/internal/pycore_parking_lot.h:L27 Py_PARK_AGAIN
    Again = -1,
    /// The deadline passed.
    ///
    /// CPython: Include/internal/pycore_parking_lot.h:L30 Py_PARK_TIMEOUT
    Timeout = -2,
    /// A signal handler ran on the waiting thread.
    ///
    /// CPython: Include/internal/pycore_parking_lot.h:L33 Py_PARK_INTR
    Interrupted = -3,
}

/// The caller has tried to unlock a lock that is not locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLocked;

impl fmt::Display for NotLocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is not locked")
    }
}

impl std::error::Error for NotLocked {}
