use std::fmt;
use std::time::Duration;

use pysync_parking_lot::{Unparked, park_in, unpark};
use pysync_platform::primitive::atomic::{AtomicU8, Ordering};
use pysync_platform::primitive::{UnsafeCell, const_fn};
use pysync_platform::{
    Deadline, FAITHFUL, Native, ParkStatus, Runtime, Spin, TIME_TO_BE_FAIR_NS, monotonic_now,
};

use crate::bits::{HAS_PARKED, LOCKED, UNLOCKED};
use crate::trace;
use crate::{LockFlags, LockStatus, NotLocked};

/// What a waiter and the thread that unparks it tell each other, on the waiter's stack.
///
/// CPython: Python/lock.c:L33 mutex_entry
struct MutexEntry {
    // L36: when the waiter has waited for long enough. Written before it parks.
    time_to_be_fair: u64,
    // L39: whether the lock is now the waiter's. Written by the unlocking thread under the
    // bucket lock, read once the waiter has been woken.
    handed_off: UnsafeCell<bool>,
}

/// A mutex of one byte, fair after a millisecond.
///
/// | bits | state |
/// |---|---|
/// | `0b00` | unlocked |
/// | `0b01` | locked |
/// | `0b10` | unlocked, threads are parked |
/// | `0b11` | locked, threads are parked |
///
/// Uncontended, locking and unlocking are one compare-exchange each. Contended, a thread yields up
/// to 40 times, looking ever more seldom, then parks. Whoever is parked when the mutex is
/// unlocked, and has waited for longer than 1 ms, gets it handed over, so that a thread that
/// unlocks and relocks cannot keep it for itself.
///
/// Usable in a `static`; zeroed memory is an unlocked mutex. It guards no data of its own: see
/// [`guarded::Mutex`](crate::guarded::Mutex) for one that does. Not reentrant. Any thread may
/// unlock it.
///
/// **Fork**: the child inherits the mutex as it stood. If a thread that no longer exists held it,
/// [`after_fork`](Self::after_fork) resets it; parked threads are forgotten by
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
#[repr(transparent)]
pub struct Mutex {
    // L30: all of its state.
    bits: AtomicU8,
}

impl Mutex {
    const_fn! {
        /// An unlocked mutex.
        #[inline]
        pub const fn new() -> Self {
            Self { bits: AtomicU8::new(UNLOCKED) }
        }
    }

    /// Locks the mutex, blocking for as long as it takes and through signals, detached while
    /// it sleeps.
    ///
    /// CPython: Include/cpython/lock.h:L45 _PyMutex_Lock
    #[doc(alias("PyMutex_Lock", "_PyMutex_Lock"))]
    #[inline]
    pub fn lock(&self) {
        self.lock_in::<Native>();
    }

    /// [`lock`](Self::lock) in another runtime.
    ///
    /// CPython: Include/cpython/lock.h:L45 _PyMutex_Lock
    /// CPython: Python/lock.c:L591 PyMutex_Lock
    #[inline]
    pub fn lock_in<R: Runtime>(&self) {
        // L47-L48: the uncontended lock.
        if !self.lock_fast() {
            // L49, L593: with no flag that could end the wait early.
            let status = self.lock_slow::<R, FAITHFUL>(None, LockFlags::DETACH);
            debug_assert_eq!(status, LockStatus::Acquired);
        }
    }

    /// Locks the mutex, blocking for as long as `flags` let it.
    ///
    /// Without `HANDLE_SIGNALS` or `FAIL_IF_INTERRUPTED` the result is always `Acquired`. C
    /// throws the result away and trusts its callers not to pass these flags.
    ///
    /// CPython: Include/internal/pycore_lock.h:L59 PyMutex_LockFlags
    #[doc(alias = "PyMutex_LockFlags")]
    #[inline]
    pub fn lock_flags(&self, flags: LockFlags) -> LockStatus {
        self.lock_flags_in::<Native>(flags)
    }

    /// [`lock_flags`](Self::lock_flags) in another runtime.
    ///
    /// CPython: Include/internal/pycore_lock.h:L59 PyMutex_LockFlags
    #[inline]
    pub fn lock_flags_in<R: Runtime>(&self, flags: LockFlags) -> LockStatus {
        // L61-L62: the uncontended lock.
        if self.lock_fast() {
            return LockStatus::Acquired;
        }
        // L63: and C forgets the status.
        self.lock_slow::<R, FAITHFUL>(None, flags)
    }

