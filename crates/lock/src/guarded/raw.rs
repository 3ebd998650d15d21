//! The locks as `lock_api` wants them.

#[cfg(pysync_loom)]
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use lock_api::{GuardSend, RawMutexTimed};
#[cfg(pysync_loom)]
use pysync_platform::primitive::checker::lazy_static::Lazy;

use crate::{LockFlags, LockStatus};

/// `lock_api` builds locks in const contexts, which models cannot: theirs are made on first use.
///
/// For loom that must be seen to come before every other use, so the lock is one of its lazy
/// statics, found by the address of the adapter: what a model moves must not be locked.
macro_rules! adapter {
    ($(#[$meta:meta])* $name:ident($lock:ty)) => {
        $(#[$meta])*
        #[derive(Debug)]
        #[repr(transparent)]
        pub struct $name(
            #[cfg(not(any(pysync_loom, pysync_shuttle)))] $lock,
            #[cfg(pysync_loom)] Lazy<$lock>,
            #[cfg(all(pysync_shuttle, not(pysync_loom)))] once_cell::sync::OnceCell<$lock>,
        );

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl $name {
            pub(super) const fn new() -> Self {
                #[cfg(not(any(pysync_loom, pysync_shuttle)))]
                return Self(<$lock>::new());
                #[cfg(pysync_loom)]
                return Self(Lazy { init: <$lock>::new, _p: PhantomData });
                #[cfg(all(pysync_shuttle, not(pysync_loom)))]
                return Self(once_cell::sync::OnceCell::new());
            }

            /// The lock itself, for its `after_fork` above all.
            #[inline]
            pub fn get(&self) -> &$lock {
                #[cfg(not(any(pysync_loom, pysync_shuttle)))]
                return &self.0;
                // SAFETY: loom asks for a static, but needs its address and constructor only
                // now; what it returns lives as long as the execution, and so longer than we.
                #[cfg(pysync_loom)]
                return unsafe { &*(&raw const self.0) }.get();
                #[cfg(all(pysync_shuttle, not(pysync_loom)))]
                return self.0.get_or_init(<$lock>::new);
            }
        }
    };
}

adapter! {
    /// [`crate::Mutex`] for `lock_api`.
    RawMutex(crate::Mutex)
}

adapter! {
    /// [`crate::RwMutex`] for `lock_api`.
    RawRwLock(crate::RwMutex)
}

adapter! {
    /// [`crate::RecursiveMutex`], for [`ReentrantMutex`](super::ReentrantMutex).
    RawReentrantMutex(crate::RecursiveMutex)
}

// SAFETY: the mutex excludes, and may be unlocked by any thread, moved and dropped while locked.
// Nothing in it unwinds once it has locked.
unsafe impl lock_api::RawMutex for RawMutex {
    const INIT: Self = Self::new();
    type Guard = GuardSend;

    #[inline]
    fn lock(&self) -> GuardSend {
        self.get().lock();
        GuardSend::new()
    }

    #[inline]
    fn try_lock(&self) -> Option<GuardSend> {
        self.get().try_lock().then_some(GuardSend::new())
    }

    #[inline]
    unsafe fn unlock(&self, _: GuardSend) {
        self.get().unlock();
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.get().is_locked()
    }
}

// SAFETY: as above; a failed attempt leaves nothing locked.
unsafe impl RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, timeout: Duration) -> Option<GuardSend> {
        let status = self.get().lock_timed(Some(timeout), LockFlags::DETACH);
        (status == LockStatus::Acquired).then_some(GuardSend::new())
    }

    fn try_lock_until(&self, deadline: Instant) -> Option<GuardSend> {
        self.try_lock_for(deadline.saturating_duration_since(Instant::now()))
    }
}

// SAFETY: writers exclude everybody, readers exclude writers; any thread may unlock, and nothing
// unwinds once it has locked.
unsafe impl lock_api::RawRwLock for RawRwLock {
    const INIT: Self = Self::new();
    type SharedGuard = GuardSend;
    type ExclusiveGuard = GuardSend;

    #[inline]
    fn lock_shared(&self) -> GuardSend {
        self.get().read_lock();
        GuardSend::new()
    }

    #[inline]
    fn try_lock_shared(&self) -> Option<GuardSend> {
        self.get().try_read_lock().then_some(GuardSend::new())
    }

    #[inline]
    unsafe fn unlock_shared(&self, _: GuardSend) {
        self.get().read_unlock();
    }

    #[inline]
    fn lock_exclusive(&self) -> GuardSend {
        self.get().write_lock();
        GuardSend::new()
    }

    #[inline]
    fn try_lock_exclusive(&self) -> Option<GuardSend> {
        self.get().try_write_lock().then_some(GuardSend::new())
    }

    #[inline]
    unsafe fn unlock_exclusive(&self, _: GuardSend) {
        self.get().write_unlock();
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
