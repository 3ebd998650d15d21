//! A condition variable for the locks that own their data, with the names and the signatures of
//! parking_lot 0.12's.
//!
//! In a program that uses parking_lot, the `use` lines change:
//!
//! ```
//! // use parking_lot::{Condvar, Mutex, MutexGuard};
//! use pysync_cond::guarded::Condvar;
//! use pysync_lock::guarded::{Mutex, MutexGuard};
//! ```
//!
//! The guards are those of `lock_api` 0.4. The feature `lock_api_05` adds a condition variable for
//! those of 0.5, in the module `lock_api_05`.

#[cfg(feature = "lock_api_05")]
pub mod lock_api_05;

use std::fmt;
use std::time::{Duration, Instant};

use pysync_lock::guarded::MutexGuardIn;
use pysync_platform::{Deadline, LockFlags, Runtime};

use crate::{Cancel, Cond, WaitStatus};

/// Whether a timed wait has ended by its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the deadline has passed, and no notification had come first. From `wait_while_for` and
    /// `wait_while_until`: whether the deadline has passed, and the condition still holds.
    #[inline]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

/// A [`Cond`] for the guards of [`pysync_lock::guarded::Mutex`]. What it guarantees, and how it treats
/// signals and forks, is told there.
///
/// Guards of different mutexes may wait on it at the same time. Guards of a reentrant mutex cannot: they
/// lend shared references that would outlive the lock.
///
/// ```
/// use pysync_cond::guarded::Condvar;
/// use pysync_lock::guarded::Mutex;
///
/// static STARTED: Mutex<bool> = Mutex::new(false);
/// static CONDVAR: Condvar = Condvar::new();
///
/// let thread = std::thread::spawn(|| {
///     *STARTED.lock() = true;
///     CONDVAR.notify_one();
/// });
/// let mut started = STARTED.lock();
/// CONDVAR.wait_while(&mut started, |started| !*started);
/// assert!(*started);
/// # drop(started);
/// # thread.join().unwrap();
/// ```
#[derive(Default)]
#[repr(transparent)]
pub struct Condvar {
    cond: Cond,
}

impl Condvar {
    /// One that nobody waits on.
    #[inline]
    pub const fn new() -> Self {
        Self { cond: Cond::new() }
    }

    /// The condition variable itself.
    #[inline]
    pub const fn get(&self) -> &Cond {
        &self.cond
    }

    /// Notifies the thread that has waited longest; true if there was one.
    #[inline]
    pub fn notify_one(&self) -> bool {
        self.cond.notify_one()
    }

    /// Notifies all threads that wait; returns how many.
    #[inline]
    pub fn notify_all(&self) -> usize {
        self.cond.notify_all()
    }

    /// Sets `cancel`, and ends the waits that were given it; returns how many: see [`Cond::cancel`].
    pub fn cancel(&self, cancel: &Cancel) -> usize {
        self.cond.cancel(cancel)
    }

    /// Unlocks the mutex, waits for a notification, and locks the mutex again. Blocks through signals,
    /// and detached while it sleeps.
    pub fn wait<R: Runtime, T: ?Sized>(&self, guard: &mut MutexGuardIn<'_, R, T>) {
        _ = self.wait_flags(guard, Deadline::NEVER, LockFlags::DETACH);
    }

    /// [`wait`](Self::wait) until `deadline` at most.
    pub fn wait_until<R: Runtime, T: ?Sized>(
        &self,
        guard: &mut MutexGuardIn<'_, R, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        self.wait_for(guard, left(deadline))
    }

    /// [`wait`](Self::wait) for `timeout` at most. The wait does not end before, and no timeout is too
    /// long.
    pub fn wait_for<R: Runtime, T: ?Sized>(
        &self,
        guard: &mut MutexGuardIn<'_, R, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        let status = self.wait_flags(guard, Deadline::after(Some(timeout)), LockFlags::DETACH);
        WaitTimeoutResult(status == WaitStatus::TimedOut)
    }

    /// Waits for as long as `condition` holds. It is called with the mutex locked: before the first
    /// wait, and after each.
    pub fn wait_while<R: Runtime, T: ?Sized>(
        &self,
        guard: &mut MutexGuardIn<'_, R, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) {
        _ = self.wait_while_flags(guard, condition, Deadline::NEVER, LockFlags::DETACH, None);
    }

    /// [`wait_while`](Self::wait_while) until `deadline` at most. The condition is looked at once more
    /// then.
    pub fn wait_while_until<R: Runtime, T: ?Sized>(
        &self,
        guard: &mut MutexGuardIn<'_, R, T>,
        condition: impl FnMut(&mut T) -> bool,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        self.wait_while_for(guard, condition, left(deadline))
    }

    /// [`wait_while`](Self::wait_while) for `timeout` at most. The condition is looked at once more
    /// then.
    pub fn wait_while_for<R: Runtime, T: ?Sized>(
        &self,
        guard: &mut MutexGuardIn<'_, R, T>,
        condition: impl FnMut(&mut T) -> bool,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        let deadline = Deadline::after(Some(timeout));
        let status = self.wait_while_flags(guard, condition, deadline, LockFlags::DETACH, None);
        WaitTimeoutResult(status == WaitStatus::TimedOut)
    }

    /// [`Cond::wait_until`] with a guard, for what parking_lot has no word for: flags and the status.
    ///
    /// # Panics
    /// If a pending call panics; the mutex is locked again then.
    pub fn wait_flags<R: Runtime, T: ?Sized>(
        &self,
        guard: &mut MutexGuardIn<'_, R, T>,
        deadline: Deadline,
        flags: LockFlags,
    ) -> WaitStatus {
        self.cond.wait_in::<R, _>(mutex_of(guard), deadline, flags, None)
    }

    /// [`Cond::wait_while`] with a guard.
    ///
    /// # Panics
    /// If `condition` or a pending call panics; the mutex is locked then.
    pub fn wait_while_flags<R: Runtime, T: ?Sized>(
        &self,
        guard: &mut MutexGuardIn<'_, R, T>,
        mut condition: impl FnMut(&mut T) -> bool,
        deadline: Deadline,
        flags: LockFlags,
        cancel: Option<&Cancel>,
    ) -> WaitStatus {
        let mutex = mutex_of(guard);
        let condition = || condition(&mut **guard);
        self.cond.wait_while_in::<R, _>(mutex, condition, deadline, flags, cancel)
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// The mutex below a guard.
fn mutex_of<'a, R: Runtime, T: ?Sized>(guard: &MutexGuardIn<'a, R, T>) -> &'a pysync_lock::Mutex {
    // SAFETY: it is unlocked only by a wait, which borrows the guard mutably and locks it again.
    unsafe { lock_api::MutexGuard::mutex(guard).raw() }.get()
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Condvar { .. }")
    }
}
