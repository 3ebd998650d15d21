use std::fmt;
use std::time::Duration;

#[cfg(target_has_atomic = "64")]
use pysync_platform::primitive::atomic::AtomicU64 as AtomicIdent;
#[cfg(not(target_has_atomic = "64"))]
use pysync_platform::primitive::atomic::AtomicUsize as AtomicIdent;
use pysync_platform::primitive::atomic::{AtomicUsize, Ordering};
use pysync_platform::primitive::const_fn;
use pysync_platform::{Native, Runtime};

use crate::{LockFlags, LockStatus, Mutex};

/// A mutex that its owner may lock again, as often as it unlocks it.
///
/// Usable in a `static`; zeroed memory is an unlocked mutex. It guards no data of its own: see
/// [`guarded::ReentrantMutex`](crate::guarded::ReentrantMutex).
///
/// **Fork**: a child whose forking thread held the mutex still holds it. If another did, or the
/// runtime's thread idents change across a fork (gh-126688), [`after_fork`](Self::after_fork)
/// resets it.
///
/// **Thread locals**: where std frees a thread's locals one by one at its end (windows-gnu,
/// Android), the destructor of one may find the thread with another ident, and not the owner.
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
#[repr(C)]
pub struct RecursiveMutex {
    // L156: held while `thread` is not 0.
    mutex: Mutex,
    // L157: the owner's ident, 0 for none. Written by the owner; a thread that reads its own
    // ident here wrote it itself.
    thread: AtomicIdent,
    // L158: how often the owner has locked it again. The owner's alone, if idents are what their
    // runtimes promise; atomic since `Runtime` is a safe trait, and may promise too much.
    level: AtomicUsize,
}

/// A thread's ident as the word keeps it: C's 64 bits where there are such atomics, else 32.
#[cfg(target_has_atomic = "64")]
type Ident = u64;
#[cfg(not(target_has_atomic = "64"))]
type Ident = usize;

/// The calling thread's ident, which is not 0: that stands for no owner.
#[inline]
fn ident_of_current_thread<R: Runtime>() -> Ident {
    #[allow(clippy::useless_conversion)] // Not where the word has 32 bits.
    match Ident::try_from(R::thread_ident()) {
        Ok(ident) if ident != 0 => ident,
        Ok(_) => R::fatal_error("RecursiveMutex", "the runtime's thread ident is 0"),
        Err(_) => R::fatal_error("RecursiveMutex", "the runtime's thread ident is too large"),
    }
}

impl RecursiveMutex {
    const_fn! {
        /// An unlocked mutex.
        pub const fn new() -> Self {
            Self { mutex: Mutex::new(), thread: AtomicIdent::new(0), level: AtomicUsize::new(0) }
        }
    }

    /// Whether the calling thread holds the mutex. Never blocks.
    ///
    /// CPython: Python/lock.c:L373 _PyRecursiveMutex_IsLockedByCurrentThread
    #[doc(alias = "_PyRecursiveMutex_IsLockedByCurrentThread")]
    pub fn is_locked_by_current_thread(&self) -> bool {
        self.is_locked_by_current_thread_in::<Native>()
    }

    /// [`is_locked_by_current_thread`](Self::is_locked_by_current_thread) in another runtime.
    ///
    /// CPython: Python/lock.c:L373 _PyRecursiveMutex_IsLockedByCurrentThread
    pub fn is_locked_by_current_thread_in<R: Runtime>(&self) -> bool {
        // L375: only our own ident matters.
        self.is_owned_by(ident_of_current_thread::<R>())
    }

    /// Locks the mutex, blocking for as long as another thread holds it, through signals and
    /// detached while it sleeps.
    ///
    /// CPython: Python/lock.c:L379 _PyRecursiveMutex_Lock
    #[doc(alias = "_PyRecursiveMutex_Lock")]
    pub fn lock(&self) {
        self.lock_in::<Native>();
    }

    /// [`lock`](Self::lock) in another runtime.
    ///
    /// CPython: Python/lock.c:L379 _PyRecursiveMutex_Lock
    pub fn lock_in<R: Runtime>(&self) {
        let status = self.lock_timed_in::<R>(None, LockFlags::DETACH);
        debug_assert_eq!(status, LockStatus::Acquired);
    }

    /// Locks the mutex if no other thread holds it or it becomes free within `timeout`; timeouts,
    /// flags and results are those of [`Mutex::lock_timed`]. New in CPython 3.14.
    ///
    /// # Panics
    /// `too many recursive locks`, that is `usize::MAX` of them, and nothing has changed. C's count
    /// wraps.
    #[doc(alias = "_PyRecursiveMutex_LockTimed")]
    pub fn lock_timed(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
        self.lock_timed_in::<Native>(timeout, flags)
    }

