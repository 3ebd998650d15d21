//! Sleep and wake for one thread, a file per platform.
//!
//! | parker | where | a timeout is | a signal |
//! |---|---|---|---|
//! | `linux.rs` | Linux, Android | an absolute monotonic deadline in the kernel | ends the wait |
//! | `portable.rs` | everywhere else, and under `cfg(pysync_portable)` | re-armed until due | is slept through |
//! | `model.rs` | `cfg(loom)`, `cfg(shuttle)` | shuttle: a random choice; loom: at once, if no wake came first | shuttle: a random choice; loom: never |

use std::fmt;
use std::time::Duration;

use crate::errno::preserve_errno;
use crate::primitive::const_fn;
use crate::{Deadline, Native, ParkStatus, Runtime, runtime};

#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    not(any(loom, shuttle, pysync_portable))
))]
#[path = "linux.rs"]
mod platform;

#[cfg(all(
    not(all(any(target_os = "linux", target_os = "android"), not(pysync_portable))),
    not(any(loom, shuttle))
))]
#[path = "portable.rs"]
mod platform;

#[cfg(any(loom, shuttle))]
#[path = "model.rs"]
pub(crate) mod platform;

#[cfg(not(any(loom, shuttle)))]
mod clock;

#[cfg(not(any(loom, shuttle)))]
pub(crate) use clock::monotonic_now;
use platform::Parker;
#[cfg(any(loom, shuttle))]
pub(crate) use platform::monotonic_now;

/// A counting semaphore for one waiting thread at a time: what a parked thread sleeps on.
///
/// A wakeup may come before the wait that it ends. Allocates nothing, and leaves `errno`
/// as it was, if the hooks of a wait that detaches do.
///
/// CPython: Include/internal/pycore_semaphore.h:L36 _PySemaphore
#[doc(alias = "_PySemaphore")]
pub struct Semaphore(Parker);

impl Semaphore {
    const_fn! {
        /// A semaphore with no wakeup in store. There is nothing to destroy.
        ///
        /// CPython: Python/parking_lot.c:L54 _PySemaphore_Init
        #[doc(alias = "_PySemaphore_Init")]
        pub const fn new() -> Self {
            // L69-L70: a word, so it cannot fail.
            Self(Parker::new())
        }
    }

    /// Sleeps until a wakeup is there and takes it.
    ///
    /// `timeout`: `None` waits forever, `Some(ZERO)` takes a wakeup that is there and else times
    /// out at once. `detach`: detach the thread from its runtime while it sleeps. A signal
    /// handler that runs on the thread ends the wait as [`ParkStatus::Interrupted`], as for
    /// [`park`](crate::park).
    ///
    /// # Aborts
    /// The process, with a message, if one of the thread's hooks panics.
    ///
    /// CPython: Python/parking_lot.c:L208 _PySemaphore_Wait
    #[doc(alias = "_PySemaphore_Wait")]
    pub fn wait(&self, timeout: Option<Duration>, detach: bool) -> ParkStatus {
        self.wait_in::<Native>(timeout, detach)
    }

    /// [`wait`](Self::wait) in another runtime.
    ///
    /// CPython: Python/parking_lot.c:L208 _PySemaphore_Wait
    pub fn wait_in<R: Runtime>(&self, timeout: Option<Duration>, detach: bool) -> ParkStatus {
        let deadline = Deadline::after(timeout);
        // L210-L226: only a thread that is attached is detached, and only what was detached is
        // attached. In between, the platform's part.
        runtime::detached::<R, _>(detach, || self.wait_until(deadline))
    }

    /// Makes one wait return, this one or the next.
    ///
    /// CPython: Python/parking_lot.c:L230 _PySemaphore_Wakeup
    #[doc(alias = "_PySemaphore_Wakeup")]
    pub fn wakeup(&self) {
        // SAFETY: a reference is valid throughout.
        unsafe { Self::wakeup_raw(self) };
    }

    /// [`wakeup`](Self::wakeup) for a semaphore whose waiter takes it away as soon as it wakes.
    ///
    /// # Safety
    /// `this` is valid until its waiter has seen this wakeup.
    #[doc(hidden)]
    pub unsafe fn wakeup_raw(this: *const Self) {
        // SAFETY: by contract.
        preserve_errno(|| unsafe { Parker::wake(&raw const (*this).0) });
    }

    /// [`wakeup_raw`](Self::wakeup_raw), except that a waiter which is asleep may sleep on until
    /// [`wakeup_last`](Self::wakeup_last) is called on `last`.
    ///
    /// # Safety
    /// As for `wakeup_raw`; and `last` is valid until `wakeup_last` is called on it, which it is.
    pub(crate) unsafe fn wakeup_before(this: *const Self, last: *const Self) {
        // SAFETY: by contract.
        preserve_errno(|| unsafe {
            Parker::wake_before(&raw const (*this).0, &raw const (*last).0);
        });
    }

    /// [`wakeup_raw`](Self::wakeup_raw) for this one and all who were left to it.
    ///
    /// # Safety
    /// As for `wakeup_raw`.
    pub(crate) unsafe fn wakeup_last(this: *const Self) {
        // SAFETY: by contract.
        preserve_errno(|| unsafe { Parker::wake_last(&raw const (*this).0) });
    }

    /// Sleeps until a wakeup, the deadline or a signal. Never `Again`.
    pub(crate) fn wait_until(&self, deadline: Deadline) -> ParkStatus {
        preserve_errno(|| self.0.wait(deadline))
    }
}

impl Default for Semaphore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").finish_non_exhaustive()
    }
}