    /// Locks the mutex if it becomes free within `timeout`.
    ///
    /// `None` waits forever. `Some(ZERO)` is one attempt, which neither spins nor sleeps. A wait
    /// never ends before its timeout, and long ones do not overflow. The result is `Interrupted`
    /// only if `flags` ask for it; else a signal changes nothing, and the deadline stands.
    ///
    /// CPython: Python/lock.c:L53 _PyMutex_LockTimed
    #[doc(alias = "_PyMutex_LockTimed")]
    #[inline]
    pub fn lock_timed(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
        self.lock_timed_in::<Native>(timeout, flags)
    }

    /// [`lock_timed`](Self::lock_timed) in another runtime.
    ///
    /// CPython: Python/lock.c:L53 _PyMutex_LockTimed
    #[inline]
    pub fn lock_timed_in<R: Runtime>(
        &self,
        timeout: Option<Duration>,
        flags: LockFlags,
    ) -> LockStatus {
        // L55-L60: one attempt, inlined.
        if self.try_lock() {
            return LockStatus::Acquired;
        }
        // L61-L63: gh-135871, no spinning for a caller who said not to wait.
        if timeout == Some(Duration::ZERO) {
            return LockStatus::Failure;
        }
        self.lock_slow::<R, FAITHFUL>(timeout, flags)
    }

    /// [`lock`](Self::lock) that waits just as C does (see deviation D10): the measure of ours.
    #[doc(hidden)]
    #[inline]
    pub fn lock_faithfully(&self) {
        if !self.lock_fast() {
            let status = self.lock_slow::<Native, true>(None, LockFlags::DETACH);
            debug_assert_eq!(status, LockStatus::Acquired);
        }
    }

    /// Locks the mutex if it is free; says whether it did. Never blocks.
    ///
    /// Threads that are parked do not make it fail: a mutex that they are about to race for is
    /// free.
    #[inline]
    pub fn try_lock(&self) -> bool {
        // Ordering: Relaxed to look; Acquire on locking pairs with the Release of the unlock.
        let mut v = self.bits.load(Ordering::Relaxed);
        // A parked bit that comes or goes fails the exchange, and only a lock may end the loop.
        while v & LOCKED == 0 {
            match self.bits.compare_exchange(v, v | LOCKED, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(actual) => v = actual,
            }
        }
        false
    }

    /// Unlocks the mutex and unparks the longest waiter, if any.
    ///
    /// # Panics
    /// `unlocking mutex that is not locked`.
    ///
    /// CPython: Include/cpython/lock.h:L56 _PyMutex_Unlock
    #[doc(alias("PyMutex_Unlock", "_PyMutex_Unlock"))]
    #[inline]
    #[track_caller]
    pub fn unlock(&self) {
        self.unlock_in::<Native>();
    }

    /// [`unlock`](Self::unlock) in another runtime, which decides what misuse leads to.
    ///
    /// CPython: Include/cpython/lock.h:L56 _PyMutex_Unlock
    #[inline]
    #[track_caller]
    pub fn unlock_in<R: Runtime>(&self) {
        // L58-L60: nobody waits.
        if let Err(v) = self.unlock_fast() {
            self.unlock_slow_in::<R>(v);
        }
    }

    /// CPython: Python/lock.c:L598 PyMutex_Unlock
    #[cold]
    #[track_caller]
    fn unlock_slow_in<R: Runtime>(&self, v: u8) {
        // L600-L602: what `try_unlock` reports is fatal here.
        if self.unlock_slow(v).is_err() {
            R::fatal_error("Mutex::unlock", "unlocking mutex that is not locked");
        }
    }

    /// Unlocks the mutex and unparks the longest waiter, if any.
    ///
    /// # Errors
    /// [`NotLocked`] if it is not locked, and then nothing has changed.
    ///
    /// CPython: Python/lock.c:L161 _PyMutex_TryUnlock
    #[doc(alias = "_PyMutex_TryUnlock")]
    #[inline]
    pub fn try_unlock(&self) -> Result<(), NotLocked> {
        self.unlock_fast().or_else(|v| self.unlock_slow(v))
    }

