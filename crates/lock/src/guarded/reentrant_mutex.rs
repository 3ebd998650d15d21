use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::{Duration, Instant};

use pysync_platform::{Deadline, Native, PendingCallError, Runtime};

use super::raw::left;
use crate::{LockFlags, LockStatus, RecursiveMutex};

/// A [`ReentrantMutexIn`] whose waiting threads are those of [`Native`].
pub type ReentrantMutex<T> = ReentrantMutexIn<Native, T>;
/// The guard of a [`ReentrantMutex`].
pub type ReentrantMutexGuard<'a, T> = ReentrantMutexGuardIn<'a, Native, T>;

/// `R`, but for its thread idents, which are `Native`'s. A runtime may say the same ident of two
/// threads, which is wrong but safe, and two threads must not get at a value on its word.
struct Counted<R>(PhantomData<R>);

impl<R: Runtime> Runtime for Counted<R> {
    type Detached = R::Detached;

    #[inline]
    fn detach() -> Option<R::Detached> {
        R::detach()
    }

    #[inline]
    fn attach(detached: R::Detached) {
        R::attach(detached);
    }

    fn make_pending_calls() -> Result<(), PendingCallError> {
        R::make_pending_calls()
    }

    #[inline]
    fn thread_ident() -> u64 {
        Native::thread_ident()
    }

    #[track_caller]
    fn fatal_error(function: &'static str, message: &str) -> ! {
        R::fatal_error(function, message)
    }
}

/// A mutex that owns its data and that its owner may lock again; its guards give shared access
/// only. Over [`RecursiveMutex`].
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
///
/// Threads that wait are those of the runtime `R`. Whose the mutex is, `Native`'s thread idents say
/// in every runtime.
pub struct ReentrantMutexIn<R, T: ?Sized> {
    runtime: PhantomData<fn() -> R>,
    lock: RecursiveMutex,
    value: T,
}

// SAFETY: one thread at a time has references to the value. It is told apart by `Native`'s idents,
// which are counted, and no safe code gets at the lock below with those of another runtime.
unsafe impl<R, T: ?Sized + Send> Sync for ReentrantMutexIn<R, T> {}

impl<R, T> ReentrantMutexIn<R, T> {
    /// An unlocked mutex around `value`.
    pub const fn new(value: T) -> Self {
        Self { runtime: PhantomData, lock: RecursiveMutex::new(), value }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<R: Runtime, T: ?Sized> ReentrantMutexIn<R, T> {
    /// Locks the mutex, blocking for as long as another thread holds it, through signals and
    /// detached while it sleeps.
    ///
    /// # Panics
    /// If the thread has locked it `usize::MAX` times.
    pub fn lock(&self) -> ReentrantMutexGuardIn<'_, R, T> {
        lock::<R>(&self.lock);
        self.guard()
    }

    /// Locks the mutex if no other thread holds it. Never blocks.
    pub fn try_lock(&self) -> Option<ReentrantMutexGuardIn<'_, R, T>> {
        self.try_lock_for(Duration::ZERO)
    }

    /// Locks the mutex if no other thread holds it or it becomes free within `timeout`.
    pub fn try_lock_for(&self, timeout: Duration) -> Option<ReentrantMutexGuardIn<'_, R, T>> {
        let attempt = |deadline| {
            self.lock.lock_in::<Counted<R>>(deadline, LockFlags::DETACH) == LockStatus::Acquired
        };
        // One attempt, before the clock is read.
        let acquired =
            attempt(Deadline::NOW) || !timeout.is_zero() && attempt(Deadline::after(Some(timeout)));
        acquired.then(|| self.guard())
    }

    /// Locks the mutex if no other thread holds it or it becomes free before `deadline`.
    pub fn try_lock_until(&self, deadline: Instant) -> Option<ReentrantMutexGuardIn<'_, R, T>> {
        self.try_lock_for(left(deadline))
    }

    /// Whether a thread holds the mutex; stale as soon as it returns.
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    /// Whether the calling thread holds the mutex.
    pub fn is_owned_by_current_thread(&self) -> bool {
        self.lock.is_locked_by_current_thread()
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
        unsafe { self.lock.after_fork() };
    }

    fn guard(&self) -> ReentrantMutexGuardIn<'_, R, T> {
        ReentrantMutexGuardIn {
            lock: &self.lock,
            value: &self.value,
            runtime: PhantomData,
            not_send: PhantomData,
        }
    }
}

