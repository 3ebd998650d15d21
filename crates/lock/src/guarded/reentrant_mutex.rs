use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::{Duration, Instant};

use pysync_platform::Native;

use super::raw::RawReentrantMutex;
use crate::{LockFlags, LockStatus};

/// A mutex that owns its data and that its owner may lock again; its guards give shared access
/// only. Over [`RecursiveMutex`](crate::RecursiveMutex).
///
/// `lock_api` has one of these, which cannot be reset: its owner and its count survive into the
/// child of a fork, where nothing can set them back.
///
/// **Fork**: a child whose forking thread held the mutex still holds it. If another thread did,
/// [`after_fork`](Self::after_fork) resets it.
///
/// **Thread locals**: a guard may be kept in one, and unlocks when that is destroyed. Where std frees
/// a thread's locals one by one (windows-gnu, Android), another destructor that locks again by then
/// may not be known as the owner's, and waits for ever.
///
/// ```
/// use pysync_lock::guarded::ReentrantMutex;
/// use std::cell::Cell;
///
/// static COUNT: ReentrantMutex<Cell<u32>> = ReentrantMutex::new(Cell::new(0));
///
/// let outer = COUNT.lock();
/// COUNT.lock().set(outer.get() + 1);
/// assert_eq!(outer.get(), 1);
/// ```
pub struct ReentrantMutex<T: ?Sized> {
    raw: RawReentrantMutex,
    value: T,
}

// SAFETY: one thread at a time has references to the value. It is told apart by `Native`'s idents,
// which are counted, and no safe code gets at the lock below with those of another runtime.
unsafe impl<T: ?Sized + Send> Sync for ReentrantMutex<T> {}

impl<T> ReentrantMutex<T> {
    /// An unlocked mutex around `value`.
    pub const fn new(value: T) -> Self {
        Self { raw: RawReentrantMutex::new(), value }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> ReentrantMutex<T> {
    /// Locks the mutex, blocking for as long as another thread holds it, through signals and
    /// detached while it sleeps.
    ///
    /// # Panics
    /// If the thread has locked it `usize::MAX` times.
    pub fn lock(&self) -> ReentrantMutexGuard<'_, T> {
        self.raw.get().lock();
        self.guard()
    }

    /// Locks the mutex if no other thread holds it. Never blocks.
    pub fn try_lock(&self) -> Option<ReentrantMutexGuard<'_, T>> {
        self.try_lock_for(Duration::ZERO)
    }

    /// Locks the mutex if no other thread holds it or it becomes free within `timeout`.
    pub fn try_lock_for(&self, timeout: Duration) -> Option<ReentrantMutexGuard<'_, T>> {
        let status = self.raw.get().lock_timed(Some(timeout), LockFlags::DETACH);
        (status == LockStatus::Acquired).then(|| self.guard())
    }

    /// Locks the mutex if no other thread holds it or it becomes free before `deadline`.
    pub fn try_lock_until(&self, deadline: Instant) -> Option<ReentrantMutexGuard<'_, T>> {
        self.try_lock_for(deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether a thread holds the mutex; stale as soon as it returns.
    pub fn is_locked(&self) -> bool {
        self.raw.get().is_locked()
    }

    /// Whether the calling thread holds the mutex.
    pub fn is_owned_by_current_thread(&self) -> bool {
        self.raw.get().is_locked_by_current_thread()
    }

    /// The value, which the exclusive reference guards.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// The value's address. To follow it takes the lock, or to know that no thread has it.
    pub fn data_ptr(&self) -> *const T {
        &raw const self.value
    }

    /// Unlocks the mutex in the child of a `fork`, whichever thread held it and however often.
    ///
    /// # Safety
    /// The calling thread is the only one in the process, and no guard of this mutex is alive on it.
    pub unsafe fn after_fork(&self) {
        // SAFETY: by contract.
        unsafe { self.raw.get().after_fork() };
    }

    fn guard(&self) -> ReentrantMutexGuard<'_, T> {
        ReentrantMutexGuard { raw: &self.raw, value: &self.value, not_send: PhantomData }
    }
}

impl<T: Default> Default for ReentrantMutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for ReentrantMutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mutex = f.debug_struct("ReentrantMutex");
        match self.try_lock() {
            Some(guard) => mutex.field("data", &&*guard),
            None => mutex.field("data", &format_args!("<locked>")),
        };
        mutex.finish()
    }
}

/// The guard of a [`ReentrantMutex`], or of a part of its value. Stays on its thread.
#[must_use]
pub struct ReentrantMutexGuard<'a, T: ?Sized> {
    raw: &'a RawReentrantMutex,
    value: &'a T,
    not_send: PhantomData<*mut ()>,
}

// SAFETY: to share the guard is to share the value; it is dropped by its own thread only.
unsafe impl<T: ?Sized + Sync> Sync for ReentrantMutexGuard<'_, T> {}

impl<'a, T: ?Sized> ReentrantMutexGuard<'a, T> {
    /// A guard of the part of the value that `f` leads to.
    pub fn map<U: ?Sized>(this: Self, f: impl FnOnce(&T) -> &U) -> ReentrantMutexGuard<'a, U> {
        let value = f(this.value);
        this.of(value)
    }

    /// A guard of the part of the value that `f` leads to, or the guard itself.
    ///
    /// # Errors
    /// The guard, if `f` returns `None`.
    pub fn try_map<U: ?Sized>(
        this: Self,
        f: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<ReentrantMutexGuard<'a, U>, Self> {
        match f(this.value) {
            Some(value) => Ok(this.of(value)),
            None => Err(this),
        }
    }

    /// Undoes one lock around `f`, and locks again after it, in a panic too. Other threads get in
    /// only if it was the thread's one lock.
    pub fn unlocked<R>(this: &mut Self, f: impl FnOnce() -> R) -> R {
        struct Relock<'a>(&'a RawReentrantMutex);
        impl Drop for Relock<'_> {
            fn drop(&mut self) {
                self.0.get().lock();
            }
        }

        this.raw.get().release::<Native>();
        let _relock = Relock(this.raw);
        f()
    }

    fn of<U: ?Sized>(self, value: &'a U) -> ReentrantMutexGuard<'a, U> {
        let raw = self.raw;
        // The lock goes to the new guard.
        std::mem::forget(self);
        ReentrantMutexGuard { raw, value, not_send: PhantomData }
    }
}

impl<T: ?Sized> Deref for ReentrantMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
    }
}

impl<T: ?Sized> Drop for ReentrantMutexGuard<'_, T> {
    fn drop(&mut self) {
        // Ours without a look: the guard has stayed on the thread that locked, whose ident changes
        // at the thread's end where std frees thread locals one by one.
        self.raw.get().release::<Native>();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
