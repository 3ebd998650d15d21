use std::fmt;
use std::time::Duration;

#[cfg(target_has_atomic = "64")]
use pysync_platform::primitive::atomic::AtomicU64 as AtomicIdent;
#[cfg(not(target_has_atomic = "64"))]
use pysync_platform::primitive::atomic::AtomicUsize as AtomicIdent;

use pysync_platform::primitive::Zeroed;
use pysync_platform::primitive::atomic::{AtomicUsize, Ordering::Relaxed};
use pysync_platform::{Deadline, Native, Runtime};

use crate::{LockFlags, LockStatus, Mutex, MutexWaiter};

/// A thread's ident as the word keeps it: C's 64 bits where there are such atomics, else 32.
#[cfg(target_has_atomic = "64")]
type Ident = u64;
#[cfg(not(target_has_atomic = "64"))]
type Ident = usize;

/// Stands for no owner.
const NONE: Ident = 0;

/// A mutex that its owner may lock again. The owner unlocks it as often as it has locked it.
///
/// | field | means | is written by |
/// |---|---|---|
/// | `mutex` | a thread holds the recursive mutex | its own rules: see [`Mutex`] |
/// | `thread` | the owner's ident, or 0 | the owner: after it has locked `mutex`, and before it unlocks it |
/// | `level` | how many locks the owner has besides its first | the owner |
///
/// A thread that finds its own ident in `thread` has written it itself, so it is the owner. No
/// other value of `thread` means anything to it.
///
/// The mutex can stand in a `static`, and zeroed memory is an unlocked mutex. It guards no data of
/// its own; [`guarded::ReentrantMutex`](crate::guarded::ReentrantMutex) does.
///
/// **Signals**: a signal ends a wait only if the caller's [`LockFlags`] say so.
///
/// **Fork**: if the thread that forks holds the mutex, it holds it in the child too. If another
/// thread does, or the runtime's thread idents change in the child (gh-126688),
/// [`after_fork`](Self::after_fork) resets the mutex.
///
/// **Thread locals**: where std frees a thread's locals one by one at its end (windows-gnu,
/// Android), a destructor may run after the thread has got another ident. It then finds that the
/// thread is not the owner.
///
/// ```
/// use pysync_lock::RecursiveMutex;
///
/// static MUTEX: RecursiveMutex = RecursiveMutex::new();
/// MUTEX.lock();
/// MUTEX.lock();
/// MUTEX.unlock();
/// assert!(MUTEX.is_locked_by_current_thread());
/// MUTEX.unlock();
/// ```
///
/// CPython: Include/internal/pycore_lock.h:L155 _PyRecursiveMutex
#[doc(alias = "_PyRecursiveMutex")]
#[derive(Default)]
#[repr(C)]
pub struct RecursiveMutex {
    // L156
    mutex: Mutex,
    // L157
    thread: Zeroed<AtomicIdent>,
    // L158: atomic, since `Runtime` is a safe trait: one that gives two threads the same ident must
    // not cause a data race.
    level: Zeroed<AtomicUsize>,
}

/// The calling thread's ident, which is not 0.
#[inline]
fn ident_of_current_thread<R: Runtime>() -> Ident {
    #[allow(clippy::useless_conversion)] // Not where the word has 32 bits.
    match Ident::try_from(R::thread_ident()) {
        Ok(ident) if ident != NONE => ident,
        Ok(_) => R::fatal_error("RecursiveMutex", "the runtime's thread ident is 0"),
        Err(_) => R::fatal_error("RecursiveMutex", "the runtime's thread ident is too large"),
    }
}

impl RecursiveMutex {
    /// An unlocked mutex.
    pub const fn new() -> Self {
        Self {
            mutex: Mutex::new(),
            thread: Zeroed::<AtomicIdent>::new(),
            level: Zeroed::<AtomicUsize>::new(),
        }
    }

    /// Whether the calling thread holds the mutex. Never blocks.
    ///
    /// CPython: Python/lock.c:L373 _PyRecursiveMutex_IsLockedByCurrentThread
    #[doc(alias = "_PyRecursiveMutex_IsLockedByCurrentThread")]
    pub fn is_locked_by_current_thread(&self) -> bool {
        self.is_locked_by_current_thread_in::<Native>()
    }

