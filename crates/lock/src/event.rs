use std::fmt;
use std::ptr;
use std::time::Duration;

use pysync_parking_lot::{park_in, unpark_all};
use pysync_platform::primitive::atomic::{AtomicU8, Ordering};
use pysync_platform::primitive::const_fn;
use pysync_platform::{Deadline, Native, ParkStatus, Runtime};

use crate::bits::{HAS_PARKED, LOCKED, UNLOCKED};
use crate::{LockFlags, LockStatus};

/// An event of one byte that happens once: unset, then set for good.
///
/// | value | state |
/// |---|---|
/// | 0 | unset |
/// | 1 | set |
/// | 2 | unset, threads are parked |
///
/// What a thread did before [`notify`](Self::notify) is seen by every thread that has seen the
/// event set. Usable in a `static`; zeroed memory is an unset event. A child of `fork` inherits
/// it as it stood, and may notify and wait as before.
///
/// ```
/// use pysync_lock::Event;
///
/// static READY: Event = Event::new();
/// let waiter = std::thread::spawn(|| READY.wait());
/// READY.notify();
/// waiter.join().unwrap();
/// assert!(READY.is_set());
/// ```
///
/// CPython: Include/internal/pycore_lock.h:L73 PyEvent
#[doc(alias = "PyEvent")]
#[repr(transparent)]
pub struct Event {
    // L74: all of its state.
    v: AtomicU8,
}

impl Event {
    const_fn! {
        /// An event that has not happened.
        #[inline]
        pub const fn new() -> Self {
            Self { v: AtomicU8::new(UNLOCKED) }
        }
    }

    /// Whether the event has happened. Never blocks.
    ///
    /// CPython: Python/lock.c:L254 _PyEvent_IsSet
    #[doc(alias = "_PyEvent_IsSet")]
    #[inline]
    pub fn is_set(&self) -> bool {
        // L256-L257: set is 1 and nothing else.
        // Ordering: Acquire pairs with the Release in `notify`.
        self.v.load(Ordering::Acquire) == LOCKED
    }

    /// Sets the event and wakes all who wait. Again has no effect.
    ///
    /// CPython: Python/lock.c:L261 _PyEvent_Notify
    #[doc(alias = "_PyEvent_Notify")]
    pub fn notify(&self) {
        // L263-L276: only a word that says so has waiters to wake. The event may be gone once
        // it is set; its address is only a key by then.
        // Ordering: Release pairs with the Acquire of whoever sees it set.
        let key = &raw const self.v;
        if self.v.swap(LOCKED, Ordering::Release) == HAS_PARKED {
            unpark_all(key);
        }
    }

    /// Blocks until the event is set, through signals, detached while it sleeps.
    ///
    /// CPython: Python/lock.c:L279 PyEvent_Wait
    #[doc(alias = "PyEvent_Wait")]
    #[inline]
    pub fn wait(&self) {
        self.wait_in::<Native>();
    }

    /// [`wait`](Self::wait) in another runtime.
    ///
    /// CPython: Python/lock.c:L279 PyEvent_Wait
    #[inline]
    pub fn wait_in<R: Runtime>(&self) {
        // L281-L282: no flag ends it early, so there is nothing to repeat.
        let status = self.wait_flags_in::<R>(None, LockFlags::DETACH);
        debug_assert_eq!(status, LockStatus::Acquired);
    }

    /// Blocks until the event is set, for `timeout` at the most; says whether it is set.
    ///
    /// `None` waits forever, `Some(ZERO)` only looks. Never returns false early, and signals
    /// change nothing (C returns false after one; [`wait_flags`](Self::wait_flags) with
    /// `FAIL_IF_INTERRUPTED` does too). `detach`: detach the thread while it sleeps.
    ///
    /// CPython: Python/lock.c:L286 PyEvent_WaitTimed
    #[doc(alias = "PyEvent_WaitTimed")]
    #[inline]
    pub fn wait_timed(&self, timeout: Option<Duration>, detach: bool) -> bool {
        let flags = if detach { LockFlags::DETACH } else { LockFlags::empty() };
        self.wait_flags(timeout, flags) == LockStatus::Acquired
    }

    /// [`wait_timed`](Self::wait_timed) with the flags of a lock: `Acquired` says that the event
    /// is set, `Failure` that the timeout ran out, `Interrupted` that a signal came and `flags`
    /// asked for it.
    #[inline]
    pub fn wait_flags(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
        self.wait_flags_in::<Native>(timeout, flags)
    }

    /// [`wait_flags`](Self::wait_flags) in another runtime.
    ///
    /// CPython: Python/lock.c:L286 PyEvent_WaitTimed
    #[inline]
    pub fn wait_flags_in<R: Runtime>(
        &self,
        timeout: Option<Duration>,
        flags: LockFlags,
    ) -> LockStatus {
        // L289-L293: set already.
        if self.is_set() {
            return LockStatus::Acquired;
        }
        if timeout == Some(Duration::ZERO) {
            return LockStatus::Failure;
        }
        self.wait_slow::<R>(Deadline::after(timeout), flags)
    }

    /// CPython: Python/lock.c:L286 PyEvent_WaitTimed
    #[cold]
    fn wait_slow<R: Runtime>(&self, deadline: Deadline, flags: LockFlags) -> LockStatus {
        // Deviation D05: C parks once and leaves it to its callers to wait again after a signal.
        // L288: so that in C this loop turns only when the announcement fails.
        loop {
            // L294-L298: the first to park announces it. A word that is no longer unset is
            // either announced or set, and `park` tells which.
            // Ordering: Relaxed; it publishes nothing, and the bucket lock orders the park.
            let _ =
                self.v.compare_exchange(UNLOCKED, HAS_PARKED, Ordering::Relaxed, Ordering::Relaxed);
            // L300-L302: sleep unless the word has changed meanwhile.
            let status = park_in::<R, _>(
                &self.v,
                HAS_PARKED,
                deadline,
                ptr::null_mut(),
                flags.contains(LockFlags::DETACH),
            );
            // L304: whatever ended the park, the event decides.
            if self.is_set() {
                return LockStatus::Acquired;
            }
            match status {
                ParkStatus::Timeout => return LockStatus::Failure,
                ParkStatus::Interrupted if flags.contains(LockFlags::FAIL_IF_INTERRUPTED) => {
                    return LockStatus::Interrupted;
                }
                ParkStatus::Interrupted if flags.contains(LockFlags::HANDLE_SIGNALS) => {
                    if R::make_pending_calls().is_err() {
                        return LockStatus::Interrupted;
                    }
                }
                ParkStatus::Ok | ParkStatus::Again | ParkStatus::Interrupted => {}
            }
        }
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).finish()
    }
}
