//! The kinds of locks that a condition variable gives up, and two of the tests' own: one that tells
//! what a wait did with it, and one whose waiter is preempted at the worst time.

use std::cell::RefCell;
use std::thread;

use pysync_cond::{AsReader, AsWriter, Lock, NotHeld};
use pysync_lock::{LockFlags, Mutex, MutexWaiter, RawMutex, RecursiveMutex};
use pysync_platform::Runtime;

/// A lock that a test takes by hand.
pub(crate) trait Kind: Lock + Sync {
    fn take(&self);
    fn give(&self);
    /// Whether the calling thread holds it, as far as the lock can tell.
    fn is_held(&self) -> bool;
}

impl Kind for Mutex {
    fn take(&self) {
        self.lock();
    }

    fn give(&self) {
        self.unlock();
    }

    fn is_held(&self) -> bool {
        self.is_locked()
    }
}

impl Kind for RawMutex {
    fn take(&self) {
        self.lock();
    }

    fn give(&self) {
        self.unlock();
    }

    fn is_held(&self) -> bool {
        self.is_locked()
    }
}

impl Kind for RecursiveMutex {
    fn take(&self) {
        self.lock();
    }

    fn give(&self) {
        self.unlock();
    }

    fn is_held(&self) -> bool {
        self.is_locked_by_current_thread()
    }
}

impl Kind for AsReader<'_> {
    fn take(&self) {
        self.0.read_lock();
    }

    fn give(&self) {
        self.0.read_unlock();
    }

    fn is_held(&self) -> bool {
        self.0.is_locked() && !self.0.is_write_locked()
    }
}

impl Kind for AsWriter<'_> {
    fn take(&self) {
        self.0.write_lock();
    }

    fn give(&self) {
        self.0.write_unlock();
    }

    fn is_held(&self) -> bool {
        self.0.is_write_locked()
    }
}

/// What was done with a [`Recorded`] lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    GiveUp,
    TakeBack,
}

/// A lock for one thread, always held, that tells what waits do with it.
#[derive(Default)]
pub(crate) struct Recorded {
    events: RefCell<Vec<Did>>,
}

impl Recorded {
    pub(crate) fn take_events(&self) -> Vec<Did> {
        self.events.take()
    }
}

// SAFETY: there is nothing to hold, and nothing unwinds.
unsafe impl Lock for Recorded {
    type Held = ();

    fn is_held_in<R: Runtime>(&self) -> bool {
        true
    }

    fn release_in<R: Runtime>(&self) -> Result<(), NotHeld> {
        self.events.borrow_mut().push(Did::GiveUp);
        Ok(())
    }

    fn acquire_in<R: Runtime>(&self, (): (), _: &MutexWaiter, _: LockFlags) {
        self.events.borrow_mut().push(Did::TakeBack);
    }
}

/// A mutex whose waiter runs `between` when it is queued and has given the mutex up, and does not
/// sleep yet.
pub(crate) struct Between<'a, F: Fn()> {
    pub(crate) mutex: &'a Mutex,
    pub(crate) between: F,
}

// SAFETY: as for the mutex. The tests' closures do not unwind.
unsafe impl<F: Fn()> Lock for Between<'_, F> {
    type Held = ();

    fn is_held_in<R: Runtime>(&self) -> bool {
        self.mutex.is_held_in::<R>()
    }

    fn release_in<R: Runtime>(&self) -> Result<(), NotHeld> {
        self.mutex.release_in::<R>()?;
        (self.between)();
        Ok(())
    }

    fn acquire_in<R: Runtime>(&self, (): (), waiter: &MutexWaiter, flags: LockFlags) {
        self.mutex.acquire_in::<R>((), waiter, flags);
    }

    fn mutex(&self) -> Option<&Mutex> {
        Some(self.mutex)
    }
}

/// Lets other threads run for a while that differs from call to call.
pub(crate) fn be_preempted(seed: usize) {
    for _ in 0..seed % 4 {
        thread::yield_now();
    }
}
