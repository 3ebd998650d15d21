//! The condition variable over `lock_api` 0.5, for code that is generic over its traits. Needs Rust
//! 1.95.
//!
//! ```
//! use pysync_cond::guarded::lock_api_05::Condvar;
//! use pysync_lock::guarded::lock_api_05::Mutex;
//!
//! static READY: Mutex<bool> = Mutex::new(false);
//! static CONDVAR: Condvar = Condvar::new();
//!
//! let thread = std::thread::spawn(|| {
//!     *READY.lock() = true;
//!     CONDVAR.notify_one();
//! });
//! CONDVAR.wait_while(&mut READY.lock(), |ready| !*ready);
//! # thread.join().unwrap();
//! ```

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use lock_api_05::{GuardSend, RawCondvar, RawCondvarTimed};
use pysync_lock::guarded::raw;
use pysync_platform::{Deadline, LockFlags, Native, Runtime};

use super::left;
use crate::{Cond, WaitStatus};

/// A [`Condvar`] whose waiting threads are those of the runtime `R`.
pub type CondvarIn<R> = lock_api_05::Condvar<RawCond<R>>;
/// [`guarded::Condvar`](super::Condvar) over `lock_api` 0.5.
pub type Condvar = CondvarIn<Native>;

/// [`Cond`] for `lock_api` 0.5. No wait of it ends by itself, so that the counts are exact.
#[repr(transparent)]
pub struct RawCond<R = Native> {
    cond: Cond,
    runtime: PhantomData<fn() -> R>,
}

impl<R> RawCond<R> {
    /// One that nobody waits on.
    pub const fn new() -> Self {
        Self { cond: Cond::new(), runtime: PhantomData }
    }

    /// The condition variable itself.
    pub const fn get(&self) -> &Cond {
        &self.cond
    }
}

impl<R> Default for RawCond<R> {
    fn default() -> Self {
        Self { cond: Cond::default(), runtime: PhantomData }
    }
}

impl<R> fmt::Debug for RawCond<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cond.fmt(f)
    }
}

impl<R: Runtime> RawCond<R> {
    fn wait_before(&self, mutex: &raw::Mutex<R>, deadline: Deadline) -> WaitStatus {
        self.cond.wait_in::<R, _>(mutex.get(), deadline, LockFlags::DETACH, None)
    }
}

// SAFETY: the waiter is queued before the mutex is unlocked, and has locked it again when the wait
// ends, also if it unwinds. The guard holds no state. A deadline is never early.
unsafe impl<R: Runtime> RawCondvar for RawCond<R> {
    #[allow(clippy::declare_interior_mutable_const)] // It is what `lock_api` wants.
    const INIT: Self = Self::new();
    type RawMutex = raw::Mutex<R>;

    unsafe fn wait(&self, mutex: &raw::Mutex<R>, _: &mut GuardSend) {
        _ = self.wait_before(mutex, Deadline::NEVER);
    }

    fn notify_one(&self) -> bool {
        self.cond.notify_one()
    }

    fn notify_all(&self) -> usize {
        self.cond.notify_all()
    }
}

// SAFETY: as above.
unsafe impl<R: Runtime> RawCondvarTimed for RawCond<R> {
    fn checked_duration_to_instant(timeout: &Duration) -> Option<Instant> {
        Instant::now().checked_add(*timeout)
    }

    unsafe fn wait_until(
        &self,
        mutex: &raw::Mutex<R>,
        _: &mut GuardSend,
        deadline: &Instant,
    ) -> bool {
        let deadline = Deadline::after(Some(left(*deadline)));
        self.wait_before(mutex, deadline) == WaitStatus::TimedOut
    }
}