    /// Unlocks a mutex that nobody waits for; otherwise says what the word is.
    ///
    /// CPython: Python/lock.c:L161 _PyMutex_TryUnlock
    #[inline]
    fn unlock_fast(&self) -> Result<(), u8> {
        // L163-L164, L174-L177: tried first, and only once, with the word that most locks have.
        // Ordering: Release pairs with the Acquire of the next lock.
        self.bits
            .compare_exchange(LOCKED, UNLOCKED, Ordering::Release, Ordering::Relaxed)
            .map(|_| ())
    }

    /// Whether somebody holds the mutex; stale as soon as it returns.
    ///
    /// CPython: Include/internal/pycore_lock.h:L29 PyMutex_IsLocked
    #[doc(alias = "PyMutex_IsLocked")]
    #[inline]
    pub fn is_locked(&self) -> bool {
        // Ordering: Relaxed, where C is SeqCst: nothing may be concluded from a stale answer.
        // L31: parked threads do not count.
        self.bits.load(Ordering::Relaxed) & LOCKED != 0
    }

    /// Unlocks the mutex in the child of a `fork`, whoever held it.
    ///
    /// # Safety
    /// The calling thread is the only one in the process, and no guard of this mutex is alive.
    ///
    /// CPython: Include/internal/pycore_lock.h:L36 _PyMutex_at_fork_reinit
    #[doc(alias = "_PyMutex_at_fork_reinit")]
    pub unsafe fn after_fork(&self) {
        // L38: zero is unlocked.
        // Ordering: Relaxed, there is nobody to order with.
        self.bits.store(UNLOCKED, Ordering::Relaxed);
    }