    /// [`lock_timed`](Self::lock_timed) in another runtime.
    ///
    /// CPython: Python/lock.c:L379 _PyRecursiveMutex_Lock
    pub fn lock_timed_in<R: Runtime>(
        &self,
        timeout: Option<Duration>,
        flags: LockFlags,
    ) -> LockStatus {
        // L381-L385: ours already: count.
        let thread = ident_of_current_thread::<R>();
        if self.is_owned_by(thread) {
            // Ordering: Relaxed, here and below; only the owner touches it. For the same reason a
            // load and a store do.
            // Deviation D08: C's count wraps.
            let Some(level) = self.level.load(Ordering::Relaxed).checked_add(1) else {
                R::fatal_error("RecursiveMutex::lock", "too many recursive locks");
            };
            self.level.store(level, Ordering::Relaxed);
            return LockStatus::Acquired;
        }
        // L386: somebody else's, or nobody's.
        let status = self.mutex.lock_timed_in::<R>(timeout, flags);
        if status == LockStatus::Acquired {
            // L387-L388: ours from now on, for the first time.
            // Ordering: Relaxed; only we can be looking for our own ident.
            self.thread.store(thread, Ordering::Relaxed);
        }
        status
    }

    /// Undoes one lock; the last one unlocks the mutex.
    ///
    /// # Panics
    /// `unlocking a recursive mutex that is not owned by the current thread`.
    ///
    /// CPython: Python/lock.c:L392 _PyRecursiveMutex_Unlock
    #[doc(alias = "_PyRecursiveMutex_Unlock")]
    #[track_caller]
    pub fn unlock(&self) {
        self.unlock_in::<Native>();
    }

    /// [`unlock`](Self::unlock) in another runtime, which decides what misuse leads to.
    ///
    /// CPython: Python/lock.c:L392 _PyRecursiveMutex_Unlock
    #[track_caller]
    pub fn unlock_in<R: Runtime>(&self) {
        // L395-L398: what `try_unlock` reports is fatal here.
        if self.try_unlock_in::<R>().is_err() {
            R::fatal_error(
                "RecursiveMutex::unlock",
                "unlocking a recursive mutex that is not owned by the current thread",
            );
        }
    }

    /// Undoes one lock; the last one unlocks the mutex. New in CPython 3.14.
    ///
    /// # Errors
    /// [`NotOwner`] if the calling thread does not hold the mutex, and then nothing has changed.
    #[doc(alias = "_PyRecursiveMutex_TryUnlock")]
    pub fn try_unlock(&self) -> Result<(), NotOwner> {
        self.try_unlock_in::<Native>()
    }

    /// [`try_unlock`](Self::try_unlock) in another runtime.
    ///
    /// CPython: Python/lock.c:L392 _PyRecursiveMutex_Unlock
    pub fn try_unlock_in<R: Runtime>(&self) -> Result<(), NotOwner> {
        // L394-L395: only the owner may.
        if !self.is_owned_by(ident_of_current_thread::<R>()) {
            return Err(NotOwner);
        }
        self.release::<R>();
        Ok(())
    }

    /// Undoes one lock of a mutex that the caller owns.
    ///
    /// CPython: Python/lock.c:L392 _PyRecursiveMutex_Unlock
    pub(crate) fn release<R: Runtime>(&self) {
        // L399-L403: one of several locks: count.
        match self.level.load(Ordering::Relaxed) {
            0 => {
                // L404: before the mutex is free, or the next owner's ident would be lost.
                // Ordering: Relaxed; the mutex orders it before the next owner's store.
                self.thread.store(0, Ordering::Relaxed);
                // L405: the last one.
                self.mutex.unlock_in::<R>();
            }
            level => self.level.store(level - 1, Ordering::Relaxed),
        }
    }

    /// Whether a thread holds the mutex; stale as soon as it returns.
    pub fn is_locked(&self) -> bool {
        self.mutex.is_locked()
    }

    /// Unlocks the mutex in the child of a `fork`, whoever held it and however often.
    ///
    /// # Safety
    /// The calling thread is the only one in the process, and no guard of this mutex is alive.
    #[doc(alias = "_PyRecursiveMutex_at_fork_reinit")]
    pub unsafe fn after_fork(&self) {
        // Ordering: Relaxed, there is nobody to order with.
        self.thread.store(0, Ordering::Relaxed);
        self.level.store(0, Ordering::Relaxed);
        // SAFETY: by contract.
        unsafe { self.mutex.after_fork() };
    }

    /// CPython: Python/lock.c:L367 recursive_mutex_is_owned_by
    fn is_owned_by(&self, thread: Ident) -> bool {
        // L369: one load, no lock.
        // Ordering: Relaxed; the one ident that matters is our own, and that we wrote ourselves.
        self.thread.load(Ordering::Relaxed) == thread
    }
}

impl Default for RecursiveMutex {
    fn default() -> Self {
        Self::new()
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

/// The recursive mutex to be unlocked is not held by the calling thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOwner;

impl fmt::Display for NotOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the recursive mutex is not held by the current thread")
    }
}

impl std::error::Error for NotOwner {}
