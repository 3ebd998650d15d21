//! The locks as `lock_api` wants them, for one runtime each.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use lock_api::GuardSend;
use pysync_platform::{Deadline, Native, Runtime};

use crate::{LockFlags, LockStatus};

/// A newtype around a lock, for guards whose threads wait as those of one runtime.
macro_rules! adapter {
    ($(#[$meta:meta])* $name:ident($lock:ty)) => {
        $(#[$meta])*
        #[repr(transparent)]
        pub struct $name<R = Native> {
            lock: $lock,
            runtime: PhantomData<fn() -> R>,
        }

        impl<R> $name<R> {
            /// An unlocked one.
            #[inline]
            pub const fn new() -> Self {
                Self { lock: <$lock>::new(), runtime: PhantomData }
            }

            /// The lock itself, for its `after_fork` above all.
            #[inline]
            pub const fn get(&self) -> &$lock {
                &self.lock
            }
        }

        /// In a loom model, the lock is made at once, and not at its first use: see
        /// [`Zeroed`](pysync_platform::primitive::Zeroed).
        impl<R> Default for $name<R> {
            fn default() -> Self {
                Self { lock: <$lock>::default(), runtime: PhantomData }
            }
        }

        impl<R> fmt::Debug for $name<R> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.lock.fmt(f)
            }
        }
    };
}

adapter! {
    /// [`crate::Mutex`] for `lock_api`.
    Mutex(crate::Mutex)
}

adapter! {
    /// [`crate::RwMutex`] for `lock_api`.
    RwLock(crate::RwMutex)
}

/// How long it is until `deadline`; zero once it has come.
pub(super) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

// What `lock_api` 0.4 and 0.5 both ask for. Nothing here unwinds once it has locked, and a wait with
// neither a limit nor a flag that could end it ends with the lock.
impl<R: Runtime> Mutex<R> {
    #[inline]
    pub(super) fn acquire(&self) {
        if !self.lock.lock_fast() {
            let acquired = self.acquire_before(Deadline::NEVER);
            debug_assert!(acquired);
        }
    }

    /// Zero is an attempt, which reads no clock.
    pub(super) fn acquire_within(&self, timeout: Duration) -> bool {
        self.lock.try_lock()
            || !timeout.is_zero() && self.acquire_before(Deadline::after(Some(timeout)))
    }

    #[cold]
    fn acquire_before(&self, deadline: Deadline) -> bool {
        self.lock.lock_in::<R>(deadline, LockFlags::DETACH) == LockStatus::Acquired
    }

    #[inline]
    pub(super) fn release(&self) {
        if self.lock.try_unlock().is_err() {
            not_locked::<R>("guarded::Mutex");
        }
    }
}

impl<R: Runtime> RwLock<R> {
    #[inline]
    pub(super) fn acquire_shared(&self) {
        self.lock.read_lock_in::<R>();
    }

    #[inline]
    pub(super) fn acquire_exclusive(&self) {
        self.lock.write_lock_in::<R>();
    }

    #[inline]
    pub(super) fn release_shared(&self) {
        if self.lock.try_read_unlock().is_err() {
            not_locked::<R>("guarded::RwLock");
        }
    }

    #[inline]
    pub(super) fn release_exclusive(&self) {
        if self.lock.try_write_unlock().is_err() {
            not_locked::<R>("guarded::RwLock");
        }
    }
}

/// A guard was alive while its lock was reset, against the contract of `after_fork`.
#[cold]
fn not_locked<R: Runtime>(function: &'static str) -> ! {
    R::fatal_error(function, "a guard unlocks what is not locked")
}

// SAFETY: the mutex excludes, and may be unlocked by any thread, moved and dropped while locked.
unsafe impl<R: Runtime> lock_api::RawMutex for Mutex<R> {
    #[allow(clippy::declare_interior_mutable_const)] // It is what `lock_api` wants.
    const INIT: Self = Self::new();
    type GuardMarker = GuardSend;

    #[inline]
    fn lock(&self) {
        self.acquire();
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.lock.try_lock()
    }

    #[inline]
    unsafe fn unlock(&self) {
        self.release();
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }
}

// SAFETY: as above; a failed attempt leaves nothing locked.
unsafe impl<R: Runtime> lock_api::RawMutexTimed for Mutex<R> {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, timeout: Duration) -> bool {
        self.acquire_within(timeout)
    }

    fn try_lock_until(&self, deadline: Instant) -> bool {
        self.acquire_within(left(deadline))
    }
}

// SAFETY: writers exclude everybody, readers exclude writers; any thread may unlock.
unsafe impl<R: Runtime> lock_api::RawRwLock for RwLock<R> {
    #[allow(clippy::declare_interior_mutable_const)] // It is what `lock_api` wants.
    const INIT: Self = Self::new();
    type GuardMarker = GuardSend;

    #[inline]
    fn lock_shared(&self) {
        self.acquire_shared();
    }

    #[inline]
    fn try_lock_shared(&self) -> bool {
        self.lock.try_read_lock()
    }

    #[inline]
    unsafe fn unlock_shared(&self) {
        self.release_shared();
    }

    #[inline]
    fn lock_exclusive(&self) {
        self.acquire_exclusive();
    }

    #[inline]
    fn try_lock_exclusive(&self) -> bool {
        self.lock.try_write_lock()
    }

    #[inline]
    unsafe fn unlock_exclusive(&self) {
        self.release_exclusive();
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    #[inline]
    fn is_locked_exclusive(&self) -> bool {
        self.lock.is_write_locked()
    }
}
