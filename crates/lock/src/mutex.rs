use std::fmt;
use std::time::Duration;

use pysync_parking_lot::{Unparked, unpark};
use pysync_platform::primitive::Zeroed;
use pysync_platform::primitive::atomic::{
    AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};
use pysync_platform::spin::Next;
use pysync_platform::{Deadline, Native, ParkStatus, Runtime, Spin};

use crate::bits::{HAS_PARKED, LOCKED, UNLOCKED};
use crate::wait::announce_and_park;
use crate::{LockFlags, LockStatus, MutexWaiter, NotLocked, trace};

/// A mutex of one byte, fair after a millisecond.
///
/// An uncontended lock or unlock is one compare-exchange. A thread that finds the mutex locked
/// first yields for a while ([`spin`](pysync_platform::spin) tells how), then parks. Parked threads
/// are woken in the order in which they parked. A woken thread must win a race for the mutex,
/// unless it has waited for a millisecond: then the unlocker hands the mutex to it. So a thread
/// that unlocks and locks again cannot keep the mutex to itself.
///
/// The byte has two bits:
///
/// | bit | means | is set by | is cleared by |
/// |---|---|---|---|
/// | 0, locked | a thread holds the mutex | the thread that locks, with an exchange | the unlocker: with an exchange if the byte is `0b01`, else with a store under the bucket lock |
/// | 1, has parked | a thread is parked at the mutex, or about to be | a waiter before it parks, with an exchange from `0b01` to `0b11` | an unlocker under the bucket lock, unless more threads are parked |
///
/// | byte | state | who may change it |
/// |---|---|---|
/// | `0b00` | unlocked | a thread that locks: to `0b01` |
/// | `0b01` | locked | the unlocker: to `0b00`; a waiter that announces itself: to `0b11` |
/// | `0b11` | locked, and threads are parked | only the unlocker, under the bucket lock |
/// | `0b10` | unlocked, and threads are parked | a thread that locks: to `0b11` |
///
/// 1. A waiter parks only if the byte is `0b11`. The parking lot compares it under the bucket lock,
///    so that no unlock comes in between.
/// 2. To hand the mutex over, the unlocker leaves bit 0 set: the mutex is never unlocked, and no
///    other thread can get it.
/// 3. A waiter that gives up leaves bit 1 as it is. The next unlock then finds no waiter, and
///    clears it.
///
/// The mutex can stand in a `static`, and zeroed memory is an unlocked mutex. Any thread may unlock
/// it. It is not reentrant: a thread that locks it twice waits for itself. It guards no data of its
/// own; [`guarded::Mutex`](crate::guarded::Mutex) does.
///
/// **Signals**: a signal ends a wait only if the caller's [`LockFlags`] say so.
///
/// **Fork**: the child inherits the mutex as it stood. If a thread that the child does not have
/// held it, [`after_fork`](Self::after_fork) resets it. The child forgets parked threads by
/// [`pysync_parking_lot::after_fork`].
///
/// ```
/// use pysync_lock::{LockFlags, LockStatus, Mutex};
/// use std::time::Duration;
///
/// static MUTEX: Mutex = Mutex::new();
///
/// MUTEX.lock();
/// assert!(!MUTEX.try_lock());
/// let soon = Some(Duration::from_millis(1));
/// assert_eq!(MUTEX.lock_timed(soon, LockFlags::DETACH), LockStatus::Failure);
/// MUTEX.unlock();
/// ```
///
/// CPython: Include/cpython/lock.h:L29 PyMutex
#[doc(alias = "PyMutex")]
#[derive(Default)]
#[repr(transparent)]
pub struct Mutex {
    // L30
    state: Zeroed<AtomicU8>,
}

impl Mutex {
    /// An unlocked mutex.
    #[inline]
    pub const fn new() -> Self {
        Self { state: Zeroed::<AtomicU8>::new() }
    }

    /// Locks the mutex. While another thread holds it, blocks through signals, and detached while
    /// it sleeps.
    ///
    /// CPython: Include/cpython/lock.h:L45 _PyMutex_Lock
    /// CPython: Python/lock.c:L591 PyMutex_Lock
    #[doc(alias("PyMutex_Lock", "_PyMutex_Lock"))]
    #[inline]
    pub fn lock(&self) {
        // L47-L48: the uncontended lock.
        if !self.lock_fast() {
            // L49, L593: no deadline and no flag ends the wait.
            let status = self.lock_slow::<Native>(Deadline::NEVER, LockFlags::DETACH);
            debug_assert_eq!(status, LockStatus::Acquired);
        }
    }

