use std::fmt;
use std::mem;
use std::ptr;
use std::time::Duration;

use pysync_platform::{LockFlags, LockStatus, Native, Runtime};

use crate::Semaphore;

/// Permits that have been taken from a [`Semaphore`], and are released when this is dropped.
///
/// They may be dropped on another thread than the one that took them.
///
/// ```
/// use pysync_cond::Semaphore;
///
/// let semaphore = Semaphore::new(3);
/// let mut all = semaphore.permits(3);
/// let two = all.split(2).unwrap();
/// drop(all);
/// assert_eq!(semaphore.available(), 1);
/// two.forget();
/// assert_eq!(semaphore.available(), 1);
/// ```
#[must_use = "permits are released at once if they are not kept"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    count: u32,
}

impl Semaphore {
    /// Takes a permit, as [`acquire`](Self::acquire) does, and releases it with the guard.
    #[inline]
    pub fn permit(&self) -> Permit<'_> {
        self.permits(1)
    }

    /// Takes `n` permits at once, as [`acquire_many`](Self::acquire_many) does, and releases them with
    /// the guard.
    #[inline]
    pub fn permits(&self, n: u32) -> Permit<'_> {
        self.acquire_many(n);
        Permit { semaphore: self, count: n }
    }

    /// Takes a permit if there is one, as [`try_acquire`](Self::try_acquire) does.
    #[inline]
    pub fn try_permit(&self) -> Option<Permit<'_>> {
        self.try_acquire().then(|| Permit { semaphore: self, count: 1 })
    }

    /// Takes a permit if one comes within `timeout`, as [`acquire_timed`](Self::acquire_timed) does.
    ///
    /// # Errors
    /// `Failure` or `Interrupted`, as there.
    ///
    /// # Panics
    /// As there.
    #[inline]
    pub fn permit_timed(
        &self,
        timeout: Option<Duration>,
        flags: LockFlags,
    ) -> Result<Permit<'_>, LockStatus> {
        match self.acquire_timed(timeout, flags) {
            LockStatus::Acquired => Ok(Permit { semaphore: self, count: 1 }),
            status => Err(status),
        }
    }
}

impl<'a> Permit<'a> {
    /// How many permits these are.
    #[inline]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Keeps the permits from being released. [`Semaphore::release`] can do it later.
    #[inline]
    pub fn forget(self) {
        mem::forget(self);
    }

    /// Takes `n` permits off these, for a guard of their own; `None` if these are fewer.
    #[inline]
    pub fn split(&mut self, n: u32) -> Option<Permit<'a>> {
        self.count = self.count.checked_sub(n)?;
        Some(Permit { semaphore: self.semaphore, count: n })
    }

    /// Adds the permits of `other` to these.
    ///
    /// # Panics
    /// `permits of another semaphore`, or `too many permits` if the sum is greater than `u32::MAX`.
    /// These are as before then, and those of `other` are released.
    #[track_caller]
    pub fn merge(&mut self, other: Permit<'a>) {
        if !ptr::eq(self.semaphore, other.semaphore) {
            Native::fatal_error("Permit::merge", "permits of another semaphore");
        }
        let Some(count) = self.count.checked_add(other.count) else {
            Native::fatal_error("Permit::merge", "too many permits");
        };
        self.count = count;
        other.forget();
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.release(self.count);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("count", &self.count).finish_non_exhaustive()
    }
}