impl<R, T: Default> Default for ReentrantMutexIn<R, T> {
    fn default() -> Self {
        Self::from(T::default())
    }
}

/// A mutex around the value; in a loom model its state is made at once, and not at its first use.
impl<R, T> From<T> for ReentrantMutexIn<R, T> {
    fn from(value: T) -> Self {
        Self { runtime: PhantomData, lock: RecursiveMutex::default(), value }
    }
}

impl<R: Runtime, T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutexIn<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mutex = f.debug_struct("ReentrantMutex");
        match self.try_lock() {
            Some(guard) => mutex.field("data", &&*guard),
            None => mutex.field("data", &format_args!("<locked>")),
        };
        mutex.finish()
    }
}

/// Locks for a guard.
fn lock<R: Runtime>(lock: &RecursiveMutex) {
    let status = lock.lock_in::<Counted<R>>(Deadline::NEVER, LockFlags::DETACH);
    debug_assert_eq!(status, LockStatus::Acquired);
}

/// The guard of a [`ReentrantMutexIn`], or of a part of its value. Stays on its thread.
#[must_use]
pub struct ReentrantMutexGuardIn<'a, R: Runtime, T: ?Sized> {
    lock: &'a RecursiveMutex,
    value: &'a T,
    runtime: PhantomData<fn() -> R>,
    not_send: PhantomData<*mut ()>,
}

// SAFETY: to share the guard is to share the value; it is dropped by its own thread only.
unsafe impl<R: Runtime, T: ?Sized + Sync> Sync for ReentrantMutexGuardIn<'_, R, T> {}

impl<'a, R: Runtime, T: ?Sized> ReentrantMutexGuardIn<'a, R, T> {
    /// A guard of the part of the value that `f` leads to.
    pub fn map<U: ?Sized>(this: Self, f: impl FnOnce(&T) -> &U) -> ReentrantMutexGuardIn<'a, R, U> {
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
    ) -> Result<ReentrantMutexGuardIn<'a, R, U>, Self> {
        match f(this.value) {
            Some(value) => Ok(this.of(value)),
            None => Err(this),
        }
    }

    /// Undoes one lock around `f`, and locks again after it, in a panic too. Other threads get in
    /// only if it was the thread's one lock.
    pub fn unlocked<U>(this: &mut Self, f: impl FnOnce() -> U) -> U {
        struct Relock<'a, R: Runtime>(&'a RecursiveMutex, PhantomData<R>);
        impl<R: Runtime> Drop for Relock<'_, R> {
            fn drop(&mut self) {
                lock::<R>(self.0);
            }
        }

        this.lock.release::<Counted<R>>();
        let _relock = Relock(this.lock, PhantomData::<R>);
        f()
    }

    fn of<U: ?Sized>(self, value: &'a U) -> ReentrantMutexGuardIn<'a, R, U> {
        let lock = self.lock;
        // The lock goes to the new guard.
        std::mem::forget(self);
        ReentrantMutexGuardIn { lock, value, runtime: PhantomData, not_send: PhantomData }
    }
}

impl<R: Runtime, T: ?Sized> Deref for ReentrantMutexGuardIn<'_, R, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
    }
}

impl<R: Runtime, T: ?Sized> Drop for ReentrantMutexGuardIn<'_, R, T> {
    fn drop(&mut self) {
        // Ours without a look: the guard has stayed on the thread that locked, whose ident changes
        // at the thread's end where std frees thread locals one by one.
        self.lock.release::<Counted<R>>();
    }
}

impl<R: Runtime, T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutexGuardIn<'_, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<R: Runtime, T: ?Sized + fmt::Display> fmt::Display for ReentrantMutexGuardIn<'_, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