    /// Locks the mutex. While another thread holds it, blocks until it is free, or until a signal
    /// ends the wait, if `flags` let it.
    ///
    /// The result is `Acquired`, or `Interrupted` if `flags` have `HANDLE_SIGNALS` or
    /// `FAIL_IF_INTERRUPTED`. C's function has no result and trusts its callers not to pass these
    /// flags.
    ///
    /// ```
    /// use pysync_lock::{LockFlags, LockStatus, Mutex};
    ///
    /// let mutex = Mutex::new();
    /// match mutex.lock_flags(LockFlags::DETACH | LockFlags::FAIL_IF_INTERRUPTED) {
    ///     LockStatus::Acquired => mutex.unlock(),
    ///     LockStatus::Interrupted => println!("a signal came first"),
    ///     LockStatus::Failure => unreachable!("there is no deadline"),
    /// }
    /// ```
    ///
    /// CPython: Include/internal/pycore_lock.h:L59 PyMutex_LockFlags
    #[doc(alias = "PyMutex_LockFlags")]
    #[inline]
    pub fn lock_flags(&self, flags: LockFlags) -> LockStatus {
        // L61-L62: the uncontended lock.
        if self.lock_fast() {
            return LockStatus::Acquired;
        }
        // L63
        self.lock_slow::<Native>(Deadline::NEVER, flags)
    }

    /// Locks the mutex if it becomes free within `timeout`.
    ///
    /// `None` waits forever. `Some(ZERO)` is one attempt, which neither spins nor sleeps. A wait
    /// does not end before its timeout, and no timeout is too long. The result is `Failure` if the
    /// timeout ran out, and `Interrupted` only if a signal came and `flags` let it end the wait.
    /// After any other signal the wait goes on, with the same deadline.
    ///
    /// ```
    /// use pysync_lock::{LockFlags, LockStatus, Mutex};
    /// use std::time::Duration;
    ///
    /// let mutex = Mutex::new();
    /// let soon = Some(Duration::from_millis(1));
    /// assert_eq!(mutex.lock_timed(soon, LockFlags::DETACH), LockStatus::Acquired);
    /// assert_eq!(mutex.lock_timed(soon, LockFlags::DETACH), LockStatus::Failure);
    /// mutex.unlock();
    /// ```
    ///
    /// CPython: Python/lock.c:L53 _PyMutex_LockTimed
    #[doc(alias = "_PyMutex_LockTimed")]
    #[inline]
    pub fn lock_timed(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
        // L55-L60: one attempt, before the clock is read.
        if self.try_lock() {
            return LockStatus::Acquired;
        }
        self.lock_slow::<Native>(Deadline::after(timeout), flags)
    }

    /// Locks the mutex if it becomes free before `deadline`, in a runtime of the caller's choice.
    /// All other methods that lock are this one for [`Native`].
    ///
    /// A deadline that has passed, as [`Deadline::NOW`] has, is one attempt, which neither spins
    /// nor sleeps. [`Deadline::NEVER`] waits forever. Timeouts, flags and results are those of
    /// [`lock_timed`](Self::lock_timed).
    ///
    /// CPython: Python/lock.c:L53 _PyMutex_LockTimed
    #[inline]
    pub fn lock_in<R: Runtime>(&self, deadline: Deadline, flags: LockFlags) -> LockStatus {
        // L55-L60: one attempt.
        if self.try_lock() {
            return LockStatus::Acquired;
        }
        self.lock_slow::<R>(deadline, flags)
    }

    /// Locks the mutex if it is free; true if it was. Never blocks.
    ///
    /// A mutex at which threads are parked may be free: the woken one has not taken it yet.
    #[inline]
    pub fn try_lock(&self) -> bool {
        // Ordering: Relaxed to look; the Acquire of the lock pairs with the Release of the unlock.
        let mut state = self.state.load(Relaxed);
        // The exchange may fail since bit 1 has come or gone. That does not end the attempt; only
        // bit 0 does.
        while state & LOCKED == 0 {
            match self.state.compare_exchange(state, state | LOCKED, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(actual) => state = actual,
            }
        }
        false
    }

    /// Unlocks the mutex, and wakes the thread that has been parked longest, if there is one. Does
    /// not block, but for the lock of a bucket of the parking lot.
    ///
    /// # Panics
    /// `unlocking mutex that is not locked`. Nothing has changed then.
    ///
    /// CPython: Include/cpython/lock.h:L56 _PyMutex_Unlock
    #[doc(alias("PyMutex_Unlock", "_PyMutex_Unlock"))]
    #[inline]
    #[track_caller]
    pub fn unlock(&self) {
        // L58-L60: the uncontended unlock.
        if let Err(state) = self.unlock_fast() {
            self.unlock_or_die(state);
        }
    }