    /// The uncontended lock.
    ///
    /// CPython: Include/internal/pycore_lock.h:L21 PyMutex_LockFast
    #[doc(alias = "PyMutex_LockFast")]
    #[doc(hidden)]
    #[inline]
    pub fn lock_fast(&self) -> bool {
        // L23-L24: the one word in which nobody holds or waits.
        // Ordering: as in `try_lock`.
        self.bits.compare_exchange(UNLOCKED, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// CPython: Python/lock.c:L53 _PyMutex_LockTimed
    #[cold]
    fn lock_slow<R: Runtime, const FAITHFUL: bool>(
        &self,
        timeout: Option<Duration>,
        flags: LockFlags,
    ) -> LockStatus {
        // L65-L71: the clock is read once, for the deadline and for fairness.
        let now = monotonic_now();
        let deadline = Deadline::at(now, timeout);

        // L73-L76: a millisecond from now it is our turn.
        let entry = MutexEntry {
            time_to_be_fair: now.saturating_add(TIME_TO_BE_FAIR_NS),
            handed_off: UnsafeCell::new(false),
        };

        // L78-L79: how long spinning is worth it.
        let mut spin = Spin::<FAITHFUL>::new((&raw const self.bits).addr(), now, deadline);
        // Ordering: Relaxed, a hint; the exchanges decide.
        let mut v = self.bits.load(Ordering::Relaxed);
        loop {
            // L80-L86: free; take it, whoever is parked.
            if v & LOCKED == 0 {
                // Ordering: as in `try_lock`.
                match self.bits.compare_exchange_weak(
                    v,
                    v | LOCKED,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return LockStatus::Acquired,
                    Err(actual) => {
                        v = actual;
                        continue;
                    }
                }
            }

            // L88-L93: held: it may be quicker to yield. C looks again only by its exchange.
            if spin.is_worthwhile(v & HAS_PARKED != 0) {
                if spin.step() {
                    // Ordering: as before the loop.
                    v = self.bits.load(Ordering::Relaxed);
                }
                continue;
            }

            // L99-L106: the first to park announces it, so that the unlock looks for us. A set
            // bit is announcement enough for those who come later.
            if v & HAS_PARKED == 0 {
                // Ordering: Relaxed; it publishes nothing, and the bucket lock orders the park.
                if let Err(actual) = self.bits.compare_exchange_weak(
                    v,
                    v | HAS_PARKED,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    v = actual;
                    continue;
                }
            }

            // L108-L109: sleep unless either bit has changed meanwhile.
            let status = park_in::<R, _>(
                &self.bits,
                LOCKED | HAS_PARKED,
                deadline,
                (&raw const entry).cast_mut().cast(),
                flags.contains(LockFlags::DETACH),
            );
            match status {
                // L110-L115: woken. Handed over, the mutex has stayed locked, and is ours.
                // SAFETY: the thread that woke us wrote this before, and is done with it.
                ParkStatus::Ok if entry.handed_off.with(|handed_off| unsafe { *handed_off }) => {
                    trace::hand_off((&raw const self.bits).addr());
                    return LockStatus::Acquired;
                }
                // Deviation D04: 3.15's flag.
                ParkStatus::Interrupted if flags.contains(LockFlags::FAIL_IF_INTERRUPTED) => {
                    return LockStatus::Interrupted;
                }
                // L117-L121: what the handler left to be done; its failure is ours.
                ParkStatus::Interrupted if flags.contains(LockFlags::HANDLE_SIGNALS) => {
                    if R::make_pending_calls().is_err() {
                        return LockStatus::Interrupted;
                    }
                }
                // L122-L125: nobody woke us, and nobody will.
                ParkStatus::Timeout => return LockStatus::Failure,
                // Woken to race for it.
                ParkStatus::Ok => spin.woken(),
                // The word changed first; or a signal that is nobody's.
                ParkStatus::Again | ParkStatus::Interrupted => {}
            }

            // L135: somebody may have unlocked it meanwhile.
            // Ordering: as before the loop.
            v = self.bits.load(Ordering::Relaxed);
            // L95-L97, L127-L133: out of order: looked at once after each wait. The deadline has
            // come, but a mutex that is free is taken.
            if v & LOCKED != 0 && deadline.has_passed() {
                return LockStatus::Failure;
            }
        }
    }

    /// CPython: Python/lock.c:L161 _PyMutex_TryUnlock
    #[cold]
    fn unlock_slow(&self, v: u8) -> Result<(), NotLocked> {
        // L165-L168: a mistake that the caller is to hear of.
        if v & LOCKED == 0 {
            return Err(NotLocked);
        }
        // L169-L173: locked, and not by the one word that the fast path unlocks: somebody has
        // parked. The bucket lock decides who is next.
        unpark(&raw const self.bits, |unparked| self.release(unparked));
        Ok(())
    }

    /// Stores the word that the unlock leaves behind, under the bucket lock, and tells the thread
    /// that is about to wake whether the mutex is its own.
    ///
    /// CPython: Python/lock.c:L140 mutex_unpark
    #[doc(alias = "mutex_unpark")]
    fn release(&self, unparked: Option<Unparked>) {
        // L142: unlocked, and nobody waits, unless there is a waiter.
        let mut v = UNLOCKED;
        // L143: somebody does.
        if let Some(unparked) = unparked {
            let entry: *const MutexEntry = unparked.park_arg.cast_const().cast();
            // L144-L147: has it waited for long enough?
            // SAFETY: threads park on a mutex's word only in `lock_slow`, with their entry, and
            // this one stays asleep until the callback is over.
            let should_be_fair = monotonic_now() > unsafe { (*entry).time_to_be_fair };
            // L149-L152: the mutex is not unlocked at all; nobody can get in between.
            // SAFETY: as above, and the waiter does not look before it is woken.
            unsafe { (*entry).handed_off.with_mut(|handed_off| *handed_off = should_be_fair) };
            if should_be_fair {
                v |= LOCKED;
            }
            // L153-L155: others wait for it. C's answer is about the whole bucket (gh-135641).
            if unparked.has_more_waiters {
                v |= HAS_PARKED;
            }
        }
        // L157: no one else writes the word: it is locked, it says that somebody is parked, and
        // whoever wants to park must get the bucket lock first.
        // Ordering: Release pairs with the Acquire of the next lock. A hand-off needs more, since
        // the new holder locks nothing: the semaphore carries it.
        self.bits.store(v, Ordering::Release);
    }
}

impl Default for Mutex {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("locked", &self.is_locked()).finish()
    }
}
