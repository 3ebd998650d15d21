//! Sleep and wake for one thread, a file per platform.
//!
//! | parker | where | a timeout is | a signal |
//! |---|---|---|---|
//! | `linux.rs` | Linux, Android | an absolute monotonic deadline in the kernel | ends the wait |
//! | `portable.rs` | everywhere else, and under `cfg(pysync_portable)` | re-armed until due | is slept through |
//! | `model.rs` | `cfg(pysync_loom)`, `cfg(pysync_shuttle)` | shuttle: a random choice; loom: at once, if no wake came first | shuttle: a random choice; loom: never |

use std::fmt;
use std::time::Duration;

use crate::errno::preserve_errno;
use crate::primitive::const_fn;
use crate::{Deadline, Native, ParkStatus, Runtime, runtime};

#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    not(any(pysync_loom, pysync_shuttle, pysync_portable))
))]
#[path = "linux.rs"]
mod platform;

#[cfg(all(
    not(all(any(target_os = "linux", target_os = "android"), not(pysync_portable))),
    not(any(pysync_loom, pysync_shuttle))
))]
#[path = "portable.rs"]
mod platform;

#[cfg(any(pysync_loom, pysync_shuttle))]
#[path = "model.rs"]
mod platform;

use platform::Sleep;

/// What one thread sleeps on: a count of wakeups that the thread has not taken yet.
///
/// A wakeup may come before the wait that it ends. One thread waits at a time; any thread may wake.
/// Allocates nothing, and leaves `errno` as it was, if the hooks of a wait that detaches do.
///
/// A thread that puts itself on a queue of its own, to be woken by others, proceeds in this order:
///
/// 1. queue itself, under the queue's lock;
/// 2. detach from the runtime, with no lock held, by [`detached`](crate::detached);
/// 3. sleep, by [`wait_until`](Self::wait_until);
/// 4. take itself off the queue, if the wait ended without a wake;
/// 5. attach, which may block for good and so comes last (gh-137433).
///
/// ```
/// use pysync_platform::{ParkStatus, Parker};
///
/// # #[cfg(not(any(pysync_loom, pysync_shuttle)))] {
/// static PARKER: Parker = Parker::new();
/// let waker = std::thread::spawn(|| PARKER.wakeup());
/// while PARKER.wait(None, false) != ParkStatus::Ok {} // a signal ends a wait too
/// waker.join().unwrap();
/// # }
/// ```
///
/// CPython: Include/internal/pycore_semaphore.h:L36 _PySemaphore
#[doc(alias = "_PySemaphore")]
#[repr(transparent)]
pub struct Parker(Sleep);

impl Parker {
    /// Whether a signal handler that runs on the sleeping thread ends its wait. The portable parker
    /// sleeps on.
    pub const HEEDS_SIGNALS: bool = cfg!(all(
        any(target_os = "linux", target_os = "android"),
        not(any(pysync_loom, pysync_shuttle, pysync_portable))
    ));

    const_fn! {
        /// A parker with no wakeup in store. There is nothing to destroy.
        ///
        /// CPython: Python/parking_lot.c:L54 _PySemaphore_Init
        #[doc(alias = "_PySemaphore_Init")]
        pub const fn new() -> Self {
            // L69-L70: a word, so it cannot fail.
            Self(Sleep::new())
        }
    }

    /// Sleeps until a wakeup is there and takes it.
    ///
    /// `timeout`: `None` waits forever, `Some(ZERO)` takes a wakeup that is there and else times
    /// out at once. `detach`: detach the thread from its runtime while it sleeps. A signal handler
    /// that runs on the thread ends the wait as [`ParkStatus::Interrupted`]; one installed with
    /// `SA_RESTART` ends only timed waits.
    ///
    /// # Aborts
    /// The process, with a message, if one of the thread's hooks panics.
    ///
    /// CPython: Python/parking_lot.c:L208 _PySemaphore_Wait
    #[doc(alias = "_PySemaphore_Wait")]
    pub fn wait(&self, timeout: Option<Duration>, detach: bool) -> ParkStatus {
        self.wait_in::<Native>(Deadline::after(timeout), detach)
    }

    /// [`wait`](Self::wait) in any runtime, until a deadline.
    ///
    /// CPython: Python/parking_lot.c:L208 _PySemaphore_Wait
    pub fn wait_in<R: Runtime>(&self, deadline: Deadline, detach: bool) -> ParkStatus {
        // L210-L226: only a thread that is attached is detached, and only what was detached is
        // attached. In between, the platform's part.
        runtime::detached::<R, _>(detach, || self.wait_until(deadline))
    }

    /// Sleeps until a wakeup, the deadline or a signal, and never detaches. Never `Again`. A wakeup
    /// that comes with the deadline counts as a wakeup.
    pub fn wait_until(&self, deadline: Deadline) -> ParkStatus {
        preserve_errno(|| self.0.wait(deadline))
    }

    /// Whether a wakeup is there, for the thread that waits. What its waker did is seen only once the
    /// wakeup is taken.
    #[inline]
    pub fn has_wakeup(&self) -> bool {
        self.0.has_wakeup()
    }

    /// Makes one wait return, this one or the next.
    ///
    /// CPython: Python/parking_lot.c:L230 _PySemaphore_Wakeup
    #[doc(alias = "_PySemaphore_Wakeup")]
    pub fn wakeup(&self) {
        // SAFETY: a reference is valid throughout.
        unsafe { Self::wakeup_raw(self) };
    }

    /// [`wakeup`](Self::wakeup) for a parker that its waiter takes away as soon as it wakes.
    ///
    /// # Safety
    /// `this` is valid until its waiter has seen this wakeup.
    pub unsafe fn wakeup_raw(this: *const Self) {
        // SAFETY: by contract.
        preserve_errno(|| unsafe { Sleep::wake(&raw const (*this).0) });
    }

    /// [`wakeup_raw`](Self::wakeup_raw) for each of `others` and for `last`. On Linux they wake
    /// together, by the last of as many system calls as there are threads.
    ///
    /// `others` is advanced once for each wake and just before it, so an iterator that walks a
    /// chain must find the next parker before it yields one.
    ///
    /// # Safety
    /// Each is valid until its waiter has seen this wakeup, and `last` is none of `others`.
    pub unsafe fn wakeup_all(others: impl Iterator<Item = *const Self>, last: *const Self) {
        let others = others.map(|this| this.cast::<Sleep>());
        // SAFETY: by contract; a parker is its `Sleep`, and nothing else.
        preserve_errno(|| unsafe { Sleep::wake_all(others, last.cast()) });
    }
}

impl Default for Parker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Parker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parker").finish_non_exhaustive()
    }
}