    /// Unlocks the mutex, and wakes the thread that has been parked longest, if there is one. Does
    /// not block, but for the lock of a bucket of the parking lot.
    ///
    /// # Errors
    /// [`NotLocked`] if the mutex is not locked. Nothing has changed then.
    ///
    /// CPython: Python/lock.c:L161 _PyMutex_TryUnlock
    #[doc(alias = "_PyMutex_TryUnlock")]
    #[inline]
    pub fn try_unlock(&self) -> Result<(), NotLocked> {
        self.unlock_fast().or_else(|state| self.unlock_slow(state))
    }

    /// Whether a thread holds the mutex. The answer may be out of date when it arrives.
    ///
    /// CPython: Include/internal/pycore_lock.h:L29 PyMutex_IsLocked
    #[doc(alias = "PyMutex_IsLocked")]
    #[inline]
    pub fn is_locked(&self) -> bool {
        // Ordering: Relaxed. Nothing may be concluded from an answer that is out of date. C has
        // SeqCst.
        // L31
        self.state.load(Relaxed) & LOCKED != 0
    }

    /// Unlocks the mutex in the child of a `fork`, whichever thread held it.
    ///
    /// # Safety
    /// - The calling thread is the only one in the process.
    /// - No guard of this mutex is alive.
    ///
    /// CPython: Include/internal/pycore_lock.h:L36 _PyMutex_at_fork_reinit
    #[doc(alias = "_PyMutex_at_fork_reinit")]
    pub unsafe fn after_fork(&self) {
        // L38
        // Ordering: Relaxed. There is no other thread.
        self.state.store(UNLOCKED, Relaxed);
    }

    /// Locks a mutex that is unlocked and has no waiters; true if it was so.
    ///
    /// CPython: Include/internal/pycore_lock.h:L21 PyMutex_LockFast
    #[doc(alias = "PyMutex_LockFast")]
    #[doc(hidden)]
    #[inline]
    pub fn lock_fast(&self) -> bool {
        // L23-L24
        // Ordering: as in `try_lock`.
        self.state.compare_exchange(UNLOCKED, LOCKED, Acquire, Relaxed).is_ok()
    }

    /// Waits for a mutex that the caller has just found locked.
    ///
    /// CPython: Python/lock.c:L53 _PyMutex_LockTimed
    #[cold]
    fn lock_slow<R: Runtime>(&self, deadline: Deadline, flags: LockFlags) -> LockStatus {
        // L61-L63: the caller's attempt was all that it wants (gh-135871).
        if deadline.has_passed() {
            return LockStatus::Failure;
        }

        // L65-L76
        let entry = MutexWaiter::new();
        let due = entry.contend();

        // L78-L79
        let spin = Spin::new(self.word().addr(), due, deadline);
        self.lock_as::<R>(&entry, spin, deadline, flags)
    }

    /// Waits for a mutex that the caller has just found locked, as `entry`.
    ///
    /// CPython: Python/lock.c:L53 _PyMutex_LockTimed
    pub(crate) fn lock_as<R: Runtime>(
        &self,
        entry: &MutexWaiter,
        mut spin: Spin,
        deadline: Deadline,
        flags: LockFlags,
    ) -> LockStatus {
        // As the caller has found it, or nearly so: the wait begins before the next look.
        let mut state = LOCKED;
        loop {
            // L80-L86: the mutex is unlocked, whether or not threads are parked at it.
            if state & LOCKED == 0 {
                // Ordering: as in `try_lock`.
                match self.state.compare_exchange_weak(state, state | LOCKED, Acquire, Relaxed) {
                    Ok(_) => return LockStatus::Acquired,
                    Err(actual) => state = actual,
                }
                continue;
            }

            // L88-L93: it may become free while this thread spins.
            if spin.wait(state & HAS_PARKED != 0) == Next::LookAgain {
                // Ordering: Relaxed to look; the exchanges decide.
                state = self.state.load(Relaxed);
                continue;
            }

            // L99-L109: it has not, so this thread parks.
            let park_arg = entry.park_arg();
            let status = announce_and_park::<R, _>(&*self.state, state, park_arg, deadline, flags);
            match status {
                // L110-L115: the unlocker has left the mutex locked, for this thread.
                // SAFETY: the unlocker is done with the entry.
                ParkStatus::Ok if unsafe { entry.is_handed_off() } => {
                    trace::hand_off(self.word().addr());
                    return LockStatus::Acquired;
                }
                // L117-L121
                ParkStatus::Interrupted => {
                    if let Some(status) = flags.on_interrupt::<R>() {
                        return status;
                    }
                }
                // L122-L125: no unlocker has taken this thread off the queue, and none will.
                ParkStatus::Timeout => return LockStatus::Failure,
                // The unlocker has unlocked the mutex, and this thread must win a race for it.
                ParkStatus::Ok => spin.on_wake(),
                // The word changed before this thread was queued.
                ParkStatus::Again => {}
            }

            // L135: a woken thread does not hold the mutex.
            // Ordering: as above.
            state = self.state.load(Relaxed);
            // L95-L97, L127-L133: out of order: past the deadline, the mutex is still taken if it
            // is free, and only then is the wait given up.
            if state & LOCKED != 0 && deadline.has_passed() {
                return LockStatus::Failure;
            }
        }
    }