    /// [`is_locked_by_current_thread`](Self::is_locked_by_current_thread) in a runtime of the
    /// caller's choice.
    ///
    /// CPython: Python/lock.c:L373 _PyRecursiveMutex_IsLockedByCurrentThread
    pub fn is_locked_by_current_thread_in<R: Runtime>(&self) -> bool {
        // L375
        self.is_owned_by(ident_of_current_thread::<R>())
    }

    /// Locks the mutex. While another thread holds it, blocks through signals, and detached while
    /// it sleeps.
    ///
    /// # Panics
    /// `too many recursive locks`, that is `usize::MAX` of them. Nothing has changed then.
    ///
    /// CPython: Python/lock.c:L379 _PyRecursiveMutex_Lock
    #[doc(alias = "_PyRecursiveMutex_Lock")]
    pub fn lock(&self) {
        let status = self.lock_in::<Native>(Deadline::NEVER, LockFlags::DETACH);
        debug_assert_eq!(status, LockStatus::Acquired);
    }

    /// Locks the mutex if no other thread holds it, or if it becomes free within `timeout`.
    /// Timeouts, flags and results are those of [`Mutex::lock_timed`]. New in CPython 3.14.
    ///
    /// # Panics
    /// As [`lock`](Self::lock).
    #[doc(alias = "_PyRecursiveMutex_LockTimed")]
    pub fn lock_timed(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
        // One attempt, before the clock is read.
        let status = self.lock_in::<Native>(Deadline::NOW, flags);
        if status == LockStatus::Acquired || timeout == Some(Duration::ZERO) {
            return status;
        }
        self.lock_in::<Native>(Deadline::after(timeout), flags)
    }

    /// Locks the mutex if no other thread holds it, or if it becomes free before `deadline`, in a
    /// runtime of the caller's choice. The other methods that lock are this one for [`Native`].
    ///
    /// Deadlines, flags and results are those of [`Mutex::lock_in`].
    ///
    /// # Fatal errors
    /// `R` reports `too many recursive locks`, that is `usize::MAX` of them, and a thread ident
    /// that is 0 or too large. Nothing has changed then.
    ///
    /// CPython: Python/lock.c:L379 _PyRecursiveMutex_Lock
    pub fn lock_in<R: Runtime>(&self, deadline: Deadline, flags: LockFlags) -> LockStatus {
        // L381-L385
        let thread = ident_of_current_thread::<R>();
        if self.is_owned_by(thread) {
            // Ordering: Relaxed, here and below. Only the owner touches the level, so that a load
            // and a store will do.
            // Deviation D08: C's count wraps.
            let Some(level) = self.level.load(Relaxed).checked_add(1) else {
                R::fatal_error("RecursiveMutex::lock", "too many recursive locks");
            };
            self.level.store(level, Relaxed);
            return LockStatus::Acquired;
        }
        // L386
        let status = self.mutex.lock_in::<R>(deadline, flags);
        if status == LockStatus::Acquired {
            // L387-L388
            // Ordering: Relaxed. No other thread looks for this ident.
            self.thread.store(thread, Relaxed);
        }
        status
    }

    /// Undoes one lock. The last one unlocks the mutex. Does not block, but for the lock of a
    /// bucket of the parking lot.
    ///
    /// # Panics
    /// `unlocking a recursive mutex that is not owned by the current thread`. Nothing has changed
    /// then.
    ///
    /// CPython: Python/lock.c:L392 _PyRecursiveMutex_Unlock
    #[doc(alias = "_PyRecursiveMutex_Unlock")]
    #[track_caller]
    pub fn unlock(&self) {
        // L395-L398
        if self.try_unlock().is_err() {
            Native::fatal_error(
                "RecursiveMutex::unlock",
                "unlocking a recursive mutex that is not owned by the current thread",
            );
        }
    }

    /// Undoes one lock. The last one unlocks the mutex. Does not block, but for the lock of a
    /// bucket of the parking lot. New in CPython 3.14.
    ///
    /// # Errors
    /// [`NotOwner`] if the calling thread does not hold the mutex. Nothing has changed then.
    #[doc(alias = "_PyRecursiveMutex_TryUnlock")]
    pub fn try_unlock(&self) -> Result<(), NotOwner> {
        self.try_unlock_in::<Native>()
    }

