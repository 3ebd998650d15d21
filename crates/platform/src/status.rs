//! What a wait may do, and how it ended.

use std::fmt;

use bitflags::bitflags;

bitflags! {
    /// What a lock may do while it waits. The empty set neither detaches nor heeds signals
    /// (`_Py_LOCK_DONT_DETACH`).
    ///
    /// CPython: Include/internal/pycore_lock.h:L41 _PyLockFlags
    #[doc(alias("_PyLockFlags", "_Py_LOCK_DONT_DETACH"))]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct LockFlags: u32 {
        // L43: the empty set.
        /// Detach the thread from its runtime while it sleeps.
        // L46: the bit that parks pass on.
        #[doc(alias = "_PY_LOCK_DETACH")]
        const DETACH = 1;
        /// When a signal interrupts the wait, run the runtime's pending calls; the wait goes on
        /// if they succeed and ends as [`LockStatus::Interrupted`] if not.
        // L49: the bit that makes signals matter.
        #[doc(alias = "_PY_LOCK_HANDLE_SIGNALS")]
        const HANDLE_SIGNALS = 2;
        /// When a signal interrupts the wait, end it as [`LockStatus::Interrupted`] and run
        /// nothing; stronger than `HANDLE_SIGNALS`. New in CPython 3.15.
        // Deviation D04: from 3.15, whose locks have it.
        #[doc(alias = "_PY_FAIL_IF_INTERRUPTED")]
        const FAIL_IF_INTERRUPTED = 4;
    }
}

/// How a timed or interruptible lock ended.
///
/// CPython: Include/pythread.h:L12 PyLockStatus
#[doc(alias = "PyLockStatus")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[must_use]
pub enum LockStatus {
    /// The timeout ran out first; the lock is not held.
    // L13: C's "no".
    #[doc(alias = "PY_LOCK_FAILURE")]
    Failure = 0,
    /// The caller holds the lock.
    // L14: C's "yes".
    #[doc(alias = "PY_LOCK_ACQUIRED")]
    Acquired = 1,
    /// A signal came and the flags asked for it; the lock is not held.
    // L15: neither.
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
    /// The word did not hold the expected value, so there was no wait; or this is the child of a
    /// fork that the thread made while it was parked. Look at the word again.
    ///
    /// CPython: Include/internal/pycore_parking_lot.h:L27 Py_PARK_AGAIN
    Again = -1,
    /// The timeout ran out.
    ///
    /// CPython: Include/internal/pycore_parking_lot.h:L30 Py_PARK_TIMEOUT
    Timeout = -2,
    /// A signal handler ran on the waiting thread.
    ///
    /// CPython: Include/internal/pycore_parking_lot.h:L33 Py_PARK_INTR
    Interrupted = -3,
}

/// The lock to be unlocked is not locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLocked;

impl fmt::Display for NotLocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is not locked")
    }
}

impl std::error::Error for NotLocked {}
