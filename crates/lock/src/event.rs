use std::fmt;
use std::ptr;
use std::time::Duration;

use pysync_parking_lot::unpark_all;
use pysync_platform::primitive::Zeroed;
use pysync_platform::primitive::atomic::{
    AtomicU8,
    Ordering::{Acquire, Release},
};
use pysync_platform::{Deadline, Native, ParkStatus, Runtime};

use crate::bits::{HAS_PARKED, LOCKED};
use crate::wait::announce_and_park;
use crate::{LockFlags, LockStatus};

/// The event has happened.
const SET: u8 = LOCKED;

/// An event of one byte that happens once: unset, then set for good.
///
/// | byte | state | who may change it |
/// |---|---|---|
/// | 0 | unset | a waiter before it parks: to 2; the notifier: to 1 |
/// | 2 | unset, and threads are parked or about to be | the notifier: to 1, and it wakes all who are parked |
/// | 1 | set | none |
///
/// Each change is one exchange or swap without a lock. A waiter parks only if the byte is 2, which
/// the parking lot compares under the bucket lock.
///
/// A thread that has found the event set sees all that the notifier did before
/// [`notify`](Self::notify). The event can stand in a `static`, and zeroed memory is an unset
/// event.
///
/// **Fork**: a child inherits the event as it stood. It may notify and wait as before.
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
#[derive(Default)]
#[repr(transparent)]
pub struct Event {
    // L74
    state: Zeroed<AtomicU8>,
}

impl Event {
    /// An event that is not set.
    #[inline]
    pub const fn new() -> Self {
        Self { state: Zeroed::<AtomicU8>::new() }
    }

    /// Whether the event is set. Never blocks.
    ///
    /// CPython: Python/lock.c:L254 _PyEvent_IsSet
    #[doc(alias = "_PyEvent_IsSet")]
    #[inline]
    pub fn is_set(&self) -> bool {
        // L256-L257
        self.load() == SET
    }

    /// Sets the event and wakes all threads that wait for it. Does nothing if it is set already.
    /// Does not block, but for the lock of a bucket of the parking lot.
    ///
    /// CPython: Python/lock.c:L261 _PyEvent_Notify
    #[doc(alias = "_PyEvent_Notify")]
    pub fn notify(&self) {
        // A waiter that finds the event set may free it. From then on its address is only a key.
        let key = &raw const *self.state;
        // L263-L276: only if the byte was 2 are threads parked.
        // Ordering: Release pairs with the Acquire in `load`.
        if self.state.swap(SET, Release) == HAS_PARKED {
            unpark_all(key);
        }
    }

    /// Blocks until the event is set, through signals, and detached while it sleeps.
    ///
    /// CPython: Python/lock.c:L279 PyEvent_Wait
    #[doc(alias = "PyEvent_Wait")]
    #[inline]
    pub fn wait(&self) {
        // L281-L282: neither a deadline nor a flag ends the wait. C's waits in a loop, since a
        // signal ends each.
        let status = self.wait_in::<Native>(Deadline::NEVER, LockFlags::DETACH);
        debug_assert_eq!(status, LockStatus::Acquired);
    }

    /// Blocks until the event is set, for `timeout` at most; true if it is set.
    ///
    /// `None` waits forever, and `Some(ZERO)` only looks. The wait does not end before its timeout,
    /// and goes on after a signal. `detach`: the thread is detached from its runtime while it
    /// sleeps.
    ///
    /// C's function returns false after a signal; so does [`wait_flags`](Self::wait_flags) with
    /// `FAIL_IF_INTERRUPTED`.
    ///
    /// CPython: Python/lock.c:L286 PyEvent_WaitTimed
    #[doc(alias = "PyEvent_WaitTimed")]
    #[inline]
    pub fn wait_timed(&self, timeout: Option<Duration>, detach: bool) -> bool {
        let flags = if detach { LockFlags::DETACH } else { LockFlags::empty() };
        self.wait_flags(timeout, flags) == LockStatus::Acquired
    }

    /// Blocks until the event is set, for `timeout` at most, or until a signal ends the wait, if
    /// `flags` let it.
    ///
    /// | result | says |
    /// |---|---|
    /// | `Acquired` | the event is set |
    /// | `Failure` | the timeout ran out |
    /// | `Interrupted` | a signal came, and `flags` let it end the wait |
    ///
    /// ```
    /// use pysync_lock::{Event, LockFlags, LockStatus};
    /// use std::time::Duration;
    ///
    /// let event = Event::new();
    /// let flags = LockFlags::DETACH | LockFlags::FAIL_IF_INTERRUPTED;
    /// let soon = Some(Duration::from_millis(1));
    /// assert_ne!(event.wait_flags(soon, flags), LockStatus::Acquired);
    /// event.notify();
    /// assert_eq!(event.wait_flags(None, flags), LockStatus::Acquired);
    /// ```
    ///
    /// CPython: Python/lock.c:L286 PyEvent_WaitTimed
    #[inline]
    pub fn wait_flags(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
        // L289-L293: one look, before the clock is read.
        let state = self.load();
        if state == SET {
            return LockStatus::Acquired;
        }
        self.wait_slow::<Native>(state, Deadline::after(timeout), flags)
    }

    /// Blocks until the event is set, until `deadline` at most, in a runtime of the caller's
    /// choice. The other methods that wait are this one for [`Native`].
    ///
    /// A deadline that has passed, as [`Deadline::NOW`] has, only looks. [`Deadline::NEVER`] waits
    /// forever. Flags and results are those of [`wait_flags`](Self::wait_flags).
    ///
    /// CPython: Python/lock.c:L286 PyEvent_WaitTimed
    #[inline]
    pub fn wait_in<R: Runtime>(&self, deadline: Deadline, flags: LockFlags) -> LockStatus {
        // L289-L293
        let state = self.load();
        if state == SET {
            return LockStatus::Acquired;
        }
        self.wait_slow::<R>(state, deadline, flags)
    }

    /// Waits for an event that the caller has just found unset, as `state` says.
    ///
    /// CPython: Python/lock.c:L286 PyEvent_WaitTimed
    #[cold]
    fn wait_slow<R: Runtime>(
        &self,
        mut state: u8,
        deadline: Deadline,
        flags: LockFlags,
    ) -> LockStatus {
        if deadline.has_passed() {
            return LockStatus::Failure;
        }
        // Deviation D05: this waits until the event or the deadline. C parks once, and its callers
        // wait again after a signal.
        // L288
        loop {
            // L294-L302
            let status =
                announce_and_park::<R, _>(&*self.state, state, ptr::null_mut(), deadline, flags);
            // L304: however the wait has ended, the event decides.
            state = self.load();
            if state == SET {
                return LockStatus::Acquired;
            }
            match status {
                ParkStatus::Timeout => return LockStatus::Failure,
                ParkStatus::Interrupted => {
                    if let Some(status) = flags.on_interrupt::<R>() {
                        return status;
                    }
                }
                ParkStatus::Ok | ParkStatus::Again => {}
            }
        }
    }

    #[inline]
    fn load(&self) -> u8 {
        // Ordering: Acquire pairs with the Release in `notify`.
        self.state.load(Acquire)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).finish()
    }
}