    /// [`try_unlock`](Self::try_unlock) in a runtime of the caller's choice.
    ///
    /// # Errors
    /// As [`try_unlock`](Self::try_unlock).
    ///
    /// CPython: Python/lock.c:L392 _PyRecursiveMutex_Unlock
    pub fn try_unlock_in<R: Runtime>(&self) -> Result<(), NotOwner> {
        // L394-L395
        if !self.is_owned_by(ident_of_current_thread::<R>()) {
            return Err(NotOwner);
        }
        self.release::<R>();
        Ok(())
    }

    /// Undoes one lock of a mutex that the calling thread owns.
    ///
    /// CPython: Python/lock.c:L392 _PyRecursiveMutex_Unlock
    pub(crate) fn release<R: Runtime>(&self) {
        // L399-L403
        match self.level.load(Relaxed) {
            0 => {
                // L404: before the mutex is free, so that the next owner's ident is not lost.
                // Ordering: Relaxed. The mutex orders it before the next owner's store.
                self.thread.store(NONE, Relaxed);
                // L405: this fails only if a runtime gives two threads the same ident.
                if self.mutex.try_unlock().is_err() {
                    R::fatal_error("RecursiveMutex::unlock", "unlocking mutex that is not locked");
                }
            }
            level => self.level.store(level - 1, Relaxed),
        }
    }

    /// Undoes all locks of the calling thread, for a wait that gives the mutex up meanwhile. Does not
    /// block, but for the lock of a bucket of the parking lot. [`relock_in`](Self::relock_in) brings
    /// them back.
    ///
    /// # Errors
    /// [`NotOwner`] if the calling thread does not hold the mutex. Nothing has changed then.
    pub fn unlock_all_in<R: Runtime>(&self) -> Result<Levels, NotOwner> {
        if !self.is_owned_by(ident_of_current_thread::<R>()) {
            return Err(NotOwner);
        }
        // Cleared, or the next owner would find itself in the middle.
        let level = self.level.load(Relaxed);
        self.level.store(0, Relaxed);
        self.release::<R>();
        Ok(Levels(level))
    }

    /// Locks the mutex for a thread whose park as `waiter` is over, as often as it was locked before
    /// [`unlock_all_in`](Self::unlock_all_in). Blocks as [`Mutex::relock_in`] does.
    ///
    /// # Fatal errors
    /// As for [`lock_in`](Self::lock_in).
    pub fn relock_in<R: Runtime>(&self, levels: Levels, waiter: &MutexWaiter, flags: LockFlags) {
        let thread = ident_of_current_thread::<R>();
        self.mutex.relock_in::<R>(waiter, flags);
        // Ordering: Relaxed, as in `lock_in`.
        self.thread.store(thread, Relaxed);
        self.level.store(levels.0, Relaxed);
    }

    /// The mutex below, to which a condition's waiters are moved.
    pub fn inner(&self) -> &Mutex {
        &self.mutex
    }

    /// Whether a thread holds the mutex. The answer may be out of date when it arrives.
    pub fn is_locked(&self) -> bool {
        self.mutex.is_locked()
    }

    /// Unlocks the mutex in the child of a `fork`, whichever thread held it and however often.
    ///
    /// # Safety
    /// - The calling thread is the only one in the process.
    /// - No guard of this mutex is alive.
    #[doc(alias = "_PyRecursiveMutex_at_fork_reinit")]
    pub unsafe fn after_fork(&self) {
        // Ordering: Relaxed. There is no other thread.
        self.thread.store(NONE, Relaxed);
        self.level.store(0, Relaxed);
        // SAFETY: the caller promises both.
        unsafe { self.mutex.after_fork() };
    }

    /// CPython: Python/lock.c:L367 recursive_mutex_is_owned_by
    fn is_owned_by(&self, thread: Ident) -> bool {
        // L369
        // Ordering: Relaxed. The calling thread looks for its own ident, which it wrote itself.
        self.thread.load(Relaxed) == thread
    }
}

impl fmt::Debug for RecursiveMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecursiveMutex")
            .field("locked", &self.is_locked())
            .field("by_current_thread", &self.is_locked_by_current_thread())
            .finish()
    }
}

/// How often a thread had locked a recursive mutex that it has given up altogether.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the mutex is to be locked as often again"]
pub struct Levels(usize);

/// The calling thread has tried to unlock a recursive mutex that it does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOwner;

impl fmt::Display for NotOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the recursive mutex is not held by the current thread")
    }
}

impl std::error::Error for NotOwner {}