    /// Unlocks a mutex that is locked and has no waiters, or returns its byte.
    ///
    /// CPython: Python/lock.c:L161 _PyMutex_TryUnlock
    #[inline]
    fn unlock_fast(&self) -> Result<(), u8> {
        // L163-L164, L174-L177: a guess, where C reads the byte first.
        // Ordering: Release pairs with the Acquire of the next lock.
        self.state.compare_exchange(LOCKED, UNLOCKED, Release, Relaxed).map(|_| ())
    }

    /// Unlocks a mutex that has waiters.
    ///
    /// CPython: Python/lock.c:L161 _PyMutex_TryUnlock
    #[cold]
    fn unlock_slow(&self, state: u8) -> Result<(), NotLocked> {
        // L165-L168
        if state & LOCKED == 0 {
            return Err(NotLocked);
        }
        // L169-L173: the byte is `0b11`. No other thread changes it now, but for a second unlock by
        // mistake.
        unpark(self.word(), |unparked| self.release(unparked));
        Ok(())
    }

    /// CPython: Python/lock.c:L598 PyMutex_Unlock
    #[cold]
    #[track_caller]
    fn unlock_or_die(&self, state: u8) {
        // L600-L602
        if self.unlock_slow(state).is_err() {
            Native::fatal_error("Mutex::unlock", "unlocking mutex that is not locked");
        }
    }

    /// Unlocks the mutex or hands it over, under the bucket lock. `unparked` is the waiter that
    /// this unlock wakes.
    ///
    /// CPython: Python/lock.c:L140 mutex_unpark
    #[doc(alias = "mutex_unpark")]
    fn release(&self, unparked: Option<Unparked>) {
        // L142
        let mut state = UNLOCKED;
        // L143
        if let Some(unparked) = unparked {
            let entry: *const MutexWaiter = unparked.park_arg.cast_const().cast();
            // L144-L152: a waiter that is due gets the mutex. It stays locked, so that no other
            // thread gets it first.
            // SAFETY:
            // - Threads park on a mutex's byte only in `lock_as`, or are moved to it by the contract
            //   of `Requeue::choose`, so the argument is an entry.
            // - The waiter sleeps until this callback is over, so the entry is there.
            if unsafe { MutexWaiter::hand_off_if_due(entry) } {
                state |= LOCKED;
            }
            // L153-L155: this is exact; C's answer is for the whole bucket (gh-135641).
            if unparked.has_more_waiters {
                state |= HAS_PARKED;
            }
        }
        // L157: a store will do. The byte is `0b11`, which only an unlocker with the bucket lock
        // changes.
        // Ordering: Release pairs with the Acquire of the next lock. A thread that is handed the
        // mutex makes no exchange; it is ordered by its wake.
        self.state.store(state, Release);
    }

    /// What threads park on.
    #[inline]
    pub(crate) fn word(&self) -> *const AtomicU8 {
        &raw const *self.state
    }

    /// Says in the byte of a locked mutex that threads are parked at it; false if it is unlocked,
    /// and then the byte is as it was.
    pub(crate) fn announce_if_locked(&self) -> bool {
        // Ordering: Relaxed. The bit publishes nothing, and the bucket lock orders it with the unlock
        // that looks for it.
        let mut state = self.state.load(Relaxed);
        while state & LOCKED != 0 {
            match self.state.compare_exchange_weak(state, state | HAS_PARKED, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(actual) => state = actual,
            }
        }
        false
    }
}

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("locked", &self.is_locked()).finish()
    }
}
