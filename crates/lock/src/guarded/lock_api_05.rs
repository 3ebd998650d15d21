//! The same locks over `lock_api` 0.5, for code that is generic over its traits. Needs Rust 1.95.
//!
//! The raw types are those of [`guarded::raw`](super::raw), which implement the traits of both
//! versions; the two versions' mutexes and guards are different types.
//!
//! ```
//! use pysync_lock::guarded::lock_api_05::{Mutex, RwLock};
//!
//! static COUNT: Mutex<u32> = Mutex::new(0);
//! *COUNT.lock() += 1;
//! assert_eq!(*COUNT.lock(), 1);
//! assert!(RwLock::new(()).try_write().is_some());
//! ```

use std::time::{Duration, Instant};

use lock_api_05::GuardSend;
use pysync_platform::{Native, Runtime};

use super::raw::{self, left};

/// [`guarded::MutexIn`](super::MutexIn) over `lock_api` 0.5.
pub type MutexIn<R, T> = lock_api_05::Mutex<raw::Mutex<R>, T>;
/// [`guarded::Mutex`](super::Mutex) over `lock_api` 0.5.
pub type Mutex<T> = MutexIn<Native, T>;
/// The guard of a [`MutexIn`].
pub type MutexGuardIn<'a, R, T> = lock_api_05::MutexGuard<'a, raw::Mutex<R>, T>;
/// The guard of a [`Mutex`].
pub type MutexGuard<'a, T> = MutexGuardIn<'a, Native, T>;
/// The guard of a part of what a [`MutexIn`] guards.
pub type MappedMutexGuardIn<'a, R, T> = lock_api_05::MappedMutexGuard<'a, raw::Mutex<R>, T>;
/// The guard of a part of what a [`Mutex`] guards.
pub type MappedMutexGuard<'a, T> = MappedMutexGuardIn<'a, Native, T>;

/// [`guarded::RwLockIn`](super::RwLockIn) over `lock_api` 0.5.
pub type RwLockIn<R, T> = lock_api_05::RwLock<raw::RwLock<R>, T>;
/// [`guarded::RwLock`](super::RwLock) over `lock_api` 0.5.
pub type RwLock<T> = RwLockIn<Native, T>;
/// The guard of a reader of an [`RwLockIn`].
pub type RwLockReadGuardIn<'a, R, T> = lock_api_05::RwLockReadGuard<'a, raw::RwLock<R>, T>;
/// The guard of a reader of an [`RwLock`].
pub type RwLockReadGuard<'a, T> = RwLockReadGuardIn<'a, Native, T>;
/// The guard of a writer of an [`RwLockIn`].
pub type RwLockWriteGuardIn<'a, R, T> = lock_api_05::RwLockWriteGuard<'a, raw::RwLock<R>, T>;
/// The guard of a writer of an [`RwLock`].
pub type RwLockWriteGuard<'a, T> = RwLockWriteGuardIn<'a, Native, T>;

// SAFETY: the mutex excludes, and may be unlocked by any thread, moved and dropped while locked.
// Nothing in it unwinds once it has locked.
unsafe impl<R: Runtime> lock_api_05::RawMutex for raw::Mutex<R> {
    #[allow(clippy::declare_interior_mutable_const)] // It is what `lock_api` wants.
    const INIT: Self = Self::new();
    type Guard = GuardSend;

    #[inline]
    fn lock(&self) -> GuardSend {
        self.acquire();
        GuardSend::new()
    }

    #[inline]
    fn try_lock(&self) -> Option<GuardSend> {
        self.get().try_lock().then_some(GuardSend::new())
    }

    #[inline]
    unsafe fn unlock(&self, _: GuardSend) {
        self.release();
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.get().is_locked()
    }
}

// SAFETY: as above; a failed attempt leaves nothing locked.
unsafe impl<R: Runtime> lock_api_05::RawMutexTimed for raw::Mutex<R> {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, timeout: Duration) -> Option<GuardSend> {
        self.acquire_within(timeout).then_some(GuardSend::new())
    }

    fn try_lock_until(&self, deadline: Instant) -> Option<GuardSend> {
        self.acquire_within(left(deadline)).then_some(GuardSend::new())
    }
}

// SAFETY: writers exclude everybody, readers exclude writers; any thread may unlock, and nothing
// unwinds once it has locked.
unsafe impl<R: Runtime> lock_api_05::RawRwLock for raw::RwLock<R> {
    #[allow(clippy::declare_interior_mutable_const)] // It is what `lock_api` wants.
    const INIT: Self = Self::new();
    type SharedGuard = GuardSend;
    type ExclusiveGuard = GuardSend;

    #[inline]
    fn lock_shared(&self) -> GuardSend {
        self.acquire_shared();
        GuardSend::new()
    }

    #[inline]
    fn try_lock_shared(&self) -> Option<GuardSend> {
        self.get().try_read_lock().then_some(GuardSend::new())
    }

    #[inline]
    unsafe fn unlock_shared(&self, _: GuardSend) {
        self.release_shared();
    }

    #[inline]
    fn lock_exclusive(&self) -> GuardSend {
        self.acquire_exclusive();
        GuardSend::new()
    }

    #[inline]
    fn try_lock_exclusive(&self) -> Option<GuardSend> {
        self.get().try_write_lock().then_some(GuardSend::new())
    }

    #[inline]
    unsafe fn unlock_exclusive(&self, _: GuardSend) {
        self.release_exclusive();
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.get().is_locked()
    }

    #[inline]
    fn is_locked_exclusive(&self) -> bool {
        self.get().is_write_locked()
    }
}
