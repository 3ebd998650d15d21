use std::fmt;
use std::time::Duration;

use pysync_parking_lot::primitive::atomic::{AtomicU64, Ordering};
use pysync_parking_lot::primitive::{UnsafeCell, const_fn};
use pysync_parking_lot::{Native, Runtime};

use crate::{LockFlags, LockStatus, Mutex, NotOwner};

/// A mutex that its owner may lock again, as often as it unlocks it.
///
/// Usable in a `static`; zeroed memory is an unlocked mutex. It guards no data of its own: see
/// [`guarded::ReentrantMutex`](crate::guarded::ReentrantMutex).
///
/// **Fork**: a child whose forking thread held the mutex still holds it. If another did, or the
/// runtime's thread idents change across a fork (gh-126688), [`after_fork`](Self::after_fork)
/// resets it.
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
    thread: AtomicU64,
    // L158: how often the owner has locked it again. The owner's alone.
    level: UnsafeCell<usize>,
}

// SAFETY: `level` is only touched by the thread that holds the mutex.
unsafe impl Sync for RecursiveMutex {}

impl RecursiveMutex {
    const_fn! {
        /// An unlocked mutex.
        pub const fn new() -> Self {
            Self { mutex: Mutex::new(), thread: AtomicU64::new(0), level: UnsafeCell::new(0) }
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
        self.is_owned_by(R::thread_ident())
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
        let thread = R::thread_ident();
        if self.is_owned_by(thread) {
            // SAFETY: we hold the mutex.
            self.level.with_mut(|level| unsafe { *level += 1 });
            return LockStatus::Acquired;
        }
        // L386: somebody else's, or nobody's.
        let status = self.mutex.lock_timed_in::<R>(timeout, flags);
        if status == LockStatus::Acquired {
            // L387-L388: ours from now on, for the first time.
            // Ordering: Relaxed; only we can be looking for our own ident.
            self.thread.store(thread, Ordering::Relaxed);
            // SAFETY: we hold the mutex.
            debug_assert_eq!(self.level.with(|level| unsafe { *level }), 0);
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
        if !self.is_owned_by(R::thread_ident()) {
            return Err(NotOwner);
        }
        // L399-L403: one of several locks: count.
        // SAFETY: we hold the mutex.
        let again = self.level.with_mut(|level| unsafe {
            let again = *level > 0;
            *level -= usize::from(again);
            again
        });
        if !again {
            // L404: before the mutex is free, or the next owner's ident would be lost.
            // Ordering: Relaxed; the mutex orders it before the next owner's store.
            self.thread.store(0, Ordering::Relaxed);
            // L405: the last one.
            self.mutex.unlock_in::<R>();
        }
        Ok(())
    }

    /// Unlocks the mutex in the child of a `fork`, whoever held it and however often.
    ///
    /// # Safety
    /// The calling thread is the only one in the process, and no guard of this mutex is alive.
    #[doc(alias = "_PyRecursiveMutex_at_fork_reinit")]
    pub unsafe fn after_fork(&self) {
        // Ordering: Relaxed, there is nobody to order with.
        self.thread.store(0, Ordering::Relaxed);
        // SAFETY: nobody else is there.
        self.level.with_mut(|level| unsafe { *level = 0 });
        // SAFETY: by contract.
        unsafe { self.mutex.after_fork() };
    }

    /// CPython: Python/lock.c:L367 recursive_mutex_is_owned_by
    fn is_owned_by(&self, thread: u64) -> bool {
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
            .field("locked", &self.mutex.is_locked())
            .field("by_current_thread", &self.is_locked_by_current_thread())
            .finish()
    }
}
