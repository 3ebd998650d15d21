//! What a thread can give up while it waits for a condition.

use pysync_lock::{Levels, Mutex, MutexWaiter, RawMutex, RecursiveMutex, RwMutex};
use pysync_platform::{LockFlags, Runtime};

/// The calling thread does not hold the lock, so that it cannot give it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHeld;

/// A lock that a thread gives up while it waits on a [`Cond`](crate::Cond).
///
/// | for | the wait gives up |
/// |---|---|
/// | [`Mutex`], [`RawMutex`] | it |
/// | [`RecursiveMutex`] | all its levels, and brings them all back |
/// | [`AsReader`], [`AsWriter`] | an [`RwMutex`] as a reader or as the writer |
///
/// # Safety
/// - [`acquire_in`](Self::acquire_in) returns with the lock held as it was before
///   [`release_in`](Self::release_in), and does not unwind.
/// - [`mutex`](Self::mutex) is always the same, and lives as long as `self`.
/// - If there is one, [`release_in`](Self::release_in) unlocks exactly that mutex, and
///   [`acquire_in`](Self::acquire_in) takes it by [`Mutex::relock_in`] with the `waiter` that it is
///   given: the waiter may have been handed it already.
pub unsafe trait Lock {
    /// What is to be brought back.
    type Held;

    /// Whether the calling thread holds the lock, as far as the lock can tell: a mutex knows only
    /// whether a thread holds it.
    fn is_held_in<R: Runtime>(&self) -> bool;

    /// Gives the lock up.
    ///
    /// # Errors
    /// [`NotHeld`], and then nothing has changed.
    fn release_in<R: Runtime>(&self) -> Result<Self::Held, NotHeld>;

    /// Takes the lock back, blocking through signals for as long as it takes. `waiter` is what the
    /// thread has waited with. Of `flags`, only `DETACH` counts.
    fn acquire_in<R: Runtime>(&self, held: Self::Held, waiter: &MutexWaiter, flags: LockFlags);

    /// The mutex to which the waiters of a condition may be moved: [`acquire_in`](Self::acquire_in)
    /// takes it by [`Mutex::relock_in`].
    fn mutex(&self) -> Option<&Mutex> {
        None
    }
}

// SAFETY: the mutex is locked again, by `relock_in`, which does not unwind.
unsafe impl Lock for Mutex {
    type Held = ();

    #[inline]
    fn is_held_in<R: Runtime>(&self) -> bool {
        self.is_locked()
    }

    #[inline]
    fn release_in<R: Runtime>(&self) -> Result<(), NotHeld> {
        self.try_unlock().map_err(|_| NotHeld)
    }

    #[inline]
    fn acquire_in<R: Runtime>(&self, (): (), waiter: &MutexWaiter, flags: LockFlags) {
        self.relock_in::<R>(waiter, flags);
    }

    #[inline]
    fn mutex(&self) -> Option<&Mutex> {
        Some(self)
    }
}

// SAFETY: the owner is the owner again, with as many levels.
unsafe impl Lock for RecursiveMutex {
    type Held = Levels;

    fn is_held_in<R: Runtime>(&self) -> bool {
        self.is_locked_by_current_thread_in::<R>()
    }

    fn release_in<R: Runtime>(&self) -> Result<Levels, NotHeld> {
        self.unlock_all_in::<R>().map_err(|_| NotHeld)
    }

    fn acquire_in<R: Runtime>(&self, held: Levels, waiter: &MutexWaiter, flags: LockFlags) {
        self.relock_in::<R>(held, waiter, flags);
    }

    fn mutex(&self) -> Option<&Mutex> {
        Some(self.inner())
    }
}

// SAFETY: the mutex is locked again; its `lock` does not unwind.
unsafe impl Lock for RawMutex {
    type Held = ();

    fn is_held_in<R: Runtime>(&self) -> bool {
        self.is_locked()
    }

    fn release_in<R: Runtime>(&self) -> Result<(), NotHeld> {
        self.try_unlock().map_err(|_| NotHeld)
    }

    fn acquire_in<R: Runtime>(&self, (): (), _: &MutexWaiter, _: LockFlags) {
        self.lock();
    }
}

/// An [`RwMutex`] that the calling thread has locked for reading, once.
///
/// Its waiters are not moved to the lock. A waiter that is notified locks for reading as any reader
/// does: behind the writers that are parked. So a reader that notifies must not wait for that waiter
/// before it has unlocked, or the writer between the two makes both wait for ever.
#[derive(Clone, Copy, Debug)]
pub struct AsReader<'a>(pub &'a RwMutex);

/// An [`RwMutex`] that the calling thread has locked for writing. Its waiters are not moved to the
/// lock.
#[derive(Clone, Copy, Debug)]
pub struct AsWriter<'a>(pub &'a RwMutex);

// SAFETY: a reader is a reader again. The lock has had room for it, as fewer threads than
// `MAX_READERS` exist.
unsafe impl Lock for AsReader<'_> {
    type Held = ();

    fn is_held_in<R: Runtime>(&self) -> bool {
        self.0.is_locked() && !self.0.is_write_locked()
    }

    fn release_in<R: Runtime>(&self) -> Result<(), NotHeld> {
        self.0.try_read_unlock().map_err(|_| NotHeld)
    }

    fn acquire_in<R: Runtime>(&self, (): (), _: &MutexWaiter, _: LockFlags) {
        self.0.read_lock_in::<R>();
    }
}

// SAFETY: the writer is the writer again.
unsafe impl Lock for AsWriter<'_> {
    type Held = ();

    fn is_held_in<R: Runtime>(&self) -> bool {
        self.0.is_write_locked()
    }

    fn release_in<R: Runtime>(&self) -> Result<(), NotHeld> {
        self.0.try_write_unlock().map_err(|_| NotHeld)
    }

    fn acquire_in<R: Runtime>(&self, (): (), _: &MutexWaiter, _: LockFlags) {
        self.0.write_lock_in::<R>();
    }
}
